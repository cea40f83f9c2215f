"""House-keeping with a real server: a backup while an execution runs, a restored home at work, and what gc takes."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.integration.cli.conftest import FILES, Shell

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def towpath(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """Return a shell whose server has a registered, approved model on an endpoint."""
    folder = tmp_path_factory.mktemp("project")
    for name, text in FILES.items():
        (folder / name).write_text(text.lstrip())
    (folder / "words.txt").write_text("ant bee cow")
    shell = Shell(folder, tmp_path_factory.mktemp("home"))
    shell("up", "--background")
    try:
        shell("data", "put", "words", "words.txt")
        shell("run", "pipeline.py", "--name", "first")
        shell("approve", "words/1")
        shell("deploy", "words/1")
        yield shell
    finally:
        shell("down", "--all")


def until(wanted: Callable[[], bool], what: str, seconds: float = 120) -> None:
    """Ask again until something has happened in another process, as clients do."""
    pause, end = threading.Event(), time.monotonic() + seconds
    while not wanted():
        assert time.monotonic() < end, f"{what} did not happen within {seconds:g} s"
        pause.wait(0.2)


def status(shell: Shell, name: str, member: str) -> str:
    return str(json.loads(shell("describe", name, "--json"))[member])


def execution_named(shell: Shell, name: str) -> str:
    found = json.loads(shell("ps", "--all", "--json"))["Executions"]
    arn = next(each for each in found if each.get("PipelineExecutionDisplayName") == name)["PipelineExecutionArn"]
    return f"words/{arn.rpartition('/')[2]}"


def test_a_backup_taken_while_an_execution_runs_is_a_home_that_goes_on(towpath: Shell, tmp_path: Path) -> None:
    file = tmp_path / "backup.tar"
    with socket.create_server(("127.0.0.1", 0)) as door:
        towpath("run", "pipeline.py", "--name", "running", "-p", f"Door={door.getsockname()[1]}", "--detach")
        running = execution_named(towpath, "running")
        door.settimeout(120)
        with door.accept()[0]:  # the training job has begun; it goes on when nobody holds the door any more
            told = json.loads(towpath("backup", str(file), "--json"))
            assert told["Size"] == file.stat().st_size
            assert status(towpath, running, "PipelineExecutionStatus") == "Executing", "it cannot have ended yet"

    restored = Shell(towpath.folder, tmp_path / "restored")
    assert "every digest checked" in restored("restore", str(file))
    restored("up", "--background")
    try:
        lineage, original = restored("lineage", "words/1", "--json"), towpath("lineage", "words/1", "--json")
        assert {**json.loads(lineage), "Endpoints": []} == {**json.loads(original), "Endpoints": []}
        restored("data", "get", "words/1", str(tmp_path / "got"))
        assert (tmp_path / "got" / "words.txt").read_text() == "ant bee cow"
        first = execution_named(restored, "first")
        assert "prepared 3 words" in restored("logs", f"{first}/Prepare")
        until(lambda: status(restored, "endpoint/words", "EndpointStatus") == "InService", "the endpoint's start")
        assert json.loads(restored("invoke", "words", "--json", '{"text": "bee"}')) == {"known": True}
        restored("deploy", "words/1", "--endpoint", "another")
        assert json.loads(restored("invoke", "another", "--json", '{"text": "dog"}')) == {"known": False}
        until(
            lambda: status(restored, running, "PipelineExecutionStatus") == "Succeeded",
            "the end of the execution that ran while the backup was taken",
        )
        assert status(restored, "words/2", "ModelApprovalStatus") == "PendingManualApproval"
    finally:
        restored("down", "--all")
    until(lambda: status(towpath, running, "PipelineExecutionStatus") == "Succeeded", "the original's own end")


@pytest.mark.shows("towpath", "Undelete", how="executes")
def test_a_deleted_endpoint_comes_back_and_answers(towpath: Shell) -> None:
    assert "add --yes" in towpath("delete", "endpoint/words", code=2)
    assert "towpath undelete endpoint/words" in towpath("delete", "endpoint/words", "--yes")
    until(lambda: "Endpoint" in towpath("undelete"), "the end of the endpoint")
    towpath("undelete", "endpoint/words")
    until(lambda: status(towpath, "endpoint/words", "EndpointStatus") == "InService", "the endpoint's start")
    assert json.loads(towpath("invoke", "words", "--json", '{"text": "ant"}')) == {"known": True}


@pytest.mark.shows("towpath", "ListDeletedResources")
def test_a_deleted_model_version_comes_back_with_its_lineage(towpath: Shell) -> None:
    story = towpath("lineage", "words/1", "--json")
    towpath("delete", "words/1", "--yes")
    assert "has no version 1" in towpath("lineage", "words/1", code=1)
    assert "words/1" in towpath("undelete")
    assert "is back" in towpath("undelete", "words/1")
    assert towpath("lineage", "words/1", "--json") == story
    assert "No ModelPackage 'words/1' was deleted" in towpath("undelete", "words/1", code=1)


def test_gc_says_what_would_go_and_takes_it_with_and_without_a_server(towpath: Shell) -> None:
    """What the settings keep is set to nothing, so that all goes that nothing refers to."""
    (towpath.home / "towpath.toml").write_text(
        "keep_attempts_days = 0\nkeep_logs_days = 0\nkeep_versions_days = 0\nkeep_deleted_days = 0\n"
    )
    towpath("down")
    told = json.loads(towpath("gc", "--dry-run", "--json"))
    assert told["DryRun"] is True
    assert {group["What"] for group in told["Groups"]} >= {"attempt"}
    assert "Would free" in towpath("gc", "--dry-run")
    towpath("up", "--background")
    done = json.loads(towpath("gc", "--json"))
    assert {group["What"] for group in done["Groups"]} >= {"attempt"}
    assert done["Items"][0]["Reason"]
    assert "Nothing had to go" in towpath("gc")
    assert json.loads(towpath("invoke", "words", "--json", '{"text": "cow"}')) == {"known": True}
    towpath("deploy", "words/1", "--endpoint", "afterwards")
    assert json.loads(towpath("invoke", "afterwards", "--json", '{"text": "cow"}')) == {"known": True}
    assert json.loads(towpath("lineage", "words/1", "--json"))["TrainingJob"]["Metrics"] == {
        "validation:accuracy": 0.75
    }
