"""Layers are made beside crashes and requests to stop, and never half."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from towpath.compute.process import ProcessBackend
from towpath.jobs.model import JobSpec, Phase
from towpath.runner import tree
from towpath.runner.layers import _STARTUP_PROGRAM
from towpath.testing.compute import PATIENCE_S, News, script
from towpath.testing.wheels import make_wheel

pytestmark = pytest.mark.slow


@pytest.fixture
def backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ProcessBackend]:
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    home = tmp_path / "home"
    backend = ProcessBackend(home / "jobs", home=home, sandbox="paths")
    yield backend
    backend.close()
    backend.stop_host()
    backend.close()


@pytest.fixture
def news(backend: ProcessBackend) -> News:
    news = News()
    backend.watch(news)
    return news


@pytest.fixture
def silent_index(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """An index that takes requests and answers none."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE_S)
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://127.0.0.1:{listener.getsockname()[1]}/simple")
        monkeypatch.setenv("NO_PROXY", "*")
        monkeypatch.setenv("no_proxy", "*")
        yield listener


def asking(requirements: str, code: str = "pass", **members: Any) -> JobSpec:
    files = {"code/requirements.txt": requirements}
    return script(code, files=files, requirements=("code/requirements.txt",), **members)


def folders(tmp_path: Path) -> list[str]:
    layers = tmp_path / "home" / "layers"
    return sorted(path.name for path in layers.iterdir() if path.name != ".locks")


def test_a_job_is_stopped_while_its_layer_is_made(
    backend: ProcessBackend, news: News, silent_index: socket.socket, tmp_path: Path
) -> None:
    backend.submit(asking("towpath-a"))
    request, _ = silent_index.accept()  # uv has begun
    with request:
        backend.stop("job-1")
        news.until(lambda: backend.observe("job-1").phase is Phase.FINISHED, "it is stopped")
    manifest = backend.observe("job-1").manifest
    assert manifest is not None
    assert manifest.stopped
    assert manifest.exit_code is None


def test_what_a_killed_build_left_is_cleared_away_by_the_next(
    backend: ProcessBackend, news: News, silent_index: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend.submit(asking("towpath-a"))
    request, _ = silent_index.accept()
    with request:
        runner = backend.observe("job-1").pid
        assert runner is not None
        below = tree.descendants(runner)
        os.kill(runner, signal.SIGKILL)
        news.until(lambda: backend.observe("job-1").phase is Phase.LOST, "the runner is gone")
    assert folders(tmp_path)[0].startswith(".building-")
    make_wheel(tmp_path / "wheels", "towpath-a", "1.5")
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setenv("UV_OFFLINE", "1")
    backend.submit(asking("towpath-a", "import towpath_a; print(towpath_a.version)", key="job-2"))
    news.until(lambda: backend.observe("job-2").phase is Phase.FINISHED, "the second job ends")
    manifest = backend.observe("job-2").manifest
    assert manifest is not None
    assert manifest.reason is None
    assert manifest.layer is not None
    assert folders(tmp_path) == [manifest.layer.hash]
    assert below, "uv was running"
    assert not set(below) & set(tree.descendants(os.getpid()))


def test_passwords_of_an_index_are_not_in_the_log(
    backend: ProcessBackend, news: News, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")
    backend.submit(asking("--extra-index-url https://ada:pa55w0rd@index.invalid/simple\ntowpath-a\n"))
    news.until(lambda: backend.observe("job-1").phase is Phase.FINISHED, "it ends")
    manifest = backend.observe("job-1").manifest
    assert manifest is not None
    assert "pa55w0rd" not in str(manifest)
    assert "pa55w0rd" not in "\n".join(line.text for line in backend.log("job-1").lines)


def test_the_packages_of_a_layer_come_last_and_a_start_up_file_of_the_environment_still_runs(
    backend: ProcessBackend, news: News, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_wheel(tmp_path / "wheels", "towpath-a", "1.5")
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setenv("UV_OFFLINE", "1")
    own = tmp_path / "own"
    own.mkdir()
    (own / "sitecustomize.py").write_text("print('started by the environment')\n")
    code = "import sys; print([path for path in sys.path if 'layers' in path or path.endswith('own')], sys.path[-1])"
    backend.submit(asking("towpath-a", code, environment={"PYTHONPATH": str(own)}))
    news.until(lambda: backend.observe("job-1").phase is Phase.FINISHED, "it ends")
    manifest = backend.observe("job-1").manifest
    assert manifest is not None
    assert manifest.layer is not None
    layer = tmp_path / "home" / "layers" / manifest.layer.hash
    lines = [line.text for line in backend.log("job-1").lines][-2:]
    packages = str(layer / "packages")
    assert lines == ["started by the environment", f"{[str(layer / 'startup'), str(own), packages]} {packages}"]


def test_a_python_of_another_version_does_not_see_the_layer(tmp_path: Path) -> None:
    program = _STARTUP_PROGRAM.format(version=(2, 7), packages="packages")
    (tmp_path / "startup").mkdir()
    (tmp_path / "packages").mkdir()
    (tmp_path / "startup" / "sitecustomize.py").write_text(program)
    shown = subprocess.run(
        [sys.executable, "-c", "import sys; print(sys.path)"],
        env={"PYTHONPATH": str(tmp_path / "startup")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(tmp_path / "packages") not in shown.stdout
    assert shown.stderr == ""
