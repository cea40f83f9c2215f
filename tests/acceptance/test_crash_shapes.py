"""kill -9 at any moment in executions of every shape, stopped and retried meanwhile: nothing is lost, nothing twice.

Each round draws a shape (see `crash_shapes`), runs it once, and kills the server in it; in some rounds the runner of a
job, the host of all runners or a job as well; some executions are asked to stop, and are retried. Somebody outside
answers what Callback steps ask, and stops the jobs that are there to be stopped, whether or not the server lives.
What comes of it is read in the recorder's file, in the objects, in the registry and in the store's rows.
"""

import os
import random
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnection
from tests.acceptance.conftest import Machine, clients
from tests.acceptance.crash_blocks import drawn
from tests.acceptance.crash_checks import Round, Soak, check
from tests.acceptance.crash_outside import Outside
from tests.acceptance.crash_pipeline import recording
from tests.acceptance.crash_shapes import CALLBACK_TIMEOUT_S, PIPELINE, prepare
from tests.acceptance.test_crashes import (
    OTHERS,
    SEED,
    SOAK,
    Count,
    Story,
    kill_and_wait,
    killed_at,
    other_killed_at,
)

ROUNDS = int(os.environ.get("TOWPATH_TEST_ROUNDS", "16"))
KEPT = str(Path(SOAK).with_stem(f"{Path(SOAK).stem}-shapes")) if SOAK else ""
PATIENCE_S = 2.0  #: for a job that can be killed
MOST_RETRIES = 4  #: of one execution: it is stopped once, and one job of it killed
pytestmark = [pytest.mark.acceptance, pytest.mark.faults, pytest.mark.timeout(0 if SOAK else 1800)]


@pytest.fixture
def soak(machine: Machine, tmp_path: Path) -> Iterator[Soak]:
    """Return a home with what the shapes use, and somebody outside who answers."""
    # At an address of its own nobody else takes its place, and answers for it, while it is down.
    machine = replace(machine, environment={"TOWPATH_HOST": "127.0.0.7"})
    machine.home.make()
    machine.home.settings_file.write_text(f"callback_timeout_days = {CALLBACK_TIMEOUT_S / 86_400!r}\n")
    with recording(tmp_path / "record") as recorder:
        server = machine.up()
        aws = clients(machine)
        queue = prepare(aws, recorder)
        story = Story(machine, recorder, server, aws)
        outside = Outside(story, queue)
        outside.start()
        try:
            yield Soak(story, queue, outside)
        finally:
            outside.end()


def stop(story: Story, arn: str, token: str) -> bool:
    """Ask an execution to stop; return whether it had not ended."""
    try:
        story.aws["sagemaker"].stop_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken=token)
    except ClientError as refused:
        assert "has ended" in str(refused) or "cannot be stopped" in str(refused), refused
        return False
    return True


def until_it_is_whole(story: Story, played: Round) -> dict[str, Any]:
    """Wait for the end, and retry what was stopped, or failed since a part of it was killed; return how it ended."""
    for _ in range(MOST_RETRIES):
        shown = story.until_ended(played.arn)
        played.ended = shown["PipelineExecutionStatus"]
        if played.ended == played.shape.status:
            return shown
        why = (shown, story.steps(played.arn))
        assert played.ended in {"Stopped", "Failed"}, why
        assert played.ended != "Stopped" or played.stop, why
        assert played.ended != "Failed" or played.hit or played.stop, why
        played.retried += 1
        story.aws["sagemaker"].retry_pipeline_execution(PipelineExecutionArn=played.arn, ClientRequestToken=uuid4().hex)
    pytest.fail(f"it has been retried {MOST_RETRIES} times: {played.ended}")


def one_round(soak: Soak, count: Count) -> None:
    """Run a shape, kill the server in it and perhaps something else, stop it perhaps; it ends as it would have."""
    story = soak.story
    chance = random.Random(f"shapes/{count.seed}/{count.passed}")
    tag = f"{count.seed}x{count.passed}x{uuid4().hex[:4]}"
    shape = drawn(chance, tag=tag, port=story.recorder.port, queue=soak.queue)
    moment_s, other_s, stop_s = (chance.uniform(0, soak.length_s) for _ in range(3))
    other, stops = chance.choice(OTHERS), chance.random() < 0.25
    for name, times in shape.dooms.items():
        story.recorder.doom(name, times)
    story.aws["sagemaker"].update_pipeline(PipelineName=PIPELINE, PipelineDefinition=shape.definition)
    token, stop_token = uuid4().hex, uuid4().hex
    running: list[list[str]] = []
    killed: list[str] = []
    began = time.monotonic()
    killers = [killed_at(story, moment_s, running)]
    if other:
        killers.append(other_killed_at(story, other, other_s, killed, patience_s=PATIENCE_S))
    played: Round | None = None
    unanswered = False
    try:
        try:
            played = Round(shape, story.start(token, PIPELINE))
            if stops and stop_s < moment_s:
                threading.Event().wait(max(0.0, began + stop_s - time.monotonic()))  # the moment was drawn
                stop(story, played.arn, stop_token)
        except (NoConnection, HTTPClientError):
            unanswered = played is None
        killers[0].join()
        down_at = datetime.now(UTC)
        story.up()
        down_for_s = (datetime.now(UTC) - down_at).total_seconds()
        arn = story.start(token, PIPELINE)
        assert played is None or played.arn == arn
        played = played or Round(shape, arn)
        if stops:
            threading.Event().wait(max(0.0, began + stop_s - time.monotonic()))
            stop(story, arn, stop_token)
            played.stop = True  # that it has ended before is told by how it ends
        for killer in killers[1:]:
            killer.join()
        played.hit = killed[0] if killed else ""
        shown = until_it_is_whole(story, played)
        length_s = (shown["LastModifiedTime"] - shown["CreationTime"]).total_seconds()
        soak.lengths.append(length_s - (down_for_s if down_at < shown["LastModifiedTime"] else 0.0))
        check(soak, played)
    except BaseException:
        did = f"server killed after {moment_s:.4f} s of {soak.length_s:.4f} s while {running}"
        did += f", {other} after {other_s:.4f} s ({'hit' if killed else 'none there'})" if other else ""
        did += f", stopped after {stop_s:.4f} s" if stops else ""
        sys.stderr.write(
            f"\nround {count.passed + 1}, {shape.blocks}, {did}\n{played}\nwas {shape.definition}\n"
            f"repeat it with TOWPATH_TEST_SEED={count.seed}\n"
        )
        raise
    soak.executions += 1
    soak.drawn.update(shape.blocks)
    soak.stopped += played.stop and played.retried > 0
    count.passed += 1
    count.while_running += bool(running[0])
    count.unanswered += unanswered
    for what in killed:
        count.others[what] = count.others.get(what, 0) + 1
    count.retried += played.retried > 0


def test_an_execution_of_any_shape_ends_as_it_would_have(soak: Soak, capsys: pytest.CaptureFixture[str]) -> None:
    def tell(text: str) -> None:
        with capsys.disabled():
            print(text, flush=True)

    count = Count.of(KEPT)
    tell(f"\n{ROUNDS} rounds of drawn shapes, {count.passed} of them passed before, TOWPATH_TEST_SEED={count.seed}")
    wanted = ROUNDS // 8
    try:
        while count.passed < ROUNDS or (count.while_running < wanted and count.passed < 3 * ROUNDS):
            one_round(soak, count)
            count.keep(KEPT)
            if count.passed % 10 == 0:
                tell(f"  {count.passed} of {ROUNDS} rounds")
    finally:
        blocks = ", ".join(f"{number} {kind}" for kind, number in sorted(soak.drawn.items()))
        tell(f"{count}; {soak.stopped} stopped and retried; in this run {blocks}; {soak.length_s:.1f} s each")
    story = soak.story
    kill_and_wait(story.server.pid)
    story.up()
    assert soak.stopped or not soak.outside.refused, "only of a step that was stopped nobody takes an answer"
    assert count.while_running >= wanted, f"with TOWPATH_TEST_SEED={SEED}"
