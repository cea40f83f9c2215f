"""The Create requests of jobs as frozen typed views: what the translation into a job reads of them."""

import msgspec


class S3Input(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """Where an input of a processing job comes from and where it is laid out."""

    s3_uri: str
    local_path: str | None = None
    s3_data_type: str = "S3Prefix"
    s3_data_distribution_type: str = "FullyReplicated"
    s3_input_mode: str = "File"
    s3_compression_type: str = "None"


class ProcessingInput(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """One input of a processing job."""

    input_name: str
    app_managed: bool = False
    s3_input: S3Input | None = None


class S3Output(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """Where an output of a processing job is found and where it goes."""

    s3_uri: str
    local_path: str | None = None
    s3_upload_mode: str = "EndOfJob"


class ProcessingOutput(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """One output of a processing job."""

    output_name: str
    app_managed: bool = False
    s3_output: S3Output | None = None
    feature_store_output: dict[str, str] | None = None


class ProcessingOutputConfig(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """All outputs of a processing job."""

    outputs: tuple[ProcessingOutput, ...] = ()


class AppSpecification(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """What a processing job runs."""

    image_uri: str
    container_entrypoint: tuple[str, ...] = ()
    container_arguments: tuple[str, ...] = ()


class ClusterConfig(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """How many machines of which type."""

    instance_type: str = "ml.m5.large"
    instance_count: int = 1


class ProcessingResources(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """What a processing job may use."""

    cluster_config: ClusterConfig = ClusterConfig()


class StoppingCondition(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """When a job is ended by the platform."""

    max_runtime_in_seconds: int = 86_400


class NetworkConfig(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """What of the network a processing job sees."""

    enable_network_isolation: bool = False


class ProcessingJobRequest(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """CreateProcessingJob, as far as the platform acts on it."""

    app_specification: AppSpecification
    processing_inputs: tuple[ProcessingInput, ...] = ()
    processing_output_config: ProcessingOutputConfig = ProcessingOutputConfig()
    processing_resources: ProcessingResources = ProcessingResources()
    stopping_condition: StoppingCondition = StoppingCondition()
    network_config: NetworkConfig = NetworkConfig()
    environment: dict[str, str] = msgspec.field(default_factory=dict)


class RegexDefinition(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """A metric that is read from the log."""

    name: str
    regex: str


class AlgorithmSpecification(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """What a training job runs."""

    training_image: str | None = None
    algorithm_name: str | None = None
    training_input_mode: str = "File"
    metric_definitions: tuple[RegexDefinition, ...] = ()
    container_entrypoint: tuple[str, ...] = ()
    container_arguments: tuple[str, ...] = ()


class S3DataSource(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """Objects that a channel holds."""

    s3_uri: str
    s3_data_type: str = "S3Prefix"
    s3_data_distribution_type: str = "FullyReplicated"


class DataSource(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """Where the data of a channel comes from."""

    s3_data_source: S3DataSource | None = None


class Channel(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """One channel of a training job."""

    channel_name: str
    data_source: DataSource
    input_mode: str | None = None
    content_type: str | None = None
    compression_type: str = "None"
    record_wrapper_type: str = "None"


class OutputDataConfig(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """Where the model of a training job goes."""

    s3_output_path: str
    compression_type: str = "GZIP"


class ResourceConfig(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """What a training job may use."""

    instance_type: str = "ml.m5.large"
    instance_count: int = 1
    instance_groups: tuple[dict[str, object], ...] = ()


class CheckpointConfig(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """Where checkpoints come from and go to."""

    s3_uri: str
    local_path: str = "/opt/ml/checkpoints"


class TrainingJobRequest(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """CreateTrainingJob, as far as the platform acts on it."""

    output_data_config: OutputDataConfig
    algorithm_specification: AlgorithmSpecification = AlgorithmSpecification()
    hyper_parameters: dict[str, str] = msgspec.field(default_factory=dict)
    input_data_config: tuple[Channel, ...] = ()
    resource_config: ResourceConfig = ResourceConfig()
    stopping_condition: StoppingCondition = StoppingCondition()
    checkpoint_config: CheckpointConfig | None = None
    enable_network_isolation: bool = False
    environment: dict[str, str] = msgspec.field(default_factory=dict)


class TransformS3Source(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """Objects that a transform job reads."""

    s3_uri: str
    s3_data_type: str = "S3Prefix"


class TransformDataSource(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """Where the data of a transform job comes from."""

    s3_data_source: TransformS3Source


class TransformInput(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """What a transform job reads, and how."""

    data_source: TransformDataSource
    content_type: str = ""
    compression_type: str = "None"
    split_type: str = "None"


class TransformOutput(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """Where the answers go, and how."""

    s3_output_path: str
    accept: str = ""
    assemble_with: str = "None"


class TransformResources(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """What a transform job may use."""

    instance_type: str = "ml.m5.large"
    instance_count: int = 1


class DataProcessing(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """What is taken of records and answers, and whether they are put together."""

    input_filter: str = "$"
    join_source: str = "None"
    output_filter: str = "$"


class ModelClientConfig(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """How patient a transform job is with its model."""

    invocations_timeout_in_seconds: int = 600
    invocations_max_retries: int = 3


class TransformJobRequest(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """CreateTransformJob, as far as the platform acts on it."""

    model_name: str
    transform_input: TransformInput
    transform_output: TransformOutput
    transform_resources: TransformResources = TransformResources()
    max_concurrent_transforms: int = 0  #: 0: nothing was said
    max_payload_in_mb: int | None = msgspec.field(name="MaxPayloadInMB", default=None)
    batch_strategy: str | None = None
    environment: dict[str, str] = msgspec.field(default_factory=dict)
    data_processing: DataProcessing = DataProcessing()
    model_client_config: ModelClientConfig = ModelClientConfig()
    data_capture_config: dict[str, object] | None = None
