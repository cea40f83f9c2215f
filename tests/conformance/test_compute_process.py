"""Processes of this host, in each sandbox that works here and by each way to begin, are a compute back end."""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from towpath.compute.process import ProcessBackend, SandboxMode, self_test
from towpath.jobs.model import Phase
from towpath.jobs.ports import ComputeBackend
from towpath.kernel.errors import Unavailable
from towpath.runner.folder import MANIFEST
from towpath.testing.compute import SECRETS, ComputeSuite, News, script

MODES: tuple[SandboxMode, ...] = ("namespace", "bwrap", "paths")
#: What may keep a job of the suite from beginning warm. That a zygote was not ready, or broke, may not.
_COLD = (
    "its command is",
    "its requirements.txt",
    "it has several hosts",
    "it serves",
    "libraries may read its variables",
    "its process",
)


@pytest.mark.slow
class TestProcessBackend(ComputeSuite):
    @pytest.fixture(params=[*MODES, "namespace, warm"])
    def open_backend(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], ComputeBackend]]:
        mode: SandboxMode = request.param.partition(",")[0]
        warm = request.param.endswith("warm")
        home = tmp_path / "home"
        home.mkdir()
        try:
            self_test(home, mode)
        except Unavailable as reason:
            pytest.skip(str(reason))

        def known(names: Iterable[str]) -> dict[str, str]:
            return {name: SECRETS[name] for name in names if name in SECRETS}

        opened: list[ProcessBackend] = []

        def open_one() -> ProcessBackend:
            imports = ("logging", "multiprocessing", "numpy") if warm else None
            opened.append(ProcessBackend(home / "jobs", home=home, sandbox=mode, secrets=known, imports=imports))
            return opened[-1]

        if warm:
            _prime(open_one())
        yield open_one
        for backend in opened:
            backend.close()
        assert opened[-1].stop_host() == []
        opened[-1].close()
        for manifest in (home / "jobs").glob(f"*/{MANIFEST}") if warm else ():
            told = json.loads(manifest.read_bytes())
            assert told["warm"] or told["exit_code"] is None or told["cold_because"].startswith(_COLD), told


def _prime(backend: ProcessBackend) -> None:
    """Have a zygote ready: the first job that could begin from one begins it."""
    news = News()
    backend.watch(news)
    backend.submit(script("pass", key="first"))
    news.until(lambda: backend.observe("first").phase is Phase.FINISHED, "the first job has ended")
    backend.forget("first")
    (zygote,) = backend.zygotes(wait_s=30)
    assert zygote.state == "ready", zygote
    assert zygote.left_out == {}
    backend.close()
