"""`towpath env`: what a shell needs so that boto3 and the AWS command line talk to this server."""

from __future__ import annotations

import os
import shlex
from importlib.resources import files

import towpath
from towpath import settings
from towpath.cli.console import show_json
from towpath.cli.options import HomeOption, JsonOption, folder
from towpath.sdk.errors import NoServer


def env(as_json: JsonOption = False, home: HomeOption = None) -> None:
    """Print what a shell needs for boto3, as `export` lines. They hold the administrator's keys.

    Example: eval "$(towpath env)"
    """
    where = folder(home)
    server, credentials = where.running_server(), where.credentials()
    if server is None or credentials is None:
        raise NoServer(f"no server is running for {where.path}; start one: towpath up --background{where.option}")
    region = settings.load(where.settings_file).region
    values = {
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": credentials.access_key,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
        "AWS_DEFAULT_REGION": region,
        "AWS_REGION": region,
        # Without it, clients look for a role of a virtual machine first, which takes seconds.
        "AWS_EC2_METADATA_DISABLED": "true",
        # Where botocore finds the service `towpath`: what SageMaker has no operation for.
        "AWS_DATA_PATH": _data_path(),
    }
    if as_json:
        show_json(values)
        return
    for name, value in values.items():
        print(f"export {name}={shlex.quote(value)}")


def _data_path() -> str:
    """Return the folders of service models that AWS clients look into: those they had, and ours."""
    ours = str(files(towpath) / "gateway" / "models")
    had = os.environ.get("AWS_DATA_PATH", "").split(os.pathsep)
    return os.pathsep.join([*(folder for folder in had if folder not in {"", ours}), ours])
