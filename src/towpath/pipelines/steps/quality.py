"""Steps that judge data and models: QualityCheck and ClarifyCheck. Their Arguments are those of a processing job."""

from dataclasses import replace

from towpath.pipelines.steps.declaration import JOB_ENDS, StepType
from towpath.pipelines.steps.jobs import PROCESSING_CACHE, PROCESSING_NAMES

_CONSTRAINTS = frozenset({"CalculatedBaselineConstraints", "BaselineUsedForDriftCheckConstraints"})
_STATISTICS = frozenset({"CalculatedBaselineStatistics", "BaselineUsedForDriftCheckStatistics"})

QUALITY_CHECK = StepType(
    name="QualityCheck",
    executed=True,
    checks=True,
    create="CreateProcessingJob",
    noun="ProcessingJob",
    name_member="ProcessingJobName",
    arn_member="ProcessingJobArn",
    stop="StopProcessingJob",
    ends=JOB_ENDS,
    names=PROCESSING_NAMES,
    metadata="QualityCheck",
    yields=_CONSTRAINTS | _STATISTICS,
    required_members=frozenset({"CheckType"}),
    cache=PROCESSING_CACHE,
)
CLARIFY_CHECK = replace(QUALITY_CHECK, name="ClarifyCheck", metadata="ClarifyCheck", yields=_CONSTRAINTS)
