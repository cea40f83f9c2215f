"""Each part of the platform is stopped for longer than a lease lasts, and goes on: nothing is lost or done twice."""

import contextlib
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.acceptance.conftest import Machine, clients
from tests.acceptance.crash_pipeline import JOBS, make_pipeline, recording
from tests.acceptance.test_crashes import Story, deploy
from tests.acceptance.test_killed_parts import begin_train, check_succeeded, host_of, told, until

from towpath.runner import claim, tree
from towpath.runner.folder import JOB

pytestmark = [pytest.mark.acceptance, pytest.mark.faults]

LEASE_S = 2.0


@pytest.fixture
def story(machine: Machine, tmp_path: Path) -> Iterator[Story]:
    """Return a home with short leases, the pipeline, and an endpoint in service."""
    machine.home.path.mkdir()
    machine.home.settings_file.write_text(f"engine_lease_s = {LEASE_S}\n")
    with recording(tmp_path / "record") as recorder:
        server = machine.up()
        aws = clients(machine)
        make_pipeline(aws, recorder)
        story = Story(machine, recorder, server, aws)
        deploy(story)
        yield story


@contextmanager
def stopped(*processes: int) -> Iterator[None]:
    """Stop processes for the length of a block."""
    for pid in processes:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def until_a_lease_is_over() -> None:
    """Wait until every lease that is held now has run out."""
    began = time.monotonic()
    until(lambda: time.monotonic() - began > LEASE_S + 0.5)


def leases(story: Story) -> list[float]:
    """Return when the leases that the engine holds run out, as epoch seconds."""
    with contextlib.closing(sqlite3.connect(f"file:{story.machine.home.database}?mode=ro", uri=True)) as database:
        found = database.execute("SELECT lease_until FROM work WHERE lease_until IS NOT NULL")
        return [until for (until,) in found]


def begun(story: Story, arn: str) -> list[str]:
    """Return the steps of an execution that have said that they begin, in order."""
    return sorted(step for word, step, _ in told(story, arn) if word == "begin")


def job_of(story: Story) -> int:
    """Return the user's process."""
    (job,) = tree.children(runner_of_train(story))
    return job


def runner_of_train(story: Story) -> int:
    """Return the runner of the training job; the endpoint's has another one."""
    attempts = [path for path in story.machine.home.jobs.iterdir() if '"training"' in (path / JOB).read_text()]
    (runner,) = [claim.look(path).holder for path in attempts]
    assert runner is not None
    return runner


def test_a_server_that_was_stopped_in_the_middle_of_a_decision_decides_again(story: Story) -> None:
    """Its host is stopped first, so that a turn of the engine is under way for certain: it waits for the host."""
    arn = begin_train(story)
    attempts = len(list(story.machine.home.jobs.iterdir()))
    host = host_of(story)
    with stopped(host):
        story.recorder.release("Train")
        until(lambda: len(list(story.machine.home.jobs.iterdir())) > attempts)
        with stopped(story.server.pid):
            held = leases(story)
            assert held, "nothing was being decided when the server was stopped"
            until(lambda: time.time() > max(held) + 0.5)
    check_succeeded(story, arn, train_begun=1)
    assert begun(story, arn) == sorted(JOBS)
    assert story.ask_endpoint() == story.model_server


def test_a_host_that_was_stopped_starts_what_it_was_asked_for_once(story: Story) -> None:
    arn = begin_train(story)
    host = host_of(story)
    with stopped(host):
        story.recorder.release("Train")
        until(lambda: f"The runner host (process {host}) does not answer" in story.machine.home.server_log.read_text())
        until_a_lease_is_over()
        assert story.ask_endpoint() == story.model_server
        assert "Evaluate" not in begun(story, arn)
    check_succeeded(story, arn, train_begun=1)
    assert begun(story, arn) == sorted(JOBS)


@pytest.mark.parametrize("part", [runner_of_train, job_of], ids=["runner", "user's process"])
def test_a_job_that_was_stopped_goes_on(story: Story, part: Callable[[Story], int]) -> None:
    arn = begin_train(story)
    with stopped(part(story)):
        story.recorder.release("Train")
        until_a_lease_is_over()
        assert story.steps(arn)["Train"]["StepStatus"] == "Executing"
        assert story.ask_endpoint() == story.model_server
    check_succeeded(story, arn, train_begun=1)
    assert begun(story, arn) == sorted(JOBS)


def test_a_model_server_that_was_stopped_answers_the_request_that_waited(story: Story) -> None:
    arn = begin_train(story)
    answers: list[int] = []
    asking = threading.Thread(target=lambda: answers.append(story.ask_endpoint()))
    with stopped(story.model_server):
        asking.start()
        until_a_lease_is_over()
        story.recorder.release("Train")
        check_succeeded(story, arn, train_begun=1)
        assert answers == []
    asking.join(60)
    assert answers == [story.model_server]
    assert begun(story, arn) == sorted(JOBS)


def test_down_says_what_it_waits_for_and_ends_without_a_host_that_is_stopped(story: Story) -> None:
    begin_train(story)
    host = host_of(story)
    with stopped(host):
        story.recorder.release("Train")
        until(lambda: f"The runner host (process {host}) does not answer" in story.machine.home.server_log.read_text())
        began = time.monotonic()
        said = story.machine.towpath("down", "--all")
        assert time.monotonic() - began < 45
        assert f"The runner host (process {host}) does not answer and is to end: it is killed" in said
        assert story.machine.processes() == []
