"""Many jobs at once while runners are killed at random moments."""

import contextlib
import hashlib
import os
import random
import signal
from pathlib import Path

import pytest

from towpath.compute.process import ProcessBackend
from towpath.jobs.model import Output, Phase
from towpath.testing.compute import News, script

pytestmark = [pytest.mark.slow, pytest.mark.faults]

CODE = """
import sys
open("/opt/ml/out/result", "w").write(sys.argv[1] * 100_000)
open("/opt/ml/out/other", "w").write(sys.argv[1])
"""


@pytest.mark.parametrize("seed", [1, 2])
def test_an_attempt_is_whole_or_lost_whenever_its_runner_is_killed(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    home = tmp_path / "home"
    backend, news = ProcessBackend(home / "jobs", home=home, sandbox="paths"), News()
    backend.watch(news)
    keys = [f"job-{number}" for number in range(24)]
    output = Output(name="out", path="out", bucket="b", key="p")
    for number, key in enumerate(keys):
        backend.submit(script(CODE, key=key, arguments=(str(number % 10),), folders=("out",), outputs=(output,)))
        victim = chance.choice(keys[: number + 1])
        pid = backend.observe(victim).pid
        if pid is not None and chance.random() < 0.7:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    done = (Phase.FINISHED, Phase.LOST, Phase.ABSENT)  # absent: killed before the claim, so nothing was done
    news.until(lambda: all(backend.observe(key).phase in done for key in keys), "all have ended")
    for number, key in enumerate(keys):
        if backend.observe(key).phase is Phase.ABSENT:
            backend.submit(script(CODE, key=key, arguments=(str(number % 10),), folders=("out",), outputs=(output,)))
    news.until(lambda: all(backend.observe(key).phase in done[:2] for key in keys), "the rest has ended")
    finished = 0
    for key in keys:
        manifest = backend.observe(key).manifest
        if manifest is not None:
            finished += 1
            assert [file.key for file in manifest.outputs] == ["p/other", "p/result"]
            for file in manifest.outputs:
                assert hashlib.sha256(Path(file.path).read_bytes()).hexdigest() == file.sha256
    assert finished
    assert backend.live() == []
    assert backend.stop_host() == []
    backend.close()
