"""`towpath compare`: executions side by side."""

from __future__ import annotations

from typing import Annotated

import typer

from towpath.cli.console import say, show_json, show_table, when
from towpath.cli.naming import find
from towpath.cli.options import HomeOption, JsonOption, connect
from towpath.sdk.client import Client
from towpath.sdk.comparison import Row, compare
from towpath.sdk.errors import DefinitionError
from towpath.sdk.executions import Execution


def compare_executions(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="EXECUTION...", help="PIPELINE/EXECUTION each; PIPELINE is its newest, and alone its last two."
        ),
    ],
    everything: Annotated[bool, typer.Option("--all", "-a", help="Also what is the same in all of them.")] = False,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Show executions side by side, with what differs.

    \b
    Examples:
      towpath compare reviews
      towpath compare reviews/4k2j9s8d7f6g reviews/latest --all
    """
    client = connect(home)
    executions = [_execution(client, name) for name in names] if len(names) > 1 or "/" in names[0] else []
    if not executions:
        listed = client.pages(
            "SageMaker.ListPipelineExecutions", "PipelineExecutionSummaries", {"PipelineName": names[0]}
        )
        arns = [str(each["PipelineExecutionArn"]) for each, _ in zip(listed, range(2), strict=False)]
        executions = [client.execution(arn) for arn in reversed(arns)]
    if len(executions) < 2:
        raise DefinitionError(f"{' '.join(names)} is one execution; name at least two that are to be compared")
    rows = compare(client, executions)
    if as_json:
        show_json(
            {
                "Executions": [_name(each) for each in executions],
                "Rows": [
                    {"Group": row.group, "Name": row.name, "Values": list(row.values), "Differs": row.differs}
                    for row in rows
                ],
            }
        )
        return
    shown = [row for row in rows if everything or row.differs]
    numbers = [str(number) for number, _ in enumerate(executions, 1)]
    first = ("execution", "name", *map(_name, executions))
    show_table(("of", "what", *numbers), [first, *((row.group, row.name, *_cells(row)) for row in shown)])
    if len(shown) < len(rows):
        same = len(rows) - len(shown)
        say(f"{same} more {'is' if same == 1 else 'are'} the same in all of them: add --all")


def _execution(client: Client, name: str) -> Execution:
    found = find(client, name, kinds=("PipelineExecution", "Pipeline"))
    return client.execution(
        f"{found.name}/latest" if found.kind == "Pipeline" else found.described["PipelineExecutionArn"]
    )


def _name(execution: Execution) -> str:
    return f"{execution.pipeline}/{execution.id}"


def _cells(row: Row) -> list[str]:
    return [_cell(row, value) for value in row.values]


def _cell(row: Row, value: str | float | None) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return when(value) if (row.group, row.name) == ("execution", "started") else f"{value:g}"
