"""Options that many commands share, and the client that they lead to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from towpath.cli.server import HomeOption, folder
from towpath.sdk.client import Client

JsonOption: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
EXAMPLE_VERSION = "GROUP/VERSION, for example reviews/3. GROUP alone means the newest."

__all__ = ["EXAMPLE_VERSION", "HomeOption", "JsonOption", "connect", "folder"]


def connect(home: Path | None) -> Client:
    """Return a client of the server that a command's options mean.

    Raises:
        NoServer: none runs; says how to start one.
    """
    return Client(home=folder(home).path)
