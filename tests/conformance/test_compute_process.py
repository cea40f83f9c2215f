"""Processes of this host, in each sandbox that works here and by each way to begin, are a compute back end."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from tests.warm import IMPORTS, assert_warm, prime

from towpath.compute.process import ProcessBackend, SandboxMode, self_test
from towpath.jobs.ports import ComputeBackend
from towpath.kernel.errors import Unavailable
from towpath.testing.compute import SECRETS, ComputeSuite

MODES: tuple[SandboxMode, ...] = ("namespace", "bwrap", "paths")


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
            imports = IMPORTS if warm else None
            opened.append(ProcessBackend(home / "jobs", home=home, sandbox=mode, secrets=known, imports=imports))
            return opened[-1]

        if warm:
            prime(open_one())
        yield open_one
        for backend in opened:
            backend.close()
        assert opened[-1].stop_host() == []
        opened[-1].close()
        if warm:
            assert_warm(home / "jobs")
