"""What makes a job begin in a fresh interpreter although there is a process with its imports."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from towpath.runner import warm

ENVIRONMENT = {"HOME": "/tmp", "PATH": "/bin"}


def origin(
    names: frozenset[str] = frozenset(),
    files: Mapping[str, tuple[int, int] | None] | None = None,
) -> warm.Origin:
    return warm.Origin({}, names, ENVIRONMENT, {}, files or {}, {}, (), frozenset(), 0, (0, 0))


def script(folder: Path, *words: str, environment: dict[str, str] | None = None) -> warm.Script:
    path = folder / "train.py"
    path.touch()
    return warm.Script([sys.executable, str(path), *words], sys.executable, environment or ENVIRONMENT)


def test_a_script_in_the_same_environment_may_begin_warm(tmp_path: Path) -> None:
    assert warm.why_cold(origin(), script(tmp_path, "--rate", "1"), unpacked=False) == ""


def test_another_program_is_not_this_interpreter(tmp_path: Path) -> None:
    other = script(tmp_path)._replace(program="/bin/sh")
    assert warm.why_cold(origin(), other, unpacked=False) == "its command is not Python's: /bin/sh"
    link = tmp_path / "bin" / "python"
    link.parent.mkdir()
    link.symlink_to(sys.executable)
    elsewhere = script(tmp_path)._replace(program=str(link))
    told = warm.why_cold(origin(), elsewhere, unpacked=False)
    assert told.startswith("its command is not Python's"), "by that path it would find other packages"


@pytest.mark.parametrize("word", ["-c", "-m", "-u", "code", "script.txt", "-train.py"])
def test_what_is_no_script_begins_cold(word: str) -> None:
    command = warm.Script([sys.executable, word], sys.executable, ENVIRONMENT)
    assert warm.why_cold(origin(), command, unpacked=False) == "its command is no Python script"


def test_variables_differ_where_a_library_could_see_it() -> None:
    here = {"HOME": "/tmp", "OMP_NUM_THREADS": "1", "SM_HOSTS": "[]"}
    there = {"HOME": "/tmp", "PYTHONHASHSEED": "0", "SM_HOSTS": "[1]", "AWS_REGION": "x", "TRAINING_JOB_NAME": "y"}
    assert warm.differing(here, there) == ["OMP_NUM_THREADS", "PYTHONHASHSEED"]
    assert warm.differing(here, here) == []


@pytest.mark.parametrize("name", ["numpy.py", "numpy.so", "numpy.cpython-311-x86_64-linux-gnu.so", "numpy/part.py"])
def test_what_lies_beside_the_script_comes_first(tmp_path: Path, name: str) -> None:
    for place in ("", "deep/down"):
        folder = tmp_path / (place or "top")
        (folder / place / name).parent.mkdir(parents=True)
        (folder / place / name).touch()
        told = warm.why_cold(origin(frozenset({"numpy"})), script(folder), unpacked=False)
        assert told.endswith("has the name of a module")


def test_names_that_no_import_could_mean_do_not_matter(tmp_path: Path) -> None:
    (tmp_path / "numpy.csv").touch()
    (tmp_path / "numpy_too.py").touch()
    assert warm.why_cold(origin(frozenset({"numpy"})), script(tmp_path), unpacked=False) == ""


def test_a_script_beside_thousands_of_files_begins_cold(tmp_path: Path) -> None:
    for number in range(5001):
        os.close(os.open(tmp_path / str(number), os.O_CREAT))
    assert "5000 files" in warm.why_cold(origin(), script(tmp_path), unpacked=False)


def test_the_launcher_of_script_mode_is_seen_through() -> None:
    command = ["python", warm.TOOLKIT, "train.py", "--rate", "1"]
    found, unpacked = warm.as_script(command, sys.executable, ENVIRONMENT)
    assert unpacked
    assert found.command == [sys.executable, "train.py", "--rate", "1"]
    assert warm.as_script(["python", "train.py"], sys.executable, {}) == (
        warm.Script(["python", "train.py"], sys.executable, {}),
        False,
    )


def test_a_file_that_has_changed_is_named(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text("1")
    known = origin(files={str(path): warm._stamp(str(path)), str(tmp_path / "later.py"): None})
    assert known.changed() == ""
    path.write_text("22")
    assert known.changed() == str(path)
    path.unlink()
    assert known.changed() == str(path)
    assert origin(files={str(tmp_path / "later.py"): None}).changed() == ""
