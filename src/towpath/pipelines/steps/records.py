"""Steps that tidy up and keep records: Lineage and Cleanup. The platform carries them out itself."""

from towpath.pipelines.performing import clean_up, keep_records
from towpath.pipelines.steps.declaration import StepType

LINEAGE = StepType(
    name="Lineage",
    executed=True,
    perform=keep_records,
    metadata="Lineage",
    yields=frozenset({"ActionArns", "ArtifactArns", "ContextArns", "Associations"}),
)
CLEANUP = StepType(
    name="Cleanup",
    executed=True,
    perform=clean_up,
    metadata="Cleanup",
    yields=frozenset({"CleanedSteps", "FailedSteps", "SkippedSteps"}),
    required_arguments=frozenset({"Resources"}),
)
