"""The kind HyperParameterTuningJob, and how its training jobs are listed."""

from towpath.jobs import TRAINING_JOB
from towpath.jobs.kinds import PINNED, refuse_running
from towpath.jobs.tuned import OBJECTIVE, TUNING_JOB
from towpath.kernel.kinds import COMMON_FILTERS, COMMON_SORT, Kind, View
from towpath.kernel.resource import Document, Resource

LAUNCHED = "Launched"  #: member of the state: how many training jobs were ever started; never shown
ENDING = "Ending"  #: member of the state: how it will end, once its training jobs have; never shown
EARLIER = "EarlierTuningJobs"  #: member of the state: uids of those whose results are taken over; never shown


def _members(tuning: Resource) -> Document:
    config = tuning.spec["HyperParameterTuningJobConfig"]
    return {"Strategy": config["Strategy"], "ResourceLimits": config["ResourceLimits"]}


HYPER_PARAMETER_TUNING_JOB = Kind(
    noun=TUNING_JOB,
    arn_type="hyper-parameter-tuning-job",
    name_member="HyperParameterTuningJobName",
    arn_member="HyperParameterTuningJobArn",
    status_member="HyperParameterTuningJobStatus",
    describe="DescribeHyperParameterTuningJob",
    listing="ListHyperParameterTuningJobs",
    list_member="HyperParameterTuningJobSummaries",
    delete="DeleteHyperParameterTuningJob",
    view=View(computed=_members, hidden=frozenset({LAUNCHED, ENDING, EARLIER, PINNED})),
    sort_by={name: COMMON_SORT[name] for name in ("Name", "CreationTime", "Status")},
    default_sort="name",
    ascending=True,
    page=10,
    filters=COMMON_FILTERS,
    refuse_delete=refuse_running,
    controlled=True,
)

#: The training jobs of one tuning job, as a list of their own. The kind of what is listed is TrainingJob.
CHILDREN = Kind(
    noun=TRAINING_JOB.noun,
    arn_type=TRAINING_JOB.arn_type,
    name_member=TRAINING_JOB.name_member,
    arn_member=TRAINING_JOB.arn_member,
    listing="ListTrainingJobsForHyperParameterTuningJob",
    list_member="TrainingJobSummaries",
    sort_by={
        **{name: COMMON_SORT[name] for name in ("Name", "CreationTime", "Status")},
        "FinalObjectiveMetricValue": OBJECTIVE,
    },
    default_sort="name",
    ascending=True,
    page=10,
    filters={"StatusEquals": ("status", "=")},
)

KINDS = (HYPER_PARAMETER_TUNING_JOB,)
