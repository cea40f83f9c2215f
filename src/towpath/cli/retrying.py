"""`towpath retry`: go on with an execution where it failed or was stopped."""

from __future__ import annotations

from typing import Annotated

import typer

from towpath.cli.console import say, say_as_it_is, show_json
from towpath.cli.naming import find, has_run, never_run
from towpath.cli.options import HomeOption, JsonOption, connect, folder
from towpath.cli.questions import steps_of
from towpath.cli.run import end_of_run, follow_or_detach, how_to_go_on
from towpath.sdk.errors import NotFound


def retry(
    name: Annotated[
        str, typer.Argument(metavar="EXECUTION", help="PIPELINE/EXECUTION or an ARN. PIPELINE alone: its newest one.")
    ],
    wait: Annotated[bool, typer.Option("--wait/--detach", help="Follow it to its end, or return at once.")] = True,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Go on with an execution where it failed or was stopped.

    Its failed and stopped steps begin anew with the definition and the parameters that it has; what has succeeded is
    kept. Ctrl-C detaches. Exit code 0 when it succeeded, 1 when it did not.

    Example: towpath retry reviews/latest
    """
    client = connect(home)
    found = find(client, name, kinds=("PipelineExecution", "Pipeline"))
    if found.kind == "Pipeline" and not has_run(client, found.name):
        raise NotFound("ResourceNotFound", never_run(found.name), status=404)
    meant = f"{found.name}/latest" if found.kind == "Pipeline" else found.described["PipelineExecutionArn"]
    execution = client.execution(meant).retry()
    if not wait:
        if as_json:
            show_json({"PipelineExecutionArn": execution.arn})
        else:
            say(f"Retrying {execution.pipeline}/{execution.id}")
            say_as_it_is(how_to_go_on(execution, folder(home)))
        return
    names = steps_of(client, execution.arn)
    look = follow_or_detach(execution, client, names, folder(home), quiet=as_json)
    end_of_run(look, execution, client, folder(home), as_json=as_json)
