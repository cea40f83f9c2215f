import sys
from pathlib import Path

import pytest

from towpath.runner.sandbox import View, bwrap_argv, is_below, needed_for, rewritten


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/opt/ml", "/home/a/ml"),
        ("--model=/opt/ml/model", "--model=/home/a/ml/model"),
        ("/opt/ml:/opt/ml/code", "/home/a/ml:/home/a/ml/code"),
        ("cd /opt/ml; ls", "cd /home/a/ml; ls"),
        ("/opt/mlflow", "/opt/mlflow"),
        ("/opt/ml-2", "/opt/ml-2"),
        ("/opt/ml.bak", "/opt/ml.bak"),
    ],
)
def test_only_the_folder_itself_is_rewritten(text: str, expected: str) -> None:
    assert rewritten(text, "/home/a/ml") == expected


def test_backslashes_of_a_folder_are_taken_as_they_are() -> None:
    assert rewritten("/opt/ml/x", "/a\\1b") == "/a\\1b/x"


def test_an_environment_needs_itself_and_the_python_behind_it() -> None:
    needed = needed_for(sys.executable)
    assert sys.prefix in needed
    assert str(Path(sys.executable).resolve().parent.parent) in needed


def test_a_python_in_the_root_does_not_make_everything_needed() -> None:
    assert needed_for("/python-that-is-not-there") == []


def test_a_folder_is_not_below_itself() -> None:
    assert is_below("/a/b", "/a")
    assert not is_below("/a", "/a")
    assert not is_below("/ab", "/a")


def test_bubblewrap_hides_the_home_and_shows_what_is_needed_in_it(tmp_path: Path) -> None:
    (tmp_path / "env").mkdir()
    view = View(
        ml="/a/ml",
        tmp="/a/tmp",
        masked=str(tmp_path),
        needed=(str(tmp_path / "env"),),
        network=False,
        user_namespace=True,
    )
    argv = bwrap_argv(view, "/usr/bin/bwrap", ["train", "--fast"], "/opt/ml")
    words = " ".join(argv)
    assert argv[0] == "/usr/bin/bwrap"
    assert "--bind /a/ml /opt/ml" in words
    assert "--bind /a/tmp /tmp" in words
    assert f"--ro-bind {tmp_path / 'env'} {tmp_path / 'env'}" in words
    assert "--unshare-net" in words
    assert words.endswith("--chdir /opt/ml -- train --fast")
