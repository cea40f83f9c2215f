"""Which kinds can be searched, and as which member of a search's results each is shown."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from towpath.kernel.resource import Document, Resource

#: (transaction, resource) -> what Describe shows of it, for kinds whose documents take more than the resource itself
ShownBy = Callable[[Any, Resource], Document]


@dataclass(frozen=True, slots=True, kw_only=True)
class Searchable:
    """One ResourceType of the API."""

    noun: str  #: of the kind
    member: str  #: of SearchRecord


#: ResourceType -> how it is searched. A type whose kind is not kept here is refused until it is.
#: Source: Amazon SageMaker API Reference, "Search" and "SearchRecord".
SEARCHABLE: Mapping[str, Searchable] = {
    "Endpoint": Searchable(noun="Endpoint", member="Endpoint"),
    "Experiment": Searchable(noun="Experiment", member="Experiment"),
    "ExperimentTrial": Searchable(noun="Trial", member="Trial"),
    "ExperimentTrialComponent": Searchable(noun="TrialComponent", member="TrialComponent"),
    "FeatureGroup": Searchable(noun="FeatureGroup", member="FeatureGroup"),
    "HyperParameterTuningJob": Searchable(noun="HyperParameterTuningJob", member="HyperParameterTuningJob"),
    "Model": Searchable(noun="Model", member="Model"),
    "ModelCard": Searchable(noun="ModelCard", member="ModelCard"),
    "ModelPackage": Searchable(noun="ModelPackage", member="ModelPackage"),
    "ModelPackageGroup": Searchable(noun="ModelPackageGroup", member="ModelPackageGroup"),
    "Pipeline": Searchable(noun="Pipeline", member="Pipeline"),
    "PipelineExecution": Searchable(noun="PipelineExecution", member="PipelineExecution"),
    "PipelineVersion": Searchable(noun="PipelineVersion", member="PipelineVersion"),
    "Project": Searchable(noun="Project", member="Project"),
    "TrainingJob": Searchable(noun="TrainingJob", member="TrainingJob"),
}
