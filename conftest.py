"""What holds for all tests."""

from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from tests.replays import Again

from towpath.compute.process.placement import lay_apart

# How long an example takes says more about the machine than about the code.
settings.register_profile("towpath", deadline=None)
settings.load_profile("towpath")

_AGAIN = pytest.StashKey[Again]()
_DECIDED_AGAIN = "decided_again"  #: property of the report of a test's end: what was decided again, and what left out


def pytest_configure(config: pytest.Config) -> None:
    """Begin to count what is decided again."""
    config.stash[_AGAIN] = Again()


@pytest.fixture(scope="session")
def again(pytestconfig: pytest.Config) -> Again:
    """Return what decides executions again; the end of each test has it do so."""
    return pytestconfig.stash[_AGAIN]


@pytest.fixture(scope="session", autouse=True)
def _tests_lie_apart(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Lay the folders of tests apart on the disk: the files that one has removed slow down what the next one makes."""
    lay_apart(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session", autouse=True)
def _shared_homes_are_decided_alike(tmp_path_factory: pytest.TempPathFactory, again: Again) -> Iterator[None]:
    """Decide the executions of homes that several tests share again, when all tests are over."""
    yield
    again.decide(tmp_path_factory.getbasetemp())


@pytest.fixture(autouse=True)
def _homes_are_decided_alike(request: pytest.FixtureRequest, again: Again) -> Iterator[None]:
    """Decide the executions that a test has run in its own folder again, once everything it started is gone."""
    folder: Path | None = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    yield
    if folder is not None and folder.is_dir():
        again.decide(folder)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell with the end of each test what was decided again in it: it may have run in another process."""
    report = yield
    if report.when == "teardown":
        report.user_properties.append((_DECIDED_AGAIN, item.config.stash[_AGAIN].told()))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many executions were decided again, and what was left out."""
    counted: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) == "teardown":
                counted.update(dict(report.user_properties).get(_DECIDED_AGAIN) or {})
    if counted:
        terminalreporter.write_line("; ".join(f"{count} {what}" for what, count in counted.items()))
