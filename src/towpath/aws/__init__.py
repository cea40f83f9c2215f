"""How the clients of AWS find this server: variables, the configuration of the SageMaker SDKs, sessions of boto3."""

from towpath.aws.boto import session
from towpath.aws.environment import HOOK, ClientEnvironment, client_environment

__all__ = ["HOOK", "ClientEnvironment", "client_environment", "session"]
