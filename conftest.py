"""What holds for all tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from tests.replays import decided_alike, homes_below

# How long an example takes says more about the machine than about the code.
settings.register_profile("towpath", deadline=None)
settings.load_profile("towpath")


@pytest.fixture(scope="session")
def replayed() -> set[Path]:
    """Return the homes whose executions have been decided again; the end of each test adds to them."""
    return set()


@pytest.fixture(scope="session", autouse=True)
def _shared_homes_are_decided_alike(tmp_path_factory: pytest.TempPathFactory, replayed: set[Path]) -> Iterator[None]:
    """Decide the executions of homes that several tests share again, when all tests are over."""
    yield
    for home in homes_below(tmp_path_factory.getbasetemp()):
        if home.path not in replayed:
            decided_alike(home)


@pytest.fixture(autouse=True)
def _homes_are_decided_alike(request: pytest.FixtureRequest, replayed: set[Path]) -> Iterator[None]:
    """Decide the executions that a test has run in its own folder again, once everything it started is gone."""
    folder: Path | None = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    yield
    for home in homes_below(folder) if folder is not None and folder.is_dir() else ():
        replayed.add(home.path)
        decided_alike(home)
