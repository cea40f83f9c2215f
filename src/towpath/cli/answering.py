"""`towpath answer`: what a Callback step waits for."""

from __future__ import annotations

from typing import Annotated

import typer

from towpath.cli.console import say, show_json
from towpath.cli.naming import find
from towpath.cli.options import HomeOption, JsonOption, connect
from towpath.sdk.errors import DefinitionError


def answer(
    name: Annotated[str, typer.Argument(metavar="PIPELINE/EXECUTION/STEP", help="PIPELINE/latest/STEP: the newest.")],
    output: Annotated[
        list[str] | None, typer.Option("--output", "-o", metavar="NAME=VALUE", help="A value that the step declares.")
    ] = None,
    fail: Annotated[
        str | None, typer.Option("--fail", metavar="REASON", help="Let the step fail, and say why.")
    ] = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Answer a Callback step that waits.

    Its execution goes on with the values that are given, or without the step.

    \b
    Examples:
      towpath answer reviews/latest/Ticket --output ticket=4711 --output accepted=true
      towpath answer reviews/latest/Ticket --fail "declined by the review board"
    """
    values = dict(_split(each) for each in output or ())
    if fail is not None and values:
        raise DefinitionError("a step that fails yields nothing; give --output or --fail, one of them")
    place, _, step = name.rpartition("/")
    if not place:
        raise DefinitionError(f"{name!r} is no step; expected PIPELINE/EXECUTION/STEP")
    client = connect(home)
    found = find(client, place, kinds=("PipelineExecution",))
    execution = client.execution(str(found.described["PipelineExecutionArn"]))
    execution.answer(step, values, fail=fail)
    if as_json:
        show_json({"PipelineExecutionArn": execution.arn, "StepName": step})
        return
    came = "has failed" if fail is not None else "has succeeded"
    say(f"{step} of {execution.pipeline}/{execution.id} {came}")


def _split(given: str) -> tuple[str, str]:
    name, equals, value = given.partition("=")
    if not equals or not name:
        raise DefinitionError(f"--output {given!r} is no value with a name; expected NAME=VALUE")
    return name, value
