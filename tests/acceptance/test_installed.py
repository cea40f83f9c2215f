"""Towpath without a checkout: what the wheel holds, and the demo in an empty folder."""

import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.acceptance.conftest import ROOT, Machine, clean_environment

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that holds what the wheel installs. uv builds it with the build backend that set-up has got."""
    folder = tmp_path_factory.mktemp("wheel")
    uv = Path(sys.executable).with_name("uv")
    options = ["--wheel", "--quiet", "--build-constraints", str(ROOT / "constraints" / "build.txt")]
    done = subprocess.run(
        [str(uv), "build", *options, "--python", sys.executable, "--out-dir", str(folder), str(ROOT)],
        env=clean_environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


@pytest.fixture
def installed(machine: Machine, site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """Return a home whose commands run from the wheel instead of from this checkout."""
    with monkeypatch.context() as context:
        context.setenv("PYTHONPATH", str(site))
        where = [sys.executable, "-c", "import towpath; print(towpath.__file__)"]
        found = subprocess.run(where, cwd=site.parent, capture_output=True, text=True, check=True).stdout
        assert Path(found.strip()) == site / "towpath" / "__init__.py"
        yield machine


def test_the_wheel_holds_the_example_project_and_nothing_that_running_it_leaves(site: Path) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "examples/reviews"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    expected = {name.removeprefix("examples/reviews/") for name in tracked.stdout.split() if (ROOT / name).is_file()}
    example = site / "towpath" / "examples" / "reviews"
    assert {path.relative_to(example).as_posix() for path in example.rglob("*") if path.is_file()} == expected
    assert (site / "towpath" / "gateway" / "models" / "towpath").is_dir()
    assert (site / "towpath" / "store" / "migrations" / "versions").is_dir()


@pytest.mark.skipif(
    ROOT.is_relative_to(tempfile.gettempdir()),
    reason="the interpreter of jobs has Towpath from this checkout, and jobs do not see the folder for temporary files",
)
def test_the_demo_writes_the_example_into_a_new_folder_and_runs_it(installed: Machine, tmp_path: Path) -> None:
    told = installed.towpath("demo", "mine", "--quick", cwd=tmp_path)
    assert "Wrote the example project to mine" in told
    assert (tmp_path / "mine" / "pipeline.py").is_file()
    assert "reviews/1 is Approved, by admin" in told
    answers = [json.loads(line) for line in told.splitlines() if line.strip().startswith('{"label"')]
    assert [answer["label"] for answer in answers] == ["negative", "neutral", "positive"]

    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    assert "name a new folder" in installed.towpath("demo", "other", "--quick", code=2, cwd=tmp_path)
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["notes.txt"]
