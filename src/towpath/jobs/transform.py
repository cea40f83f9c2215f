"""CreateTransformJob as a job: a driver that feeds a model, what both are told, and what is kept.

Source: Amazon SageMaker API Reference, "CreateTransformJob", for defaults and limits.
"""

from msgspec.structs import replace

from towpath.jobs.channels import PinnedInput, WantedInput, shard
from towpath.jobs.cluster import FIRST, Cluster
from towpath.jobs.contract import Attempt, below
from towpath.jobs.model import JobSpec, Output
from towpath.jobs.requests import TransformJobRequest
from towpath.jobs.served import ServedModel, model_environment, model_requirements
from towpath.kernel.errors import Invalid, Unsupported
from towpath.kernel.objects import parse_s3_uri
from towpath.kernel.resource import Document, Resource, view
from towpath.transform.joining import Processing, Unjoinable, format_of
from towpath.transform.jsonpath import PathError
from towpath.transform.settings import FAILURE, INPUT, MEGABYTE, OUTPUT, PARTIAL, SETTINGS, Settings, Source

MODEL = "Model"  #: member of the state that holds what the model was made of when the job was created; never shown
MOST_MB = 100  #: of a payload, and of all that are under way
LONGEST_S = 5 * 86_400.0  #: that a job may run; as long as AWS lets a job of this kind
_DATA = "transform"  #: name of input and output


def model_of(resource: Resource) -> ServedModel:
    """Return what a transform job's model is made of."""
    return model_in(resource.state)


def model_in(state: Document) -> ServedModel:
    """Return what the model of a transform job in this state is made of."""
    return view(ServedModel, state[MODEL])


def wanted_inputs(request: TransformJobRequest) -> tuple[WantedInput, ...]:
    """Return the objects that a transform job asks for, which are divided among its hosts.

    Raises:
        Invalid, Unsupported: the input is not one that can be laid out.
    """
    source = request.transform_input.data_source.s3_data_source
    if source.s3_data_type not in {"S3Prefix", "ManifestFile"}:
        raise Unsupported(
            f"TransformInput: S3DataType {source.s3_data_type!r} is not supported; use S3Prefix or ManifestFile"
        )
    parse_s3_uri(source.s3_uri)
    manifest = source.s3_data_type == "ManifestFile"
    return (WantedInput(name=_DATA, uri=source.s3_uri, path=INPUT, manifest=manifest, sharded=True),)


def output(request: TransformJobRequest) -> Output:
    """Return the folder that is kept. Files whose records were all answered are kept where others failed too."""
    bucket, key = below(request.transform_output.s3_output_path)
    return Output(name=_DATA, path=OUTPUT, bucket=bucket, key=key, on_failure=True)


def check(request: TransformJobRequest) -> None:
    """Raise Invalid or Unsupported when the request cannot become a job on this platform."""
    wanted_inputs(request)
    output(request)
    cluster(request).check()
    split = request.transform_input.split_type
    if split not in {"None", "Line"}:
        raise Unsupported(
            f"TransformInput: SplitType {split!r} is not supported; use Line for files of text, or None and an object "
            "for each record"
        )
    if request.data_capture_config is not None:
        raise Unsupported(
            "DataCaptureConfig of transform jobs is not supported yet; leave it out: the lineage tells what was read "
            "and what came of it, version by version"
        )
    _check_payload(request)
    _check_processing(request)


def cluster(request: TransformJobRequest) -> Cluster:
    """Return the machines that a transform job asks for."""
    asked = request.transform_resources
    return Cluster(instance_type=asked.instance_type, count=asked.instance_count)


def _check_payload(request: TransformJobRequest) -> None:
    payload_mb, concurrent = request.max_payload_in_mb, request.max_concurrent_transforms
    if payload_mb is not None and payload_mb > MOST_MB:
        raise Invalid(f"MaxPayloadInMB is {payload_mb}; expected at most {MOST_MB}")
    if payload_mb is not None and payload_mb * concurrent > MOST_MB:
        raise Invalid(
            f"MaxConcurrentTransforms * MaxPayloadInMB is {payload_mb * concurrent} MB; expected at most {MOST_MB} MB"
        )


def _check_processing(request: TransformJobRequest) -> None:
    asked = request.data_processing
    media_type, accept = request.transform_input.content_type, request.transform_output.accept
    try:
        processing = Processing.of(
            media_type,
            input_filter=asked.input_filter,
            join=asked.join_source == "Input",
            output_filter=asked.output_filter,
        )
    except (PathError, Unjoinable) as error:
        raise Invalid(f"DataProcessing: {error}") from error
    if processing is not None and processing.changes and accept and format_of(accept) != processing.format:
        raise Invalid(
            f"DataProcessing: the answers are {accept} (Accept) and the records {media_type} (ContentType); expected "
            "the same type, since both become rows or documents of one file"
        )


def settings(request: TransformJobRequest, inputs: tuple[PinnedInput, ...], host: str = FIRST) -> Settings:
    """Return what the driver on one of the hosts is told.

    Args:
        inputs: all of the job; the host's part of the data among them is transformed in the order of its keys.
    """
    read, processing, client = request.transform_input, request.data_processing, request.model_client_config
    payload_mb = 6 if request.max_payload_in_mb is None else request.max_payload_in_mb
    data = next(item for item in inputs if item.name == _DATA)
    hosts = cluster(request).hosts
    own = [item for position, item in enumerate(data.objects) if shard(position, hosts) == host]
    joins = processing.join_source == "Input" or processing.output_filter != "$"
    return Settings(
        sources=tuple(Source(path=item.path[len(INPUT) + 1 :], uri=item.uri) for item in own),
        content_type=read.content_type,
        accept=request.transform_output.accept or (read.content_type if joins else ""),
        compression=read.compression_type,
        split=read.split_type,
        batch=request.batch_strategy or "MultiRecord",
        payload_bytes=payload_mb * MEGABYTE or None,
        concurrent=request.max_concurrent_transforms or None,
        assemble=request.transform_output.assemble_with,
        input_filter=processing.input_filter,
        join=processing.join_source == "Input",
        output_filter=processing.output_filter,
        timeout_s=float(client.invocations_timeout_in_seconds),
        retries=client.invocations_max_retries,
    )


def job(resource: Resource, attempt: Attempt) -> JobSpec:
    """Return a transform job for the back end."""
    request = view(TransformJobRequest, resource.spec)
    check(request)
    model = model_of(resource)
    asked = {**model.environment, **request.environment}
    machines = cluster(request)
    allocated = attempt.allocated(machines)
    told = {host: settings(request, attempt.inputs, host) for host in machines.hosts}
    variables = model_environment(attempt.surroundings, asked, _told(told[FIRST]), cores=allocated.cores)

    def files(host: str) -> dict[str, str]:
        return {SETTINGS: told[host].text()}

    common = attempt.job(
        resource,
        kind="transform",
        argv=("{python}", "-m", "towpath.transform"),
        environment=variables,
        files=files(FIRST),
        folders=("model", "output", PARTIAL),
        wanted=wanted_inputs(request),
        outputs=(output(request),),
        allocated=allocated,
        max_runtime_s=LONGEST_S,
        network=model.network,
        hosts=machines.parts(lambda _: variables, files),
    )
    return replace(common, requirements=model_requirements(asked), failure_file=FAILURE)


def _told(told: Settings) -> dict[str, str]:
    """Return the variables by which a handler learns that it is asked by a transform job.

    Source: Amazon SageMaker AI Developer Guide, "Custom Inference Code with Batch Transform".
    """
    many = told.split == "Line" and told.batch == "MultiRecord"
    payload_mb = 0 if told.payload_bytes is None else told.payload_bytes // MEGABYTE
    return {
        "SAGEMAKER_BATCH": "true",
        "SAGEMAKER_BATCH_STRATEGY": "MULTI_RECORD" if many else "SINGLE_RECORD",
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": str(payload_mb),
        "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": str(told.concurrent or 1),
    }


def parameters(request: TransformJobRequest) -> Document:
    """Return what the lineage keeps of the request."""
    asked = {
        "batch_strategy": request.batch_strategy,
        "split_type": request.transform_input.split_type,
        "model": request.model_name,
    }
    return {name: value for name, value in asked.items() if value is not None}
