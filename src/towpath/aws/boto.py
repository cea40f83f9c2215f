"""Sessions of boto3 whose clients talk to a Towpath server, for notebooks and programs that set no variables."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from towpath import settings
from towpath.aws.environment import service_models
from towpath.aws.hook.sitecustomize import address
from towpath.home import HomeFolder, find_home
from towpath.sdk.errors import ClientError, NoServer

if TYPE_CHECKING:
    import boto3


class NoBoto3(ClientError, ImportError):
    """This environment has no boto3."""


def session(home: str | Path | None = None) -> boto3.Session:
    """Return a session of boto3 whose clients and resources talk to a server as its administrator.

    Whatever the environment and `~/.aws` say of addresses and keys is left alone and not used. It knows the service
    `towpath` as well, and `sagemaker.Session(boto_session=towpath.aws.session())` works.

    Args:
        home: the home's folder; default: `TOWPATH_HOME`, the project's `.towpath`, `~/.towpath`.
    Raises:
        NoBoto3: boto3 is not installed here; says how to install it.
        NoServer: no server runs; says how to start one.
    """
    try:
        import boto3
        import botocore.session
    except ImportError as error:
        raise NoBoto3(
            "towpath.aws.session() needs boto3, which this environment does not have: pip install 'boto3>=1.34'"
        ) from error
    folder = find_home() if home is None else HomeFolder(Path(home).expanduser().absolute())
    server, credentials = folder.running_server(), folder.credentials()
    if server is None or credentials is None:
        raise NoServer(f"no server is running for {folder.path}; start one: towpath up --background{folder.option}")
    region = server.region or settings.load(folder.settings_file).region
    url = server.url

    class Session(botocore.session.Session):  # type: ignore[misc] # botocore has no types
        """Makes clients of one server."""

        def create_client(
            self,
            service_name: str,
            region_name: str | None = None,
            api_version: str | None = None,
            use_ssl: bool = True,
            verify: Any = None,
            endpoint_url: str | None = None,
            *arguments: Any,
            **named: Any,
        ) -> Any:
            wanted = address(service_name, endpoint_url, url) or url
            return super().create_client(
                service_name, region_name, api_version, use_ssl, verify, wanted, *arguments, **named
            )

    # A profile that the environment names may not exist here, and what it says is not meant for this server.
    inner = Session({"profile": (None, None, None, None), "config_file": (None, None, os.devnull, None)})
    inner.set_credentials(credentials.access_key, credentials.secret_key)
    inner.set_config_variable("region", region)
    if server.ca:
        inner.set_config_variable("ca_bundle", server.ca)
    inner.get_component("data_loader").search_paths.append(str(service_models()))
    return boto3.Session(botocore_session=inner)
