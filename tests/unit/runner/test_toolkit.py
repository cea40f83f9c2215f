"""The launcher of script mode: requirements are judged, programs are started the way their name says."""

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from towpath.runner import toolkit


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text("", encoding="utf-8")
    return tmp_path


def requirements(folder: Path, text: str) -> None:
    (folder / "requirements.txt").write_text(text, encoding="utf-8")


def test_without_a_requirements_file_nothing_is_missing(folder: Path) -> None:
    assert toolkit.refusal(Path("train.py")) is None


@pytest.mark.parametrize("line", ["pytest", "pytest>=8", "pytest!=1.0,>=8.0", "Pytest == 9.*", "pytest[extra]>8"])
def test_what_is_installed_is_met(folder: Path, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: "9.2.0")
    requirements(folder, f"# tools\n{line}  # for tests\n\n")
    assert toolkit.refusal(Path("train.py")) is None


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("no-such-package-anywhere==1.0", "no-such-package-anywhere==1.0 (not installed)"),
        ("pytest==1.0", "pytest==1.0 (installed: "),
        ("pytest<2", "pytest<2 (installed: "),
        ("https://example.org/x.whl", "only packages with a name can be checked"),
    ],
)
def test_what_is_missing_is_named(folder: Path, line: str, part: str) -> None:
    requirements(folder, line)
    refusal = toolkit.refusal(Path("train.py"))
    assert refusal is not None
    assert part in refusal
    assert "map the image to another environment" in refusal


def test_included_files_are_read_too(folder: Path) -> None:
    requirements(folder, "-r more.txt\n")
    (folder / "more.txt").write_text("no-such-package-anywhere\n", encoding="utf-8")
    assert "no-such-package-anywhere (not installed)" in (toolkit.refusal(Path("train.py")) or "")


def test_what_cannot_be_judged_is_told_in_the_log(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    requirements(folder, 'no-such-package; python_version < "3"\n--index-url https://example.org\n')
    assert toolkit.refusal(Path("train.py")) is None
    log = capsys.readouterr().err
    assert "its condition is not evaluated" in log
    assert "'--index-url' has no effect" in log


@pytest.mark.parametrize(
    ("present", "operator", "wanted", "met"),
    [
        ("2.13.0+cpu", "==", "2.13.0", True),
        ("2.13", "==", "2.13.0", True),
        ("1.10", ">", "1.9", True),
        ("1.4.9", "~=", "1.4.2", True),
        ("1.5.0", "~=", "1.4.2", False),
        ("1.5.0", "~=", "1.4", True),
        ("1.4.2", "!=", "1.4.*", False),
        ("2.0", "<=", "1.9.9", False),
        ("1.0", "===", "1.0.0", False),
    ],
)
def test_versions_are_compared_by_their_numbers(present: str, operator: str, wanted: str, met: bool) -> None:
    assert toolkit._satisfies(present, operator, wanted) is met


def test_a_missing_program_is_told_with_what_is_there(folder: Path) -> None:
    assert toolkit.refusal(Path("other.py")) == (
        "The program 'other.py' is not in the source archive, which holds: train.py"
    )


def test_requirements_that_the_platform_made_a_layer_of_are_not_judged_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requirements(folder, "no-such-package-anywhere\n")
    assert toolkit.refusal(Path("train.py")) is not None
    monkeypatch.setenv("TOWPATH_LAYER", "f" * 64)
    assert toolkit.refusal(Path("train.py")) is None


def test_a_shell_program_installs_what_it_needs_itself(folder: Path) -> None:
    requirements(folder, "no-such-package-anywhere\n")
    (folder / "run.sh").write_text("", encoding="utf-8")
    assert toolkit.refusal(Path("run.sh")) is None


@pytest.mark.slow
def test_programs_get_their_words_and_their_exit_code_is_the_jobs(folder: Path) -> None:
    (folder / "train.py").write_text("import sys; print(sys.argv); sys.exit(7)", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, toolkit.__file__, "train.py", "--name", "a b"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (7, "['train.py', '--name', 'a b']\n")


@pytest.mark.slow
@pytest.mark.parametrize("first", ["\n#!/bin/bash\n", "#!/bin/sh\n"])
def test_a_shell_program_needs_neither_mode_nor_interpreter_line(folder: Path, first: str) -> None:
    program = folder / "run.sh"
    program.write_text(first + 'echo "$0 $2"\nexit 3\n', encoding="utf-8")
    program.chmod(0o644)
    done = subprocess.run(
        [sys.executable, toolkit.__file__, "run.sh", "--name", "a b"],
        capture_output=True,
        text=True,
        check=False,
        env=dict(os.environ),
    )
    assert (done.returncode, done.stdout) == (3, "./run.sh a b\n")
