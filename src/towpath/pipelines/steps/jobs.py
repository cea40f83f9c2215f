"""Steps that run jobs: Processing, Training, Tuning, Transform, AutoML and the generic Job."""

from towpath.pipelines.steps.declaration import JOB_ENDS, StepType

#: The lists of a processing job whose items bear names.
PROCESSING_NAMES = {"ProcessingInputs": "InputName", "ProcessingOutputConfig.Outputs": "OutputName"}
CHANNELS = {"InputDataConfig": "ChannelName"}

PROCESSING = StepType(
    name="Processing",
    executed=True,
    create="CreateProcessingJob",
    describe="DescribeProcessingJob",
    noun="ProcessingJob",
    name_member="ProcessingJobName",
    arn_member="ProcessingJobArn",
    stop="StopProcessingJob",
    ends=JOB_ENDS,
    names=PROCESSING_NAMES,
    metadata="ProcessingJob",
)
TRAINING = StepType(
    name="Training",
    executed=True,
    create="CreateTrainingJob",
    describe="DescribeTrainingJob",
    noun="TrainingJob",
    name_member="TrainingJobName",
    arn_member="TrainingJobArn",
    stop="StopTrainingJob",
    ends=JOB_ENDS,
    names={**CHANNELS, "FinalMetricDataList": "MetricName", "AlgorithmSpecification.MetricDefinitions": "Name"},
    metadata="TrainingJob",
)
TUNING = StepType(
    name="Tuning",
    executed=True,
    create="CreateHyperParameterTuningJob",
    describe="DescribeHyperParameterTuningJob",
    noun="HyperParameterTuningJob",
    name_member="HyperParameterTuningJobName",
    arn_member="HyperParameterTuningJobArn",
    stop="StopHyperParameterTuningJob",
    ends=JOB_ENDS,
    metadata="TuningJob",
    extra_yields=frozenset({"TrainingJobSummaries"}),
    longest_name=32,  # its training jobs' names begin with its own
)
TRANSFORM = StepType(
    name="Transform",
    executed=True,
    create="CreateTransformJob",
    describe="DescribeTransformJob",
    noun="TransformJob",
    name_member="TransformJobName",
    arn_member="TransformJobArn",
    stop="StopTransformJob",
    ends=JOB_ENDS,
    metadata="TransformJob",
)
AUTO_ML = StepType(
    name="AutoML",
    create="CreateAutoMLJob",
    describe="DescribeAutoMLJob",
    noun="AutoMLJob",
    name_member="AutoMLJobName",
    arn_member="AutoMLJobArn",
    stop="StopAutoMLJob",
    ends=JOB_ENDS,
    metadata="AutoMLJob",
    extra_yields=frozenset({"BestCandidateProperties"}),
)
JOB = StepType(
    name="Job",
    create="CreateJob",
    describe="DescribeJob",
    noun="Job",
    name_member="JobName",
    arn_member="JobArn",
    # StopJob wants the JobCategory beside the name, which `stop` cannot say; it has to when Job steps are executed.
    ends=JOB_ENDS,
    metadata="Job",
    required_arguments=frozenset({"JobCategory", "JobConfigDocument"}),
)
