"""Steps that run jobs: Processing, Training, Tuning, Transform, AutoML and the generic Job."""

from towpath.pipelines.steps.declaration import JOB_ENDS, CacheRules, StepType

#: The lists of a processing job whose items bear names.
PROCESSING_NAMES = {"ProcessingInputs": "InputName", "ProcessingOutputConfig.Outputs": "OutputName"}
CHANNELS = {"InputDataConfig": "ChannelName"}

#: What says whose a job is, what it is called and what it may use; none of it changes what comes of it.
_ADMINISTRATION = frozenset({"Tags", "RoleArn", "ExperimentConfig", "StoppingCondition", "RetryStrategy"})
PROCESSING_CACHE = CacheRules(
    left_out=_ADMINISTRATION
    | {"ProcessingResources.ClusterConfig.VolumeSizeInGB", "ProcessingResources.ClusterConfig.VolumeKmsKeyId"},
    read=frozenset({"ProcessingInputs.S3Input.S3Uri"}),
    placed=frozenset({"ProcessingOutputConfig.Outputs.S3Output.S3Uri"}),
)
TRAINING_CACHE = CacheRules(
    left_out=_ADMINISTRATION
    | {
        "ResourceConfig.VolumeSizeInGB",
        "ResourceConfig.VolumeKmsKeyId",
        "ResourceConfig.KeepAlivePeriodInSeconds",
        "HyperParameters.sagemaker_job_name",
        "ProfilerConfig",
        "ProfilerRuleConfigurations",
        "TensorBoardOutputConfig",
    },
    read=frozenset({"InputDataConfig.DataSource.S3DataSource.S3Uri", "HyperParameters.sagemaker_submit_directory"}),
    placed=frozenset(
        {
            "OutputDataConfig.S3OutputPath",
            "CheckpointConfig.S3Uri",
            "DebugHookConfig.S3OutputPath",
            "HyperParameters.sagemaker_s3_output",
        }
    ),
)
#: A model's name says nothing of it: what it is made of counts instead.
TRANSFORM_CACHE = CacheRules(
    left_out=_ADMINISTRATION | {"ModelName", "ModelClientConfig", "TransformResources.VolumeKmsKeyId"},
    read=frozenset({"TransformInput.DataSource.S3DataSource.S3Uri"}),
    placed=frozenset({"TransformOutput.S3OutputPath"}),
)
#: A tuning job has one definition of training jobs, or several.
_DEFINITIONS = ("TrainingJobDefinition", "TrainingJobDefinitions")
#: Of the tuning jobs that it goes on from, what they are counts, and not their names.
TUNING_CACHE = CacheRules(
    left_out=frozenset({"Tags", "WarmStartConfig.ParentHyperParameterTuningJobs"})
    | {
        f"{definition}.{member}"
        for definition in _DEFINITIONS
        for member in (
            *_ADMINISTRATION,
            "ResourceConfig.VolumeSizeInGB",
            "ResourceConfig.VolumeKmsKeyId",
            "HyperParameterTuningResourceConfig.VolumeSizeInGB",
            "HyperParameterTuningResourceConfig.VolumeKmsKeyId",
            "StaticHyperParameters.sagemaker_job_name",
        )
    },
    read=frozenset(
        f"{definition}.{member}"
        for definition in _DEFINITIONS
        for member in (
            "InputDataConfig.DataSource.S3DataSource.S3Uri",
            "StaticHyperParameters.sagemaker_submit_directory",
        )
    ),
    placed=frozenset(
        f"{definition}.{member}"
        for definition in _DEFINITIONS
        for member in (
            "OutputDataConfig.S3OutputPath",
            "CheckpointConfig.S3Uri",
            "StaticHyperParameters.sagemaker_s3_output",
        )
    ),
    settled_late=True,
)

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
    cache=PROCESSING_CACHE,
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
    cache=TRAINING_CACHE,
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
    cache=TUNING_CACHE,
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
    cache=TRANSFORM_CACHE,
)
AUTO_ML = StepType(
    name="AutoML",
    instead="a Tuning step over the algorithms and hyperparameters that are to be tried",
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
    instead="a Training or a Processing step with a script of your own",
    create="CreateJob",
    describe="DescribeJob",
    noun="Job",
    name_member="JobName",
    arn_member="JobArn",
    # StopJob wants the JobCategory beside the name, which `stop` cannot say; it has to when Job steps are executed.
    ends=JOB_ENDS,
    metadata="Job",
)
