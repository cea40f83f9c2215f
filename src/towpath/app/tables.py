"""What there is: the kinds of resources, and the operations on them."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from towpath import __version__
from towpath.experiments import Components, Experiments, trial_shown
from towpath.experiments import kinds as experiment_kinds
from towpath.experiments.record import component_name
from towpath.functions import kinds as function_kinds
from towpath.functions import step_operations as function_operations
from towpath.gateway import ServiceModels
from towpath.hosting import kinds as hosting_kinds
from towpath.hosting import operations as hosting_operations
from towpath.hosting import served_model
from towpath.hosting.dashboard import dashboard_entry
from towpath.housekeeping import Collector, server_operations
from towpath.housekeeping import operations as housekeeping_operations
from towpath.identity import kinds as identity_kinds
from towpath.jobs import kinds as job_kinds
from towpath.jobs.components import JOBS_TELL
from towpath.jobs.images import Images
from towpath.jobs.ingredients import JobIngredients
from towpath.jobs.ports import SecretStore
from towpath.jobs.secrets import Secrets
from towpath.jobs.service import Jobs
from towpath.jobs.waiting import WhatFor
from towpath.kernel.generic import TAG_OPERATIONS
from towpath.kernel.kinds import Kind
from towpath.kernel.objects import ObjectStore
from towpath.kernel.operations import Operation
from towpath.lineage import kinds as lineage_kinds
from towpath.lineage.query import operations as lineage_operations
from towpath.lineage.service import Lineage
from towpath.metrics import kinds as metric_kinds
from towpath.objects import kinds as object_kinds
from towpath.objects.datasets import operations as dataset_operations
from towpath.objects.documents import StoredTexts
from towpath.pipelines import kinds as pipeline_kinds
from towpath.pipelines.explaining import Explaining
from towpath.pipelines.service import operations as pipeline_operations
from towpath.queues import kinds as queue_kinds
from towpath.registry import kinds as registry_kinds
from towpath.registry import operations as registry_operations
from towpath.search import Search
from towpath.search.records import ShownBy
from towpath.settings import Settings
from towpath.store import SqliteStore
from towpath.triggers import kinds as trigger_kinds
from towpath.triggers import operations as trigger_operations
from towpath.tuning import Tuning
from towpath.tuning import kinds as tuning_kinds

if TYPE_CHECKING:
    from botocore.model import Shape

#: Every kind of resource, by its noun.
KINDS: Mapping[str, Kind] = {
    kind.noun: kind
    for module in (
        experiment_kinds,
        function_kinds,
        identity_kinds,
        lineage_kinds,
        job_kinds,
        hosting_kinds,
        metric_kinds,
        object_kinds,
        pipeline_kinds,
        queue_kinds,
        registry_kinds,
        trigger_kinds,
        tuning_kinds,
    )
    for kind in module.KINDS
}


#: What shows kinds in the results of a search, where their documents take more than the resource itself.
COMPONENTS = Components(JOBS_TELL)
SHOWN_BY: Mapping[str, ShownBy] = {
    "Model": dashboard_entry,
    "Trial": trial_shown,
    "TrialComponent": COMPONENTS.shown,
}


class OperationShapes:
    """Implements `pipelines.ports.Shapes` from the service model of SageMaker."""

    def __init__(self, models: ServiceModels) -> None:
        self._models = models

    def input(self, operation: str) -> "Shape | None":
        """Return the input shape of an operation, None when it is not known."""
        model = self._models.operation("sagemaker", operation)
        return None if model is None else model.input_shape

    def output(self, operation: str) -> "Shape | None":
        """Return the output shape of an operation, None when it is not known."""
        model = self._models.operation("sagemaker", operation)
        return None if model is None else model.output_shape


def operations_of(
    store: SqliteStore,
    objects: ObjectStore,
    images: Images,
    models: ServiceModels,
    collector: Collector,
    secrets: SecretStore,
    ingredients: JobIngredients,
    flush_reads: Callable[[], None],
    settings: Settings,
    what_for: WhatFor,
) -> Mapping[str, Operation]:
    """Return every operation, by name. The engine and the front door share this table."""
    jobs = Jobs(images, served_model, what_for)
    found = [
        *TAG_OPERATIONS,
        *jobs.operations(),
        *Tuning(jobs.check_training_job).operations(),
        *Secrets(secrets).operations(),
        *registry_operations(images.resolve),
        *hosting_operations(images.resolve),
        *dataset_operations(flush_reads),
        *lineage_operations(),
        *Lineage(component_name).operations(),
        *housekeeping_operations(KINDS, collector),
        *server_operations(__version__, settings.shown()),
        *trigger_operations(),
        *Experiments(COMPONENTS).operations(),
        *Search(KINDS, OperationShapes(models), SHOWN_BY).operations(),
        *pipeline_operations(
            definitions=StoredTexts(store, objects),
            check_arguments=lambda step: jobs.check_step_arguments(step.type, step.arguments),
            shapes=OperationShapes(models),
            store=store,
            what_for=what_for,
        ),
        *Explaining(store, ingredients).operations(),
        *function_operations(),
    ]
    table = {operation.name: operation for operation in found}
    assert len(table) == len(found), "an operation is there twice"
    return table
