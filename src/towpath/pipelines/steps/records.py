"""Steps that tidy up and keep records: Lineage and Cleanup."""

from towpath.pipelines.steps.declaration import StepType

LINEAGE = StepType(name="Lineage", metadata="Lineage")
CLEANUP = StepType(name="Cleanup", metadata="Cleanup", yields=frozenset(), required_arguments=frozenset({"Resources"}))
