"""House-keeping sees what lies in the folders, and removes only what has ended."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from towpath.compute.process.leftovers import AttemptFolders, LayerFolders
from towpath.housekeeping import Attempt, Layer
from towpath.jobs.model import JobObservation, Phase

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Observed:
    """Says of each attempt what it is told to."""

    def __init__(self) -> None:
        self.phases: dict[str, Phase] = {}
        self.done: list[tuple[str, str]] = []

    def observe(self, key: str) -> JobObservation:
        return JobObservation(phase=self.phases[key])

    def tidy(self, key: str) -> None:
        self.done.append(("tidy", key))

    def forget(self, key: str) -> None:
        self.done.append(("forget", key))


@pytest.fixture
def backend() -> Observed:
    return Observed()


def write(path: Path, size: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    return path


def age(path: Path, at: datetime = AT) -> None:
    os.utime(path, (at.timestamp(), at.timestamp()))


def test_an_ended_attempt_is_told_with_its_end_and_what_its_removal_would_free(
    tmp_path: Path, backend: Observed
) -> None:
    folder = tmp_path / "jobs" / "u-1"
    for name, size in (("log", 3), ("manifest.json", 2), ("job.json", 1), ("ml/input/a", 10), ("tmp/b", 20)):
        write(folder / name, size)
    staged = write(folder / "staging" / "model", 100)
    (tmp_path / "blob").hardlink_to(staged)  # adopted as an object: its bytes stay
    (folder / "layer").write_text("4be1")
    age(folder / "manifest.json")
    backend.phases["u-1"] = Phase.FINISHED
    (tmp_path / "jobs" / ".forgotten-u-2").mkdir()
    write(tmp_path / "jobs" / "a file", 1)
    found = AttemptFolders(tmp_path / "jobs", backend).all()
    assert found == [Attempt(key="u-1", ended_at=AT, files_bytes=30, log_bytes=10, layer="4be1")]


@pytest.mark.parametrize("phase", [Phase.STARTING, Phase.RUNNING, Phase.READY])
def test_an_attempt_that_runs_has_no_end_and_stays(tmp_path: Path, backend: Observed, phase: Phase) -> None:
    write(tmp_path / "u-1" / "log", 3)
    backend.phases["u-1"] = phase
    folders = AttemptFolders(tmp_path, backend)
    assert folders.all() == [Attempt(key="u-1", ended_at=None)]
    folders.trim("u-1")
    folders.forget("u-1")
    assert backend.done == []


@pytest.mark.parametrize("phase", [Phase.FINISHED, Phase.LOST])
def test_what_ended_is_tidied_and_forgotten_by_its_back_end(tmp_path: Path, backend: Observed, phase: Phase) -> None:
    backend.phases["u-1"] = phase
    folders = AttemptFolders(tmp_path, backend)
    folders.trim("u-1")
    folders.forget("u-1")
    assert backend.done == [("tidy", "u-1"), ("forget", "u-1")]


def test_an_attempt_that_goes_while_we_look_is_not_told(tmp_path: Path, backend: Observed) -> None:
    (tmp_path / "u-1").mkdir()

    def gone(key: str) -> JobObservation:
        (tmp_path / key).rmdir()
        return JobObservation(phase=Phase.ABSENT)

    backend.observe = gone  # type: ignore[method-assign]
    assert AttemptFolders(tmp_path, backend).all() == []


def test_layers_are_told_with_their_last_use_and_removed_whole(tmp_path: Path) -> None:
    for name in ("4be1", "77aa"):
        write(tmp_path / "layers" / name / "packages" / "p.py", 10)
        age(tmp_path / "layers" / name)
    (tmp_path / "layers" / ".locks").mkdir()
    folders = LayerFolders(tmp_path / "layers")
    assert folders.all() == [Layer(name=name, size=10, used_at=AT) for name in ("4be1", "77aa")]
    folders.remove("4be1")
    assert [layer.name for layer in folders.all()] == ["77aa"]


def test_what_an_interrupted_removal_left_is_no_layer_and_goes(tmp_path: Path) -> None:
    write(tmp_path / ".gone-4be1" / "p.py", 10)
    assert LayerFolders(tmp_path).all() == []
    assert not (tmp_path / ".gone-4be1").exists()
    assert LayerFolders(tmp_path / "none").all() == []


def test_the_age_of_an_attempt_that_never_wrote_a_manifest_is_that_of_its_log(
    tmp_path: Path, backend: Observed
) -> None:
    write(tmp_path / "u-1" / "log", 1)
    age(tmp_path / "u-1" / "log", AT - timedelta(days=1))
    backend.phases["u-1"] = Phase.LOST
    assert AttemptFolders(tmp_path, backend).all()[0].ended_at == AT - timedelta(days=1)
