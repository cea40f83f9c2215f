"""The step that trains a model with a script."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar

from towpath.sdk.build import Build, Code
from towpath.sdk.errors import DefinitionError
from towpath.sdk.expressions import Document, Expression, Get, as_text
from towpath.sdk.steps.sources import Source, s3_input, source_uri
from towpath.sdk.steps.step import Step

_CHANNEL = re.compile(r"[A-Za-z0-9.\-_]{1,64}")


@dataclass(eq=False)
class Training(Step):
    """Trains a model with a script ("script mode").

    The script finds each channel below `/opt/ml/input/data/<name>/` (also in `SM_CHANNEL_<NAME>`), gets the
    hyperparameters as `--name value` and leaves the model in `/opt/ml/model` (`SM_MODEL_DIR`), which becomes
    `model.tar.gz`. A model that shall be served with its own code holds `code/inference.py`: take `inference.py` along
    by `include` or `source_dir`, and let the script copy it to `<SM_MODEL_DIR>/code/`.

    Example:
        train = Training("Train", script="train.py", include=["inference.py"],
                         channels={"train": prepare.output("train")}, hyperparameters={"epochs": 2},
                         metrics={"validation:accuracy": r"validation accuracy: ([0-9.]+)"})
    """

    _: KW_ONLY
    script: str  #: path from the pipeline's folder, or from `source_dir` where that is given
    source_dir: str | None = None  #: take this whole folder along
    include: Sequence[str] = ()  #: or take only these files and folders along, beside the script
    channels: Mapping[str, Source] = field(default_factory=dict)
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, str] = field(default_factory=dict)  #: name: regular expression, its first group the value
    environment: Mapping[str, Any] = field(default_factory=dict)
    image: str | Expression | None = None
    instance_type: str | Expression | None = None
    instance_count: int | Expression = 1
    volume_gb: int | Expression = 30
    timeout_s: int | Expression = 24 * 3600

    type: ClassVar[str] = "Training"

    def __post_init__(self) -> None:
        super().__post_init__()
        for channel in self.channels:
            if not _CHANNEL.fullmatch(channel):
                raise DefinitionError(f"step {self.name}: {channel!r} is not a channel name")
        for metric, regex in self.metrics.items():
            try:
                groups = re.compile(regex).groups
            except re.error as fault:
                raise DefinitionError(
                    f"step {self.name}, metric {metric!r}: {regex!r} is no regular expression: {fault}"
                ) from fault
            if groups == 0:
                raise DefinitionError(
                    f"step {self.name}, metric {metric!r}: {regex!r} has no group; "
                    "put the number's pattern in brackets, ([0-9.]+)"
                )
        reserved = [name for name in self.hyperparameters if name.startswith("sagemaker_")]
        if reserved:
            raise DefinitionError(
                f"step {self.name}: hyperparameter {reserved[0]!r}: names with sagemaker_ are reserved"
            )

    @property
    def code(self) -> Code:
        return Code(script=self.script, source_dir=self.source_dir, include=tuple(self.include))

    @property
    def model(self) -> Expression:
        """The S3 URI of the model that the step made (`model.tar.gz`)."""
        return self.property("ModelArtifacts.S3ModelArtifacts")

    def metric(self, name: str) -> Get:
        """Return the last value of a metric."""
        if name not in self.metrics:
            raise DefinitionError(
                f"step {self.name} has no metric {name!r}; its metrics: {', '.join(self.metrics) or 'none'}"
            )
        return self.property(f"FinalMetricDataList['{name}'].Value")

    def request(self, build: Build) -> Document:
        algorithm: Document = {"TrainingImage": self.image or build.defaults.image, "TrainingInputMode": "File"}
        if self.metrics:
            algorithm["MetricDefinitions"] = [{"Name": name, "Regex": regex} for name, regex in self.metrics.items()]
        request: Document = {
            "AlgorithmSpecification": algorithm,
            "RoleArn": build.defaults.role,
            "OutputDataConfig": {"S3OutputPath": build.location(self.name)},
            "ResourceConfig": build.resources(
                instance_type=self.instance_type, instance_count=self.instance_count, volume_gb=self.volume_gb
            ),
            "StoppingCondition": {"MaxRuntimeInSeconds": self.timeout_s},
            "HyperParameters": {
                **{name: hyperparameter(value) for name, value in self.hyperparameters.items()},
                "sagemaker_program": build.bundles[self.name].script,
                "sagemaker_submit_directory": build.code_uri(self.name, "sourcedir.tar.gz"),
            },
        }
        if self.channels:
            request["InputDataConfig"] = [
                {
                    "ChannelName": name,
                    "DataSource": {
                        "S3DataSource": s3_input(source_uri(source, reader=f"step {self.name}, channel {name!r},"))
                    },
                }
                for name, source in self.channels.items()
            ]
        if self.environment:
            request["Environment"] = {name: as_text(value) for name, value in self.environment.items()}
        request["Tags"] = build.tags[self.name]
        return request


def hyperparameter(value: Any) -> Any:
    """Return a hyperparameter as text that the training toolkit reads back as the same value.

    The toolkit takes each as JSON if it can and as text otherwise, so text that is JSON ("1", "true") is quoted.
    """
    if isinstance(value, Expression):
        return as_text(value)
    if not isinstance(value, str):
        try:
            return json.dumps(value)
        except TypeError as fault:
            raise DefinitionError(f"hyperparameter {value!r} cannot be written as JSON") from fault
    try:
        json.loads(value)
    except ValueError:
        return value
    return json.dumps(value)
