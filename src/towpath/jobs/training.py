"""CreateTrainingJob as a job: channels, the three ways to run, and what is kept."""

from msgspec.structs import replace

from towpath.jobs import remote
from towpath.jobs.channels import ROOT, Role, WantedInput, below_root
from towpath.jobs.cluster import FIRST, Cluster, of_groups
from towpath.jobs.contract import (
    NOTEBOOK_PATH,
    TOOLKIT_PATH,
    Attempt,
    as_json,
    below,
    environment,
    requirements_beside,
)
from towpath.jobs.images import Environment
from towpath.jobs.metrics import definitions
from towpath.jobs.model import JobSpec, Output, OutputMode
from towpath.jobs.requests import Channel, TrainingJobRequest
from towpath.jobs.script_mode import arguments, hyperparameters, input_data_config, script, script_environment
from towpath.kernel.errors import Invalid, Unsupported
from towpath.kernel.objects import parse_s3_uri
from towpath.kernel.resource import Resource, view

_CODE_CHANNELS = {
    "code",
    "sm_drivers",
    "sagemaker_remote_function_bootstrap",
    "pre_exec_script_and_dependencies",
}  #: what the SageMaker SDKs call the channels that hold code
#: The entrypoint of notebook jobs. Source: SageMaker Python SDK, NotebookJobStep.
_SCHEDULER = "amazon_sagemaker_scheduler"
#: Of `distribution` in estimators of the SageMaker SDK 2.
_LAUNCHERS = {
    "sagemaker_torch_distributed_enabled",
    "sagemaker_pytorch_ddp_enabled",
    "sagemaker_pytorch_xla_multi_worker_enabled",
    "sagemaker_distributed_dataparallel_enabled",
    "sagemaker_mpi_enabled",
    "sagemaker_parameter_server_enabled",
    "sagemaker_multi_worker_mirrored_strategy_enabled",
}


def wanted_inputs(request: TrainingJobRequest) -> tuple[WantedInput, ...]:
    """Return the objects that a training job asks for: channels, the source archive, checkpoints of an earlier run.

    Raises:
        Invalid, Unsupported: one of them cannot be laid out.
    """
    wanted = [_wanted(channel, request) for channel in request.input_data_config]
    program, source = script(request)
    if program is not None and source is not None and source.startswith("s3://"):
        parse_s3_uri(source)
        wanted.append(WantedInput(name="sourcedir", uri=source, path="code", unpack=True, role=Role.CODE))
    if request.checkpoint_config is not None:
        wanted.append(
            WantedInput(
                name="checkpoints",
                uri=request.checkpoint_config.s3_uri,
                path=below_root(request.checkpoint_config.local_path, what="CheckpointConfig.LocalPath"),
                role=Role.CHECKPOINT,
                optional=True,
            )
        )
    return tuple(wanted)


def _wanted(channel: Channel, request: TrainingJobRequest) -> WantedInput:
    what = f"InputDataConfig {channel.channel_name!r}"
    source = channel.data_source.s3_data_source
    if source is None:
        raise Unsupported(f"{what}: only S3DataSource is supported; put the data into S3 and name it there")
    if source.s3_data_type not in {"S3Prefix", "ManifestFile"}:
        raise Unsupported(f"{what}: S3DataType {source.s3_data_type!r} is not supported; use S3Prefix or ManifestFile")
    mode = channel.input_mode or request.algorithm_specification.training_input_mode
    if mode == "Pipe":
        raise Unsupported(f"{what}: input mode Pipe is not supported; use File")
    if channel.compression_type != "None" or channel.record_wrapper_type != "None":
        raise Unsupported(f"{what}: CompressionType and RecordWrapperType are not supported; leave them None")
    parse_s3_uri(source.s3_uri)
    return WantedInput(
        name=channel.channel_name,
        uri=source.s3_uri,
        path=f"input/data/{channel.channel_name}",
        manifest=source.s3_data_type == "ManifestFile",
        role=Role.CODE if channel.channel_name in _CODE_CHANNELS else Role.DATA,
        sharded=source.s3_data_distribution_type == "ShardedByS3Key",
    )


def model_location(request: TrainingJobRequest, name: str) -> tuple[str, str]:
    """Return (bucket, key) of what becomes of /opt/ml/model: an archive, or a prefix where compression is NONE."""
    config = request.output_data_config
    last = "model/" if config.compression_type == "NONE" else "model.tar.gz"
    return below(config.s3_output_path, name, "output", last)


def outputs(request: TrainingJobRequest, name: str) -> tuple[Output, ...]:
    """Return the folders that are kept."""
    plain = request.output_data_config.compression_type == "NONE"
    mode = OutputMode.FILES if plain else OutputMode.DISCARD_IF_EMPTY_ARCHIVE
    bucket, key = model_location(request, name)
    data_bucket, data_key = below(
        request.output_data_config.s3_output_path, name, "output", "data" if plain else "output.tar.gz"
    )
    found = [
        # No archive of an empty folder: what reads the model next then says that there is none.
        Output(name="model", path="model", bucket=bucket, key=key.rstrip("/"), mode=mode),
        Output(name="data", path="output/data", bucket=data_bucket, key=data_key, mode=mode, on_failure=True),
    ]
    if request.checkpoint_config is not None:
        bucket, key = below(request.checkpoint_config.s3_uri)
        path = below_root(request.checkpoint_config.local_path, what="CheckpointConfig.LocalPath")
        found.append(Output(name="checkpoints", path=path, bucket=bucket, key=key, on_failure=True, continuous=True))
    return tuple(found)


def check(request: TrainingJobRequest) -> None:
    """Raise Invalid or Unsupported when the request cannot become a job on this platform."""
    specification = request.algorithm_specification
    if specification.training_image is None:
        raise Unsupported("AlgorithmSpecification.TrainingImage is missing; AlgorithmName is not supported")
    wanted_inputs(request)
    outputs(request, "name")
    definitions(specification.metric_definitions)
    cluster(request).check()


def cluster(request: TrainingJobRequest) -> Cluster:
    """Return the machines that a training job asks for.

    Raises:
        Unsupported: it asks for several groups of them.
    """
    asked = request.resource_config
    if asked.instance_groups:
        return of_groups(asked.instance_groups)
    return Cluster(instance_type=asked.instance_type, count=asked.instance_count)


def command(request: TrainingJobRequest, image: Environment) -> tuple[tuple[str, ...], str]:
    """Return (command, working folder): the entrypoint as given, else the script of script mode, else `train`.

    Raises:
        Invalid: there is nothing to run.
    """
    specification = request.algorithm_specification
    if specification.container_entrypoint or specification.container_arguments:
        if not specification.container_entrypoint:
            raise Invalid("AlgorithmSpecification.ContainerArguments needs ContainerEntrypoint")
        if is_notebook(request):
            return ("{python}", f"/opt/ml/{NOTEBOOK_PATH}"), "/opt/ml"
        return (*specification.container_entrypoint, *specification.container_arguments), "/opt/ml"
    program, source = script(request)
    if program is not None:
        own, _ = hyperparameters(request)
        folder = source.rstrip("/") if source and source.startswith("/opt/ml/") else "/opt/ml/code"
        return ("{python}", f"/opt/ml/{TOOLKIT_PATH}", program, *arguments(own)), folder
    if "train" in image.commands:
        return ("train",), "/opt/ml"
    raise Invalid(
        f"Nothing says what to run: the request has neither ContainerEntrypoint nor the hyperparameters "
        f"sagemaker_program and sagemaker_submit_directory, and the environment that {image.image!r} is mapped to "
        f"({image.python}) has no command 'train'."
    )


def requirements(request: TrainingJobRequest, folder: str) -> tuple[str, ...]:
    """Return where requirements files may lie, below /opt/ml: beside the program of script mode, else with the code.

    A shell script installs what it needs itself, as in the training toolkit.
    """
    program, _ = script(request)
    if program is None:
        return requirements_beside(wanted_inputs(request))
    return (f"{folder.removeprefix(ROOT + '/')}/requirements.txt",) if program.endswith(".py") else ()


def not_launched(request: TrainingJobRequest) -> tuple[str, ...]:
    """Return what to say of launchers that the toolkit of AWS's images would start the script by."""
    if script(request)[0] is None:
        return ()
    _, control = hyperparameters(request)
    asked = [key for key, value in sorted(control.items()) if key in _LAUNCHERS and value is True]
    return tuple(f"{key}: there is no launcher for it here, the script is run once on each host" for key in asked)


def is_notebook(request: TrainingJobRequest) -> bool:
    """Return whether the job runs a notebook, by the scheduler that SageMaker's own images hold."""
    return request.algorithm_specification.container_entrypoint[:1] == (_SCHEDULER,)


def is_repack(request: TrainingJobRequest) -> bool:
    """Return whether the job only packs code into a model, as the SageMaker SDKs have it done before registering."""
    return {"inference_script", "model_archive"} <= request.hyper_parameters.keys()


def job(resource: Resource, attempt: Attempt) -> JobSpec:
    """Return a training job for the back end."""
    request = view(TrainingJobRequest, resource.spec)
    check(request)
    argv, folder = command(request, attempt.image)
    machines = cluster(request)
    allocated = attempt.allocated(machines)
    program, _ = script(request)
    is_function = remote.is_remote_function(request)

    def variables(host: str) -> dict[str, str]:
        contract = {
            "TRAINING_JOB_NAME": resource.name,
            "TRAINING_JOB_ARN": resource.arn,
            "CURRENT_HOST": host,
        }
        if program is not None:
            contract |= script_environment(
                request, resource.name, machines, host, cores=allocated.cores, gpus=allocated.gpus
            )
        given = remote.variables(attempt.surroundings) if is_function else {}
        return environment(attempt.surroundings, {**given, **request.environment}, contract)

    def files(host: str) -> dict[str, str]:
        found = {
            "input/config/hyperparameters.json": as_json(request.hyper_parameters),
            "input/config/inputdataconfig.json": as_json(input_data_config(request)),
            "input/config/resourceconfig.json": as_json(machines.resource_config(host)),
        }
        if program is not None:
            found[TOOLKIT_PATH] = attempt.surroundings.toolkit_source
        if is_notebook(request):
            found[NOTEBOOK_PATH] = attempt.surroundings.notebook_source
        if is_function:
            found[remote.SDK_CONFIG_PATH] = remote.sdk_config(attempt.surroundings)
        return found

    common = attempt.job(
        resource,
        kind="training",
        argv=argv,
        environment=variables(FIRST),
        files=files(FIRST),
        folders=("code", "output"),
        wanted=wanted_inputs(request),
        outputs=outputs(request, resource.name),
        allocated=allocated,
        max_runtime_s=float(request.stopping_condition.max_runtime_in_seconds),
        network=not request.enable_network_isolation,
        hosts=machines.parts(variables, files),
    )
    return replace(
        common,
        notes=(*common.notes, *not_launched(request)),
        cwd=folder,
        host=FIRST if machines.count == 1 else "",
        metrics=definitions(request.algorithm_specification.metric_definitions),
        requirements=requirements(request, folder),
        failure_file="output/failure",
    )
