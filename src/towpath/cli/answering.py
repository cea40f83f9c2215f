"""`towpath answer`: what Callback steps wait for."""

from __future__ import annotations

from typing import Annotated

import typer

from towpath.cli.console import say, say_as_it_is, show_json, show_table, when
from towpath.cli.listing import executions
from towpath.cli.naming import find
from towpath.cli.options import HomeOption, JsonOption, connect
from towpath.cli.questions import answer_command, declared_outputs, open_questions, outputs_of
from towpath.sdk import Client
from towpath.sdk.errors import DefinitionError, RequestFailed


def answer(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[PIPELINE/EXECUTION/STEP]", help="PIPELINE/latest/STEP: the newest. Without: list what waits."
        ),
    ] = None,
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

    Its execution goes on with the values that are given, or without the step. Without a name, what waits for an
    answer is listed, with what to type.

    \b
    Examples:
      towpath answer
      towpath answer reviews/latest/Ticket --output ticket=4711 --output accepted=true
      towpath answer reviews/latest/Ticket --fail "declined by the review board"
    """
    values = dict(_split(each) for each in output or ())
    if fail is not None and values:
        raise DefinitionError("a step that fails yields nothing; give --output or --fail, one of them")
    if name is None:
        if values or fail is not None:
            raise DefinitionError("an answer needs the step that waits for it; `towpath answer` alone lists those")
        _show_open(connect(home), as_json=as_json)
        return
    place, _, step = name.rpartition("/")
    if not place:
        raise DefinitionError(f"{name!r} is no step; expected PIPELINE/EXECUTION/STEP")
    client = connect(home)
    found = find(client, place, kinds=("PipelineExecution",))
    execution = client.execution(str(found.described["PipelineExecutionArn"]))
    try:
        execution.answer(step, values, fail=fail)
    except RequestFailed as error:
        refused = error.code == "ValidationException"
        declared = outputs_of(declared_outputs(client, execution.arn), step) if refused else ()
        if fail is not None or set(declared) <= set(values):
            raise
        raise DefinitionError(f"{error.message}; type: {answer_command(name, declared, values)}") from error
    if as_json:
        show_json({"PipelineExecutionArn": execution.arn, "StepName": step})
        return
    came = "has failed" if fail is not None else "has succeeded"
    say(f"{step} of {execution.pipeline}/{execution.id} {came}")


def _show_open(client: Client, *, as_json: bool) -> None:
    """Show what waits for an answer in all executions that run, the newest first."""
    running = (each for each in executions(client) if each["PipelineExecutionStatus"] == "Executing")
    questions = list(open_questions(client, (str(each["PipelineExecutionArn"]) for each in running)))
    if as_json:
        show_json(
            [
                {
                    "PipelineExecutionArn": each.execution,
                    "StepName": each.step.name,
                    "CallbackToken": each.step.token,
                    "OutputNames": list(each.outputs),
                }
                for each in questions
            ]
        )
        return
    if not questions:
        say("No step waits for an answer.")
        return
    rows = [
        (each.name, "" if each.step.started_at is None else when(each.step.started_at.timestamp()))
        for each in questions
    ]
    show_table(("step", "waits since"), rows)
    for each in questions:
        if each.step.undelivered is not None:
            say(f"{each.name}: {each.step.undelivered}")
    say("\nWhat to type, or `--fail REASON` in place of values:")
    for each in questions:
        say_as_it_is(f"  {each.command}")


def _split(given: str) -> tuple[str, str]:
    name, equals, value = given.partition("=")
    if not equals or not name:
        raise DefinitionError(f"--output {given!r} is no value with a name; expected NAME=VALUE")
    return name, value
