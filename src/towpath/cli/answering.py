"""`towpath answer`: what a Callback step waits for."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

import typer

from towpath.cli.console import say, show_json
from towpath.cli.naming import find
from towpath.cli.options import HomeOption, JsonOption, connect
from towpath.sdk import Client
from towpath.sdk.errors import DefinitionError, RequestFailed
from towpath.sdk.expressions import Document


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
    try:
        execution.answer(step, values, fail=fail)
    except RequestFailed as error:
        declared = _declared(client, execution.arn, step) if error.code == "ValidationException" else []
        if fail is not None or set(declared) <= set(values):
            raise
        raise DefinitionError(f"{error.message}; type: {_command(name, declared, values)}") from error
    if as_json:
        show_json({"PipelineExecutionArn": execution.arn, "StepName": step})
        return
    came = "has failed" if fail is not None else "has succeeded"
    say(f"{step} of {execution.pipeline}/{execution.id} {came}")


def _declared(client: Client, arn: str, step: str) -> list[str]:
    """Return the names of the outputs that a Callback step declares."""
    name = step.partition("[")[0]  # in a round of a ForEach the number of the round stands behind it
    answer = client.call("SageMaker.DescribePipelineDefinitionForExecution", {"PipelineExecutionArn": arn})
    definition = json.loads(answer["PipelineDefinition"])
    return [
        str(output["OutputName"])
        for each in _steps(definition["Steps"])
        if each["Name"] == name
        for output in each.get("OutputParameters") or ()
    ]


def _steps(steps: Sequence[Document]) -> Iterator[Document]:
    for step in steps:
        yield step
        arguments = step.get("Arguments")
        for inside in ("IfSteps", "ElseSteps", "ForEachBody"):
            yield from _steps((arguments or {}).get(inside) or ())


def _command(name: str, declared: Sequence[str], values: Mapping[str, str]) -> str:
    """Return what to type instead, with the values that were given."""
    given = [f"-o {shlex.quote(f'{each}={values[each]}')}" if each in values else f"-o {each}=…" for each in declared]
    return " ".join(["towpath answer", shlex.quote(name), *given])


def _split(given: str) -> tuple[str, str]:
    name, equals, value = given.partition("=")
    if not equals or not name:
        raise DefinitionError(f"--output {given!r} is no value with a name; expected NAME=VALUE")
    return name, value
