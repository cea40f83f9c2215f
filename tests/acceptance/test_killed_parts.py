"""Each part of the platform is killed or stopped by itself, and the rest makes up for it."""

import json
import os
import select
import shutil
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests.acceptance.conftest import Machine, clients
from tests.acceptance.crash_pipeline import BUCKET, JOBS, STEPS, make_pipeline, recording
from tests.acceptance.test_crashes import Story, deploy, kill_and_wait, until_in_service

from towpath.runner import claim, tree, wake

pytestmark = [pytest.mark.acceptance, pytest.mark.faults]


@pytest.fixture
def story(machine: Machine, tmp_path: Path) -> Iterator[Story]:
    """Return a home with the pipeline."""
    with recording(tmp_path / "record") as recorder:
        server = machine.up()
        aws = clients(machine)
        make_pipeline(aws, recorder)
        yield Story(machine, recorder, server, aws)


def runners(story: Story) -> list[int]:
    """Return the runners of all attempts that run."""
    holders = [claim.look(path).holder for path in story.machine.home.jobs.iterdir()]
    return [holder for holder in holders if holder is not None]


def runner_of(story: Story) -> int:
    """Return the only runner."""
    (runner,) = runners(story)
    return runner


def host_of(story: Story) -> int:
    """Return the runner host: the parent of its runners, while it lives."""
    stat = Path(f"/proc/{runners(story)[0]}/stat").read_text()
    return int(stat.rpartition(")")[2].split()[1])


def begin_train(story: Story) -> str:
    """Start an execution and wait until its Train step runs, which is held there; return the execution's ARN."""
    story.recorder.hold("Train")
    arn = story.start(uuid4().hex)
    story.recorder.until_begun("Train")
    until(lambda: ("end", "Profile") in [(word, step) for word, step, _ in told(story, arn)])
    until(lambda: story.steps(arn)["Profile"]["StepStatus"] == "Succeeded")
    return arn


def told(story: Story, arn: str) -> list[tuple[str, str, str]]:
    """Return what the steps of an execution said."""
    return story.recorder.told(arn.rpartition("/")[2])


def until(reached: Any, *, within_s: float = 60.0, every_s: float = 0.05) -> None:
    """Ask again until something holds, as clients do."""
    pause, deadline = threading.Event(), time.monotonic() + within_s
    while not reached():
        assert time.monotonic() < deadline, f"not reached within {within_s:g} s"
        pause.wait(every_s)


def check_succeeded(story: Story, arn: str, *, train_begun: int) -> None:
    """Hold an execution to one completed run of each step, however often training was begun."""
    shown = story.until_ended(arn)
    assert shown["PipelineExecutionStatus"] == "Succeeded", story.steps(arn)
    words = Counter((word, step) for word, step, _ in told(story, arn))
    assert {step: words["end", step] for step in JOBS} == dict.fromkeys(JOBS, 1)
    assert words["begin", "Train"] == train_begun
    found = story.aws["s3"].list_object_versions(Bucket=BUCKET, Prefix=arn.rpartition("/")[2])["Versions"]
    assert set(Counter(version["Key"] for version in found).values()) == {1}
    assert {step["StepStatus"] for step in story.steps(arn).values()} == {"Succeeded"}
    assert set(story.steps(arn)) == set(STEPS)


def test_a_killed_runner_costs_one_attempt_and_nothing_of_it_is_published(story: Story) -> None:
    arn = begin_train(story)
    kill_and_wait(runner_of(story))
    story.recorder.until_begun("Train", 2)
    story.recorder.release("Train")
    check_succeeded(story, arn, train_begun=2)
    transitions = describe_train(story, arn)["SecondaryStatusTransitions"]
    assert "Restarting" in [transition["Status"] for transition in transitions]


def describe_train(story: Story, arn: str) -> dict[str, Any]:
    """Return the training job's Describe document."""
    job = story.steps(arn)["Train"]["Metadata"]["TrainingJob"]["Arn"].rpartition("/")[2]
    found: dict[str, Any] = story.aws["sagemaker"].describe_training_job(TrainingJobName=job)
    return found


def test_a_runner_that_is_killed_again_and_again_fails_the_job(story: Story) -> None:
    arn = begin_train(story)
    for attempt in (1, 2):
        story.recorder.until_begun("Train", attempt)
        kill_and_wait(runner_of(story))
    story.recorder.release("Train")
    shown = story.until_ended(arn)
    assert shown["PipelineExecutionStatus"] == "Failed"
    assert describe_train(story, arn)["FailureReason"].startswith("InternalServerError: the runner of attempt 2")
    assert "Train" not in {step for word, step, _ in told(story, arn) if word == "end"}


def test_jobs_outlive_a_killed_host_and_the_next_steps_find_a_new_one(story: Story) -> None:
    arn = begin_train(story)
    kill_and_wait(host_of(story))
    story.recorder.release("Train")
    check_succeeded(story, arn, train_begun=1)


def test_host_and_runner_killed_together_leave_no_job_behind(story: Story) -> None:
    arn = begin_train(story)
    host, runner = host_of(story), runner_of(story)
    (job,) = tree.children(runner)
    watched = os.pidfd_open(job)
    kill_and_wait(host)
    kill_and_wait(runner)
    assert select.select([watched], [], [], 60)[0], "the job dies with its runner"
    os.close(watched)
    story.recorder.until_begun("Train", 2)
    story.recorder.release("Train")
    check_succeeded(story, arn, train_begun=2)


def test_a_killed_user_process_is_a_failure_of_the_job_and_is_not_tried_again(story: Story) -> None:
    arn = begin_train(story)
    (job,) = tree.children(runner_of(story))
    os.kill(job, signal.SIGKILL)
    shown = story.until_ended(arn)
    assert shown["PipelineExecutionStatus"] == "Failed"
    reason = describe_train(story, arn)["FailureReason"]
    assert reason.startswith("AlgorithmError: Killed"), reason
    assert "signal 9" in reason, reason
    assert [word for word, step, _ in told(story, arn) if step == "Train"] == ["begin"]
    story.recorder.release("Train")


def test_a_killed_model_worker_is_replaced(story: Story) -> None:
    deploy(story)
    kill_and_wait(story.model_server)
    answers: list[int] = []

    def answered() -> bool:
        try:
            answers.append(story.ask_endpoint())
        except story.aws["sagemaker-runtime"].exceptions.ClientError as error:
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500, error
            return False
        return True

    until(answered)
    assert answers[0] != story.model_server
    shown = story.aws["sagemaker"].describe_endpoint(EndpointName="crashes")
    assert shown["EndpointStatus"] == "InService"


def test_a_server_that_is_stopped_while_its_jobs_go_on_takes_up_what_it_missed(story: Story) -> None:
    arn = begin_train(story)
    os.kill(story.server.pid, signal.SIGSTOP)
    try:
        watched = os.pidfd_open(runner_of(story))
        story.recorder.release("Train")
        assert select.select([watched], [], [], 60)[0], "the job ends without the server"
        os.close(watched)
    finally:
        os.kill(story.server.pid, signal.SIGCONT)
    check_succeeded(story, arn, train_begun=1)


#: A model that loads when it is told to.
SLOW = """
import socket
def model_fn(model_dir):
    with socket.create_connection(("127.0.0.1", {port})) as line, line.makefile("rw") as words:
        words.write("begin model Load model\\n")
        words.flush()
        words.readline()
def predict_fn(data, model):
    return 1
"""


def test_a_model_that_came_up_while_the_server_was_stopped_is_noticed(story: Story) -> None:
    """While the server sleeps, the queue of its wake-ups fills; what finds no room there must be told again."""
    story.recorder.hold("Load")
    deploy(story, SLOW.format(port=story.recorder.port), wait=False)
    story.recorder.until_begun("Load")
    (attempt,) = story.machine.home.jobs.iterdir()
    os.kill(story.server.pid, signal.SIGSTOP)
    try:
        fill_the_queue_of(story)
        story.recorder.release("Load")
        until(lambda: '"ready"' in (attempt / "status.json").read_text())
        threading.Event().wait(2.0)  # on the clock: a runner has given up by then
    finally:
        os.kill(story.server.pid, signal.SIGCONT)
    until_in_service(story, within_s=20)


def fill_the_queue_of(story: Story) -> None:
    """Send wake-ups to a server that sleeps until there is no room for more."""
    folder = os.open(story.machine.home.path / "run", os.O_PATH | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line, pytest.raises(BlockingIOError):
            line.setblocking(False)
            for _ in range(10_000):
                line.sendto(b"nobody-1", wake.address(folder, wake.SOCKET))
    finally:
        os.close(folder)


def after_a_reboot(jobs: Path) -> None:
    """Make the claims those of a former life of the machine."""
    for folder in jobs.iterdir():
        if (folder / "claim").exists():
            document = json.loads((folder / "claim").read_text())
            # The machine's next life has another boot id, and somebody else may have the number by then.
            document |= {"boot_id": str(uuid4()), "pid": os.getpid()}
            (folder / "claim").write_text(json.dumps(document))


@pytest.mark.parametrize("happened", [after_a_reboot, shutil.rmtree], ids=["reboot", "attempts lost"])
def test_after_all_died_at_once_what_ran_is_begun_anew(story: Story, happened: Callable[[Path], None]) -> None:
    deploy(story)
    before = story.model_server
    arn = begin_train(story)
    home = story.machine.home
    # All processes at once, as a power cut ends them: the server first, so that it sees no death.
    for pid in (story.server.pid, host_of(story), *runners(story)):
        try:
            kill_and_wait(pid)
        except ProcessLookupError:
            continue  # it died with its runner
    until(lambda: story.machine.processes() == [])  # the jobs die with their runners, the spare runner with the host
    happened(home.jobs)
    story.up()
    story.recorder.until_begun("Train", 2)
    story.recorder.release("Train")
    check_succeeded(story, arn, train_begun=2)
    until_in_service(story)
    until(lambda: answers_anew(story, before))


def answers_anew(story: Story, before: int) -> bool:
    """Return whether the endpoint answers, from another process than before."""
    try:
        return story.ask_endpoint() != before
    except story.aws["sagemaker-runtime"].exceptions.ClientError:
        return False
