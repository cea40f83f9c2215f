"""Options that many commands share, and the client that they lead to."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer
from typer.core import TyperCommand

from towpath.cli.server import HomeOption, folder
from towpath.sdk.client import Client

JsonOption: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
EXAMPLE_VERSION = "GROUP/VERSION, for example reviews/3. GROUP alone means the newest."

__all__ = ["EXAMPLE_VERSION", "HomeOption", "JsonOption", "connect", "folder", "listing_all"]


def listing_all(instead: str) -> type[TyperCommand]:
    """Return what makes a command that lists everything say, where it is given names, which command is about one.

    Args:
        instead: that command, with {} for the name.
    """

    class ListingAll(TyperCommand):
        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            ctx.allow_extra_args = True
            rest = super().parse_args(ctx, args)
            if ctx.args:
                command = instead.format(shlex.quote(ctx.args[0]))
                ctx.fail(f"{ctx.command_path} lists all of them; about {ctx.args[0]}: {command}")
            return rest

    return ListingAll


def connect(home: Path | None) -> Client:
    """Return a client of the server that a command's options mean.

    Raises:
        NoServer: none runs; says how to start one.
    """
    return Client(home=folder(home).path)
