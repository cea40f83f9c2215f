"""What the environment of a process has to hold so that the AWS clients in it talk to one server."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit
from xml.etree import ElementTree

import towpath
from towpath import settings
from towpath.aws import sdk_config
from towpath.callers import bearer_token
from towpath.home import HomeFolder
from towpath.sdk.errors import Denied, NoServer
from towpath.sdk.transport import Transport

#: A folder for the front of PYTHONPATH, see its `sitecustomize`.
HOOK = Path(__file__).with_name("hook")

#: What would lead a client elsewhere although AWS_ENDPOINT_URL is set, or keep it from starting.
_MISLEADING = frozenset(
    {
        "AWS_DEFAULT_PROFILE",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
        "AWS_PROFILE",
        "AWS_SECURITY_TOKEN",
        "AWS_SESSION_TOKEN",
        "AWS_USE_DUALSTACK_ENDPOINT",
        "AWS_USE_FIPS_ENDPOINT",
    }
)
_ENDPOINT_OF_A_SERVICE = "AWS_ENDPOINT_URL_"
_PROXIES = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
_IDENTITY = "{https://sts.amazonaws.com/doc/2011-06-15/}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientEnvironment:
    """Changes to an environment."""

    values: Mapping[str, str]
    unset: tuple[str, ...]  #: names that are set now and must not be

    def applied(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Return an environment with the changes made."""
        kept = {name: value for name, value in environment.items() if name not in self.unset}
        return {**kept, **self.values}


def client_environment(home: HomeFolder, environment: Mapping[str, str]) -> ClientEnvironment:
    """Return what to change in an environment, and write the SDKs' configuration file into the home.

    Args:
        environment: as it is now. Where it holds `TOWPATH_ENDPOINT`, that server is meant, with the keys that stand
            there too; else it is the home's, with the administrator's.
    Raises:
        NoServer: none runs; says how to start one.
        Denied: there are no keys for a server elsewhere.
    """
    access = _elsewhere(environment) or _of_home(home)
    region = access.region
    account, role = _caller(access, home)
    config = sdk_config.write(home.clients, account=account, region=region, role=role)
    values = {
        "AWS_ENDPOINT_URL": access.url,
        "AWS_ACCESS_KEY_ID": access.access_key,
        "AWS_SECRET_ACCESS_KEY": access.secret_key,
        "AWS_DEFAULT_REGION": region,
        "AWS_REGION": region,
        # Without it, clients look for a role of a virtual machine first, which takes seconds.
        "AWS_EC2_METADATA_DISABLED": "true",
        # Where botocore finds the service `towpath`: what SageMaker has no operation for.
        "AWS_DATA_PATH": _data_path(environment),
        "SAGEMAKER_USER_CONFIG_OVERRIDE": str(config),
        "SAGEMAKER_SUPPRESS_V2_WARNING": "1",
        # A role is a label here and may be one of an account at AWS, which IAM has nothing to tell about. The SDK 3
        # would refuse to go on with such a one.
        "SAGEMAKER_VALIDATE_ROLE": "false",
        # The SageMaker SDK 3 brings MLflow along, which has telemetry of its own.
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # What AWS clients check the server's certificate by, where the system does not know its authority.
        **({"AWS_CA_BUNDLE": access.ca} if access.ca else {}),
        # The commands and the SDK of Towpath act as the same user then.
        **({"TOWPATH_ENDPOINT": access.url, "TOWPATH_TOKEN": access.token} if access.elsewhere else {}),
        **({"AWS_SESSION_TOKEN": access.session_token} if access.session_token else {}),
        **_no_proxy(access.url, environment),
    }
    misleading = {name for name in environment if name in _MISLEADING or name.startswith(_ENDPOINT_OF_A_SERVICE)}
    return ClientEnvironment(values=values, unset=tuple(sorted(misleading - values.keys())))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Access:
    """A server, and the keys for it."""

    url: str
    ca: str  #: PEM file that its certificate is checked by; empty: what the system trusts
    region: str
    access_key: str
    secret_key: str
    session_token: str = ""  #: where the keys are those of a session
    elsewhere: bool  #: whether it is named by the environment, and not found by the home

    @property
    def token(self) -> str:
        return bearer_token(self.access_key, self.secret_key)


def _of_home(home: HomeFolder) -> _Access:
    server, credentials = home.running_server(), home.credentials()
    if server is None or credentials is None:
        raise NoServer(f"no server is running for {home.path}; start one: towpath up --background{home.option}")
    return _Access(
        url=server.url,
        ca=server.ca,
        region=server.region or settings.load(home.settings_file).region,
        access_key=credentials.access_key,
        secret_key=credentials.secret_key,
        elsewhere=False,
    )


def _elsewhere(environment: Mapping[str, str]) -> _Access | None:
    url = environment.get("TOWPATH_ENDPOINT", "").rstrip("/")
    if not url:
        return None
    keys = environment.get("AWS_ACCESS_KEY_ID", ""), environment.get("AWS_SECRET_ACCESS_KEY", "")
    if not all(keys):
        raise Denied(
            "NoCredentials",
            f"TOWPATH_ENDPOINT names {url}, and there are no keys for it: set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY as `towpath keys create` printed them",
            status=403,
        )
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or settings.Settings().region
    ca = environment.get("AWS_CA_BUNDLE", "")
    return _Access(
        url=url,
        ca=ca,
        region=region,
        access_key=keys[0],
        secret_key=keys[1],
        session_token=environment.get("AWS_SESSION_TOKEN", ""),
        elsewhere=True,
    )


def _caller(access: _Access, home: HomeFolder) -> tuple[str, str]:
    """Return (account, ARN of the role) that the server knows the caller by."""
    advice = partial(home.where_to_look, access.url)
    answer = Transport(access.url, access.token, ca=access.ca or None, advice=advice).send(
        "POST",
        "/",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        body=b"Action=GetCallerIdentity&Version=2011-06-15",
    )
    identity = ElementTree.fromstring(answer.body)
    account = identity.findtext(f".//{_IDENTITY}Account", "")
    # arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION, from which the SDKs work out the role as well.
    role = identity.findtext(f".//{_IDENTITY}Arn", "").split("/")[1]
    return account, f"arn:aws:iam::{account}:role/{role}"


def _data_path(environment: Mapping[str, str]) -> str:
    """Return the folders of service models that AWS clients look into: those they had, and ours."""
    ours = str(service_models())
    had = environment.get("AWS_DATA_PATH", "").split(os.pathsep)
    return os.pathsep.join([*(folder for folder in had if folder not in {"", ours}), ours])


def service_models() -> Path:
    """Return the folder of the models of our own services, laid out as botocore does it."""
    return Path(str(files(towpath) / "gateway" / "models"))


def _no_proxy(url: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that keep requests to the server from a proxy; none where there is no proxy."""
    if not any(environment.get(name) for name in _PROXIES):
        return {}
    host = urlsplit(url).hostname or ""
    had = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    listed = had if host in had.split(",") or had == "*" else ",".join(filter(None, (had, host)))
    return {"NO_PROXY": listed, "no_proxy": listed}
