"""`towpath explain`: why a step ran, or whose result it took over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated

import typer

from towpath.cli.console import say, say_as_it_is, show_json, show_table
from towpath.cli.naming import find, has_run, never_run
from towpath.cli.options import HomeOption, JsonOption, connect
from towpath.sdk.errors import NotFound
from towpath.sdk.executions import Execution
from towpath.sdk.explanations import Difference, Explanation, Part, explanation
from towpath.sdk.step_runs import StepRun

_DIGEST = 64  #: characters of a SHA-256
_SHORT = 12


def explain(
    execution: Annotated[
        str,
        typer.Argument(
            metavar="EXECUTION", help="PIPELINE/EXECUTION[/STEP] or an ARN. PIPELINE alone means its newest one."
        ),
    ],
    step: Annotated[
        str | None,
        typer.Argument(metavar="[STEP]", help="Its name; of a round of a ForEach `Train[2]`. Without: list all."),
    ] = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Explain why a step ran, or whose result it took over.

    Shows what the step's cache key is made of, and which parts differ from the run before, the first one first.
    Without STEP, how the cache was used for each step of the execution.

    \b
    Examples:
      towpath explain reviews/latest
      towpath explain reviews/latest Train
    """
    client = connect(home)
    if step is None and not execution.startswith("arn:") and execution.removeprefix("execution/").count("/") == 2:
        execution, _, step = execution.rpartition("/")  # as steps are named everywhere else
    found = find(client, execution, kinds=("PipelineExecution", "Pipeline"))
    if found.kind == "Pipeline" and not has_run(client, found.name):
        raise NotFound("ResourceNotFound", never_run(found.name), status=404)
    arn = client.execution(f"{found.name}/latest").arn if found.kind == "Pipeline" else None
    meant = client.execution(arn or found.described["PipelineExecutionArn"])
    if step is None:
        _show_steps(meant, as_json=as_json)
        return
    told = client.call("Towpath.ExplainPipelineExecutionStep", {"PipelineExecutionArn": meant.arn, "StepName": step})
    if as_json:
        show_json(told)
        return
    for line in lines(explanation(told)):
        say_as_it_is(line)
    parts = [part for part in explanation(told).parts if part.group != "environment"]
    if parts:
        say("")
        show_table(("part", "name", "value"), [(part.group, part.name, _short(part.value)) for part in parts])
        packages = [part for part in explanation(told).parts if part.group == "environment"]
        version = next((part.value for part in packages if part.name == "Python"), "?")
        say(f"environment: Python {version} with {len(packages) - 1} packages (--json lists them)")


def _show_steps(execution: Execution, *, as_json: bool) -> None:
    rows = [(step.name, step.status, *cache_of(execution, step)) for step in execution.steps()]
    if as_json:
        names = ("StepName", "StepStatus", "Outcome", "Reason")
        show_json([dict(zip(names, row, strict=True)) for row in rows])
        return
    name = f"{execution.pipeline}/{execution.id}"
    if not rows:
        say(f"No step of {name} has begun yet.")
        return
    show_table(("step", "state", "cache", "why"), rows)
    say("")
    say_as_it_is(f"What the key of one is made of, and what differs: towpath explain {name} STEP")


def cache_of(execution: Execution, step: StepRun) -> tuple[str, str]:
    """Return how the cache was used for a step, and why. Only those that may have a key are asked about one by one."""
    if step.cached_from is not None:
        return "Hit", f"{name_of(step.cached_from)} has succeeded with this key"
    if not step.may_have_key:
        return "", ""
    explained = execution.explain(step.name)
    return explained.outcome, _named(explained.reason)


def lines(explained: Explanation) -> list[str]:
    """Return in lines what became of a step, and what differs from the run before."""
    happened = "took a result over" if explained.outcome == "Hit" else "ran"
    told = [f"{explained.step} {happened}: {_named(explained.reason)}"]
    if explained.key is not None:
        would = "" if explained.outcome in {"Hit", "Miss"} else " would be"
        told.append(f"Key{would}: {_short(explained.key)}, of {_made_of(explained.parts)}")
    if explained.outcome == "Hit" or explained.key is None:
        return told
    if explained.compared_with is None:
        told.append("No earlier execution ran this step, so that there is nothing to compare with.")
        return told
    before = name_of(explained.compared_with)
    if explained.first is None:
        told.append(f"Nothing differs from {before}.")
        return told
    told.append(f"First difference from {before}: {_said(explained.first)}")
    told += [f"Then: {_said(each)}" for each in explained.differences[1:]]
    return told


def _made_of(parts: Sequence[Part]) -> str:
    """Return in words how many parts of each group a key is made of."""
    counts = Counter(part.group for part in parts)
    counts["package"] = counts.pop("environment", 1) - 1  # Python itself is named beside its packages
    words = {"argument": "argument", "input": "file of inputs", "code": "file of code", "package": "package"}
    some = [f"{counts[group]} {_plural(word, counts[group])}" for group, word in words.items() if counts[group]]
    return ", ".join(some) or "its type alone"


def _plural(word: str, count: int) -> str:
    first, space, rest = word.partition(" ")
    return word if count == 1 else f"{first}s{space}{rest}"


def name_of(arn: str) -> str:
    """Return an execution as the command line names it: PIPELINE/EXECUTION."""
    return arn.partition(":pipeline/")[2].replace("/execution/", "/")


def _named(reason: str) -> str:
    """Return a sentence in which executions go by their names on the command line."""
    return " ".join(_bare(word) if word.startswith("arn:") else word for word in reason.split(" "))


def _bare(word: str) -> str:
    arn = word.rstrip(",;.")
    return name_of(arn) + word[len(arn) :]


def _said(difference: Difference) -> str:
    before = "absent" if difference.before is None else _short(difference.before)
    after = "absent" if difference.after is None else _short(difference.after)
    if difference.files:
        first = difference.files[0]
        before = "absent" if first.before is None else _short(first.before)
        after = "absent" if first.after is None else _short(first.after)
    return f"{difference.place} ({before} → {after})"


def _short(value: str) -> str:
    bare = value.removesuffix("x")
    is_digest = len(bare) == _DIGEST and all(character in "0123456789abcdef" for character in bare)
    return value[:_SHORT] if is_digest else value
