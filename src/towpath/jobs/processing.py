"""CreateProcessingJob as a job: what is read, what is run, what is kept."""

from msgspec.structs import replace

from towpath.jobs.channels import Role, WantedInput, below_root
from towpath.jobs.cluster import FIRST, Cluster
from towpath.jobs.contract import (
    Attempt,
    as_json,
    below,
    environment,
    requirements_beside,
)
from towpath.jobs.model import JobSpec, Output
from towpath.jobs.requests import ProcessingInput, ProcessingJobRequest
from towpath.kernel.errors import Invalid, Unsupported
from towpath.kernel.objects import parse_s3_uri
from towpath.kernel.resource import Document, Resource, view

_SHARDED = "ShardedByS3Key"
_CODE_NAMES = {"code", "entrypoint", "aux"}  #: what the SageMaker SDKs call the inputs that hold code


def wanted_inputs(request: ProcessingJobRequest) -> tuple[WantedInput, ...]:
    """Return the objects that a processing job asks for.

    Raises:
        Invalid, Unsupported: an input is not one that can be laid out.
    """
    return tuple(_wanted(item, request) for item in request.processing_inputs if not item.app_managed)


def _wanted(item: ProcessingInput, request: ProcessingJobRequest) -> WantedInput:
    source = item.s3_input
    what = f"ProcessingInputs {item.input_name!r}"
    if source is None:
        raise Unsupported(f"{what}: only S3Input is supported; put the data into S3 and name it there")
    if source.s3_data_type not in {"S3Prefix", "ManifestFile"}:
        raise Unsupported(f"{what}: S3DataType {source.s3_data_type!r} is not supported; use S3Prefix or ManifestFile")
    if source.s3_input_mode != "File" or source.s3_compression_type != "None":
        raise Unsupported(f"{what}: only S3InputMode File without compression is supported")
    if source.local_path is None:
        raise Invalid(f"{what}: LocalPath is missing; say where below /opt/ml/processing the files shall lie")
    parse_s3_uri(source.s3_uri)
    specification = request.app_specification
    folder = source.local_path.rstrip("/")
    names_code = any(
        word == folder or word.startswith(folder + "/")
        for word in (*specification.container_entrypoint, *specification.container_arguments[:1])
    )
    return WantedInput(
        name=item.input_name,
        uri=source.s3_uri,
        path=below_root(source.local_path, what=f"{what}: LocalPath"),
        manifest=source.s3_data_type == "ManifestFile",
        role=Role.CODE if names_code or item.input_name in _CODE_NAMES else Role.DATA,
        sharded=source.s3_data_distribution_type == _SHARDED,
    )


def outputs(request: ProcessingJobRequest) -> tuple[Output, ...]:
    """Return the folders that are kept. What is left of `Continuous` outputs at the job's end is kept whether it failed
    or not, since what was written earlier is there already."""
    found = []
    for item in request.processing_output_config.outputs:
        what = f"ProcessingOutputConfig.Outputs {item.output_name!r}"
        if item.app_managed:
            continue
        if item.feature_store_output is not None or item.s3_output is None:
            raise Unsupported(f"{what}: only S3Output is supported")
        if item.s3_output.local_path is None:
            raise Invalid(f"{what}: LocalPath is missing; say which folder below /opt/ml/processing is kept")
        bucket, key = below(item.s3_output.s3_uri)
        continuous = item.s3_output.s3_upload_mode == "Continuous"
        found.append(
            Output(
                name=item.output_name,
                path=below_root(item.s3_output.local_path, what=f"{what}: LocalPath"),
                bucket=bucket,
                key=key,
                on_failure=continuous,
                continuous=continuous,
            )
        )
    return tuple(found)


def cluster(request: ProcessingJobRequest) -> Cluster:
    """Return the machines that a processing job asks for."""
    asked = request.processing_resources.cluster_config
    return Cluster(instance_type=asked.instance_type, count=asked.instance_count)


def check(request: ProcessingJobRequest) -> None:
    """Raise Invalid or Unsupported when the request cannot become a job on this platform."""
    wanted_inputs(request)
    outputs(request)
    cluster(request).check()
    if not request.app_specification.container_entrypoint:
        raise Invalid(
            "AppSpecification.ContainerEntrypoint is missing. Images are Python environments here and have no command "
            'of their own; name one, for example ["python3", "/opt/ml/processing/input/code/prepare.py"].'
        )


def job(resource: Resource, attempt: Attempt) -> JobSpec:
    """Return a processing job for the back end."""
    request = view(ProcessingJobRequest, resource.spec)
    check(request)
    machines = cluster(request)
    specification = request.app_specification
    own = {"PROCESSING_JOB_NAME": resource.name, "PROCESSING_JOB_ARN": resource.arn}
    variables = environment(attempt.surroundings, request.environment, own)
    wanted = wanted_inputs(request)

    def files(host: str) -> dict[str, str]:
        return {
            "config/processingjobconfig.json": as_json(job_config(resource)),
            "config/resourceconfig.json": as_json(machines.resource_config(host)),
        }

    common = attempt.job(
        resource,
        kind="processing",
        argv=(*specification.container_entrypoint, *specification.container_arguments),
        environment=variables,
        files=files(FIRST),
        folders=("output",),
        wanted=wanted,
        outputs=outputs(request),
        allocated=attempt.allocated(machines),
        max_runtime_s=float(request.stopping_condition.max_runtime_in_seconds),
        network=not request.network_config.enable_network_isolation,
        hosts=machines.parts(lambda _: variables, files),
    )
    return replace(
        common,
        host=FIRST if machines.count == 1 else "",
        requirements=requirements_beside(wanted),
        failure_file="output/message",
    )


def job_config(resource: Resource) -> Document:
    """Return the content of processingjobconfig.json: the request, with the job's name and ARN."""
    return {
        **resource.spec,
        "ProcessingJobName": resource.name,
        "ProcessingJobArn": resource.arn,
    }
