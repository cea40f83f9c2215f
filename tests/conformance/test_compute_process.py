"""Processes of this host, in each sandbox that works here, are a compute back end."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from towpath.compute.process import ProcessBackend, SandboxMode, self_test
from towpath.jobs.ports import ComputeBackend
from towpath.kernel.errors import Unavailable
from towpath.testing.compute import SECRETS, ComputeSuite

MODES: tuple[SandboxMode, ...] = ("namespace", "bwrap", "paths")


@pytest.mark.slow
class TestProcessBackend(ComputeSuite):
    @pytest.fixture(params=MODES)
    def open_backend(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], ComputeBackend]]:
        mode: SandboxMode = request.param
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
            opened.append(ProcessBackend(home / "jobs", home=home, sandbox=mode, secrets=known))
            return opened[-1]

        yield open_one
        for backend in opened:
            backend.close()
        assert opened[-1].stop_host() == []
        opened[-1].close()
