"""Script mode: which script a training job runs, its command line, and what variables and files tell it."""

import json
from collections.abc import Mapping
from typing import Any

from towpath.jobs.cluster import FIRST, Cluster
from towpath.jobs.requests import TrainingJobRequest
from towpath.kernel.resource import Document
from towpath.kernel.texts import read_json

_CONTROL_PREFIX = "sagemaker_"  #: hyperparameters that speak to the toolkit, not to the script
_KNOWN_CONTROL = {
    "sagemaker_program",
    "sagemaker_submit_directory",
    "sagemaker_container_log_level",
    "sagemaker_region",
    "sagemaker_job_name",
}


def decoded(value: str) -> Any:
    """Return a hyperparameter's value: what it means as JSON, else the text itself.

    Framework estimators send JSON, pipeline variables arrive as they are.
    """
    try:
        return read_json(value, not_a_number=True)
    except ValueError:
        return value


def hyperparameters(request: TrainingJobRequest) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the decoded hyperparameters: (the script's own, those that control the toolkit)."""
    own: dict[str, Any] = {}
    control: dict[str, Any] = {}
    for key, value in sorted(request.hyper_parameters.items()):
        is_control = key.startswith(_CONTROL_PREFIX) or key == "_tuning_objective_metric"
        (control if is_control else own)[key] = decoded(value)
    return own, control


def arguments(own: Mapping[str, Any]) -> list[str]:
    """Return the script's command line: `--key value`, keys sorted, `-k` for keys of one letter.

    Booleans read `True` and `False`, null is empty, a map reads `a=1,b=2`, as the training toolkit writes them.
    """
    words: list[str] = []
    for key, value in sorted(own.items()):
        words.append(f"-{key}" if len(key) == 1 else f"--{key}")
        if value is None:
            words.append("")
        elif isinstance(value, dict):
            words.append(",".join(f"{name}={item}" for name, item in sorted(value.items())))
        else:
            words.append(str(value))
    return words


def script(request: TrainingJobRequest) -> tuple[str | None, str | None]:
    """Return (program, source directory) of script mode, (None, None) when the request runs another way."""
    specification = request.algorithm_specification
    if specification.container_entrypoint or specification.container_arguments:
        return None, None
    _, control = hyperparameters(request)
    program = control.get("sagemaker_program")
    if not program:
        return None, None
    source = control.get("sagemaker_submit_directory")
    return str(program), str(source) if source else None


def input_data_config(request: TrainingJobRequest) -> Document:
    """Return the content of inputdataconfig.json."""
    default = request.algorithm_specification.training_input_mode
    config: Document = {}
    for channel in request.input_data_config:
        source = channel.data_source.s3_data_source
        config[channel.channel_name] = {
            "TrainingInputMode": channel.input_mode or default,
            "S3DistributionType": source.s3_data_distribution_type if source else "FullyReplicated",
            "RecordWrapperType": channel.record_wrapper_type,
            **({"ContentType": channel.content_type} if channel.content_type else {}),
        }
    return config


def script_environment(
    request: TrainingJobRequest, name: str, machines: Cluster, host: str, *, cores: int, gpus: int
) -> dict[str, str]:
    """Return the SM_* variables of script mode on one of the hosts."""
    own, control = hyperparameters(request)
    channels = {c.channel_name: f"/opt/ml/input/data/{c.channel_name}" for c in request.input_data_config}
    framework = {key: value for key, value in control.items() if key not in _KNOWN_CONTROL}
    hosts = machines.resource_config(host)["hosts"]
    told = _told(request, machines, host, cores=cores, gpus=gpus)
    values: dict[str, Any] = {
        **{key.upper(): value for key, value in told.items()},
        "CURRENT_INSTANCE_GROUP": machines.group,
        "CURRENT_INSTANCE_GROUP_HOSTS": hosts,
        "INSTANCE_GROUPS": [machines.group],
        "NUM_NEURONS": 0,
        "USER_ARGS": arguments(own),
        "HPS": own,
        "CHANNELS": sorted(channels),
        "FRAMEWORK_PARAMS": framework,
        "FRAMEWORK_MODULE": "",
        "TRAINING_ENV": {
            **told,
            "additional_framework_parameters": framework,
            "channel_input_dirs": channels,
            "hyperparameters": own,
            "is_master": host == FIRST,
            "job_name": name,
            "master_hostname": FIRST,
        },
    }
    values.update({f"CHANNEL_{channel.upper()}": path for channel, path in channels.items()})
    values.update({f"HP_{key.upper()}": value for key, value in own.items()})
    return {f"SM_{key}": _variable(value) for key, value in values.items()}


def _told(request: TrainingJobRequest, machines: Cluster, host: str, *, cores: int, gpus: int) -> Document:
    """Return what stands both in variables of its own and in SM_TRAINING_ENV."""
    _, control = hyperparameters(request)
    program, source = script(request)
    resources = machines.resource_config(host)
    return {
        "current_host": host,
        "current_instance_type": machines.instance_type,
        "hosts": resources["hosts"],
        "input_config_dir": "/opt/ml/input/config",
        "input_data_config": input_data_config(request),
        "input_dir": "/opt/ml/input",
        "log_level": control.get("sagemaker_container_log_level", 20),
        "model_dir": "/opt/ml/model",
        "module_dir": source or "/opt/ml/code",
        "module_name": (program or "").removesuffix(".py"),
        "network_interface_name": resources["network_interface_name"],
        "num_cpus": cores,
        "num_gpus": gpus,
        "output_data_dir": "/opt/ml/output/data",
        "output_dir": "/opt/ml/output",
        "output_intermediate_dir": "/opt/ml/output/intermediate",
        "resource_config": resources,
        "user_entry_point": program or "",
    }


def _variable(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
