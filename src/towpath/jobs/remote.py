"""Functions of the SageMaker SDKs (`@step`, `@remote`): training jobs that fetch what they run by S3, and keep what it
returns there.

Source: SageMaker Python SDK 2.257 and 3.27, `remote_function`: the channel of its driver.
"""

from collections.abc import Mapping

from towpath.jobs.contract import Surroundings
from towpath.jobs.requests import TrainingJobRequest
from towpath.jobs.secrets import session_reference

_DRIVER = "sagemaker_remote_function_bootstrap"
SDK_CONFIG_PATH = "input/config/towpath_sagemaker.yaml"  #: below /opt/ml
_SDK_CONFIG = """\
SchemaVersion: "1.0"
SageMaker:
  PythonSDK:
    Modules:
      TelemetryOptOut: true
      Session:
        DefaultS3Bucket: "sagemaker-{region}-{account}"
"""


def is_remote_function(request: TrainingJobRequest) -> bool:
    """Return whether the job runs a function of a SageMaker SDK, by the SDK's own driver."""
    return any(channel.channel_name == _DRIVER for channel in request.input_data_config)


def variables(surroundings: Surroundings) -> Mapping[str, str]:
    """Return what such a job needs to talk S3; what its request sets goes before."""
    return {
        "AWS_ENDPOINT_URL": surroundings.endpoint,
        "AWS_ACCESS_KEY_ID": session_reference("access-key"),
        "AWS_SECRET_ACCESS_KEY": session_reference("secret-key"),
        "AWS_SESSION_TOKEN": session_reference("session-token"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "SAGEMAKER_SUPPRESS_V2_WARNING": "1",
        "SAGEMAKER_USER_CONFIG_OVERRIDE": f"/opt/ml/{SDK_CONFIG_PATH}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


def sdk_config(surroundings: Surroundings) -> str:
    """Return the SDK's defaults for the job: the bucket, which it asks STS at AWS for otherwise, and no telemetry."""
    return _SDK_CONFIG.format(region=surroundings.home.region, account=surroundings.home.account)
