"""`towpath demo`: from raw reviews to an answering endpoint, with the example project."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

import towpath
from towpath.cli import server
from towpath.cli.console import busy, duration, heading, say, say_as_it_is
from towpath.cli.data import put_line
from towpath.cli.hosting import waiting_for_endpoint
from towpath.cli.loading import load_pipeline
from towpath.cli.options import HomeOption
from towpath.cli.registry import decided_by, show_lineage, steps_in
from towpath.cli.run import client_with_server, follow_or_detach, report
from towpath.home import FOLDER, HomeFolder, find_home
from towpath.sdk.client import Client
from towpath.sdk.errors import ClientError, DefinitionError
from towpath.sdk.hosting import Deployment
from towpath.sdk.registry import ModelVersion, lineage
from towpath.sdk.step_runs import StepRun

EXAMPLE = "reviews"
#: What the jobs of the example import, by model.
PACKAGES = {"baseline": ("sklearn", "polars"), "bert": ("torch", "transformers", "sklearn", "polars")}
_WORTH_TELLING_S = 1.0  #: what took less is told without its time
_LEFT_OUT = shutil.ignore_patterns(FOLDER, ".data", "__pycache__", "*.pyc", ".pytest_cache", ".mypy_cache")


def demo(
    directory: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="The example project; written there when the folder is new.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A classic model, not BERT: a minute, no torch.")] = False,
    keep: Annotated[
        bool | None, typer.Option("--keep/--stop", help="Leave the endpoint running; with CI=true the default is not.")
    ] = None,
    home: HomeOption = None,
) -> None:
    """Turn 23,486 real reviews into a model that answers over HTTP.

    On the way it is registered, approved and deployed.

    Example: towpath demo my-reviews --quick
    """
    model = "baseline" if quick else "bert"
    _refuse_without_packages(model)
    project = project_folder(directory)
    where = _home(home, project)
    keeps = os.environ.get("CI", "").lower() not in {"1", "true"} if keep is None else keep
    try:
        _run(project, where, model=model)
    finally:
        if not keeps:
            heading("Stopping everything")
            server.down(home=where.path, everything=True)
    if keeps:
        _what_next(project, where)


def _refuse_without_packages(model: str) -> None:
    """Say at once what the jobs would fail for later: they run in this environment."""
    missing = [name for name in PACKAGES[model] if find_spec(name) is None]
    if missing:
        extra = "text" if model == "bert" else "sklearn"
        other = "" if model == "baseline" else ", or take the classic model: towpath demo --quick"
        raise ClientError(
            f"the model {model!r} needs {' and '.join(missing)}, which {sys.prefix} does not have; "
            f"install towpath[{extra}] there{other}"
        )


def project_folder(directory: Path | None) -> Path:
    """Return the folder of the example project, written first where it does not exist.

    Raises:
        DefinitionError: the folder exists and is something else.
    """
    checkout = Path("examples", EXAMPLE)
    if directory is None:
        directory = checkout if (checkout / "pipeline.py").is_file() else Path(f"towpath-{EXAMPLE}")
    if (directory / "pipeline.py").is_file():
        return directory
    if directory.exists() and any(directory.iterdir()):
        raise DefinitionError(f"{directory} exists and holds no pipeline.py; name a new folder: towpath demo FOLDER")
    with example() as source:
        shutil.copytree(source, directory, ignore=_LEFT_OUT, dirs_exist_ok=True)
    say(f"Wrote the example project to {directory}")
    return directory


@contextmanager
def example() -> Iterator[Path]:
    """Give the folder of the example project: out of the installed package, else of its checkout."""
    packaged = files(towpath) / "examples" / EXAMPLE
    if packaged.is_dir():
        with as_file(packaged) as folder:
            yield folder
        return
    checkout = Path(towpath.__file__).resolve().parents[2] / "examples" / EXAMPLE
    if not checkout.is_dir():
        raise DefinitionError("this installation of Towpath came without its example project")
    yield checkout


def _home(given: Path | None, project: Path) -> HomeFolder:
    """Return the home of the demo: as for other commands, but no home of the whole user where there is no project."""
    found = server.folder(given)
    if given is None and not os.environ.get("TOWPATH_HOME") and found.path == Path.home() / FOLDER:
        return find_home(project)
    return found


def _run(project: Path, home: HomeFolder, *, model: str) -> None:
    began = time.monotonic()
    heading("Server")
    running = home.running_server()
    client = client_with_server(home)
    if running is not None:
        say(f"{client.endpoint} (home {home.path})")

    with _timed("Data into the lake"):
        for name, folder in fetched(project, model):
            with busy(f"Putting {name} into the lake"):
                version = client.datasets.put(name, [folder])
            say(put_line(version))

    with _timed(f"Pipeline (Model={model})"):
        pipeline = load_pipeline(project / "pipeline.py")
        execution = client.run(pipeline, {"Model": model}, name=f"demo-{model}")
        look = follow_or_detach(execution, client, [step.name for step in pipeline.all_steps()], home)
        if look.status != "Succeeded":
            report(look, execution, client, home)
            raise typer.Exit(1)

    registered = client.model_version(_registered(list(look.steps)))
    with _timed("Measured on reviews that the model has not seen"):
        quality = measured(client, registered)
        for name in ("accuracy", "macro_f1"):
            say(f"{name.replace('macro_f1', 'macro-F1')}: {quality[name]:.3f}")

    with _timed("Approval"):
        registered = client.approve(
            registered.name, note=f"accuracy {quality['accuracy']:.3f} on reviews that it has not seen"
        )
        say(f"{registered.name} is {registered.approval}{decided_by(registered.described)}")

    with _timed("Endpoint"):
        with waiting_for_endpoint("Waiting until the endpoint answers", home):
            deployment = client.deploy(registered.name, endpoint=EXAMPLE)
        say(_deployed(deployment))

    with _timed("Three reviews"):
        for sample in json.loads((project / "samples.json").read_text(encoding="utf-8")):
            answer = client.invoke(deployment.endpoint, {"text": sample["text"]})
            say(f"{sample['meant']} was meant: {sample['text']}")
            say(f"  {answer.text.strip()}")

    heading(f"Where {registered.name} comes from")
    story = lineage(client, registered)
    show_lineage(story, steps_in(client, story))
    say(f"\nFrom raw reviews to answers in {duration(time.monotonic() - began)}.")


@contextmanager
def _timed(title: str) -> Iterator[None]:
    heading(title)
    began = time.monotonic()
    yield
    took_s = time.monotonic() - began
    if took_s >= _WORTH_TELLING_S:
        say(f"({duration(took_s)})")


def fetched(project: Path, model: str) -> list[tuple[str, Path]]:
    """Return the datasets that the project's `data.py` fetches: names and local folders.

    Raises:
        ClientError: it could not fetch them; holds its words.
    """
    command = [sys.executable, "data.py", "--model", model]
    with subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        told: list[str] = []
        # What it says is shown as it comes, for a download takes a while; a traceback is not for users.
        for line in process.stderr:
            told.append(line.rstrip())
            if "Traceback (most recent call last):" not in told:
                say(told[-1])
        printed = process.stdout.read()
    if process.returncode != 0:
        raise ClientError(f"{project / 'data.py'} could not fetch the data: {_last_words(told)}")
    pairs = (line.partition(" ") for line in printed.splitlines() if line.strip())
    return [(name, Path(folder)) for name, _, folder in pairs]


def _last_words(told: list[str]) -> str:
    """Return what an exception said at the end of a traceback, or else the last line."""
    inside = [number for number, line in enumerate(told) if line.startswith(("  File ", "    "))]
    return "\n".join(told[inside[-1] + 1 :] if inside else told[-1:]).strip() or "it said nothing"


def _registered(steps: list[StepRun]) -> str:
    """Return GROUP/VERSION of what the execution registered."""
    arn = next((step.arn for step in steps if step.type == "RegisterModel" and step.arn), None)
    if arn is None:
        raise ClientError("the execution registered no model version")
    return "/".join(arn.split("/")[-2:])


def measured(client: Client, version: ModelVersion) -> dict[str, Any]:
    """Return the quality report that was registered with a model version."""
    report_uri = version.described["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"]
    quality: dict[str, Any] = json.loads(client.lake.get_bytes(report_uri))
    return quality


def _deployed(deployment: Deployment) -> str:
    now = ", now" if deployment.updated else ""
    return f"{deployment.endpoint} is {deployment.status}{now} with {deployment.version.name}"


def _what_next(project: Path, home: HomeFolder) -> None:
    heading("What to try next")
    for line in what_next(project, home, has_command=shutil.which("towpath") is not None):
        say_as_it_is(f"  {line}")
    say(f"\nThe endpoint goes on answering. Stop everything with: towpath down --all{home.option}")


def what_next(project: Path, home: HomeFolder, *, has_command: bool) -> list[str]:
    """Return what can be typed after the demo, in the folder that it was typed in.

    Args:
        has_command: whether `towpath` is found there.
    """
    lines = []
    if not has_command:
        activate = os.path.relpath(Path(sys.prefix, "bin", "activate"))
        lines.append(f". {shlex.quote(activate)}")
    pipeline = project / "pipeline.py"
    if find_home().path != home.path:
        if find_home(project).path == home.path:
            lines.append(f"cd {shlex.quote(str(project))}")
            pipeline = Path("pipeline.py")
        else:
            lines.append(f"export TOWPATH_HOME={shlex.quote(str(home.path))}")
    return [
        *lines,
        "towpath ps",
        f'towpath invoke {EXAMPLE} --json \'{{"text": "Soft, warm and well made."}}\'',
        f"towpath lineage {EXAMPLE}",
        f"towpath run {shlex.quote(str(pipeline))} -p Model=baseline -p MinAccuracy=0.99",
        "    # is refused, with the measured value",
        'eval "$(towpath env)"',
        "    # lets boto3 talk to this server",
    ]
