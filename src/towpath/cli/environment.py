"""`towpath env`: what a shell needs so that boto3 and the AWS command line talk to this server."""

from __future__ import annotations

import shlex

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
    }
    if as_json:
        show_json(values)
        return
    for name, value in values.items():
        print(f"export {name}={shlex.quote(value)}")
