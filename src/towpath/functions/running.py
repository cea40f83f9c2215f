"""A call as a job: what its process is told, what it may use, and where its answer is found."""

import math
from collections.abc import Mapping
from datetime import datetime

from towpath.functions.model import LATEST, LOG_GROUPS, MB_OF_A_CORE, InvocationSpec
from towpath.handling.settings import ANSWER, ARCHIVE, CODE, EVENT, SETTINGS, Call
from towpath.handling.supervisor import IMPORT_S
from towpath.jobs.contract import Surroundings, environment
from towpath.jobs.images import Environment
from towpath.jobs.instances import Capacity
from towpath.jobs.model import InputFile, JobSpec, Limits, Output
from towpath.kernel.resource import Resource

KIND = "function"  #: of the job
_TO_END_S = 30.0  #: that the processes around the handler may take beyond its own time


def stream_name(key: str, created_at: datetime) -> str:
    """Return the name of the log stream of an attempt, in the form of Lambda's."""
    return f"{created_at:%Y/%m/%d}/[{LATEST}]{key}"


def reserved(spec: InvocationSpec) -> Capacity:
    """Return what is set aside for a call: a place among the calls that run at a time, and its memory."""
    return Capacity(cores=1.0, memory_bytes=spec.configuration.memory_size << 20)


def job(
    call: Resource, spec: InvocationSpec, key: str, *, image: Environment, path: str, surroundings: Surroundings
) -> JobSpec:
    """Return the job that makes one attempt of a call.

    Args:
        path: of the bytes of the code, on the runner's host.
    """
    asked = spec.configuration
    told = Call(
        request_id=spec.request_id,
        handler=asked.handler,
        timeout_s=float(asked.timeout),
        function_name=spec.function_name,
        function_arn=spec.function_arn,
        memory_mb=asked.memory_size,
        log_group=LOG_GROUPS + spec.function_name,
        log_stream=stream_name(key, call.created_at),
        client_context=spec.client_context,
    )
    cores = min(max(1, math.ceil(asked.memory_size / MB_OF_A_CORE)), surroundings.host_cores)
    code = InputFile(
        path=ARCHIVE,
        source=path,
        size=spec.code.size,
        sha256=spec.code.sha256,
        uri=spec.code.ref.uri,
        version_id=spec.code.version_id,
    )
    return JobSpec(
        key=key,
        kind=KIND,
        name=f"{spec.function_name}/{call.name}",
        argv=("{python}", "-m", "towpath.handling"),
        environment=environment(surroundings, asked.variables, _variables(told, asked.runtime, cores)),
        python=image.python,
        files={SETTINGS: told.text(), EVENT: spec.payload},
        folders=(CODE, ANSWER),
        inputs=(code,),
        # It goes nowhere: the answer is read where it was staged.
        outputs=(Output(name=ANSWER, path=ANSWER, bucket="", key="", on_failure=True),),
        limits=Limits(
            max_runtime_s=max(IMPORT_S, told.timeout_s) + told.timeout_s + _TO_END_S,
            cores=cores,
            memory_bytes=asked.memory_size << 20,
            stop_grace_s=0.0,
        ),
        tags={"function": spec.function_name},
        notes=_notes(asked.runtime, image),
    )


def _variables(told: Call, runtime: str, cores: int) -> Mapping[str, str]:
    """Return what the platform sets. Source: AWS Lambda Developer Guide, "Defined runtime environment variables"."""
    return {
        "TOWPATH_FUNCTION_BASE": "/opt/ml",
        "LAMBDA_TASK_ROOT": f"/opt/ml/{CODE}",
        "_HANDLER": told.handler,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{runtime}",
        "AWS_LAMBDA_FUNCTION_NAME": told.function_name,
        "AWS_LAMBDA_FUNCTION_VERSION": LATEST,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(told.memory_mb),
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": told.log_group,
        "AWS_LAMBDA_LOG_STREAM_NAME": told.log_stream,
        "OMP_NUM_THREADS": str(cores),
    }


def _notes(runtime: str, image: Environment) -> tuple[str, ...]:
    """Return what the log begins with where another Python than the one named runs the function."""
    version = runtime.removeprefix("python")
    if image.python_version == version or image.python_version.startswith(f"{version}."):
        return ()
    return (f"{runtime} is Python {image.python_version} of {image.python} here ({image.description})",)
