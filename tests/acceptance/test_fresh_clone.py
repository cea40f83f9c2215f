"""What a newcomer does: clone, type one command, see the answers; then type it again."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.acceptance.conftest import Machine, make

from towpath.home import HomeFolder

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(900)]


def test_one_command_takes_raw_reviews_to_answers_and_again(clone: Path) -> None:
    first = make(clone, "demo", "QUICK=1")
    assert re.search(r"accuracy: 0\.[5-8]", first)
    assert re.search(r"macro-F1: 0\.[5-8]", first)
    assert "reviews/1 is Approved, by admin" in first
    assert "reviews is InService with reviews/1" in first
    answers = [json.loads(line) for line in first.splitlines() if line.strip().startswith('{"label"')]
    assert [answer["label"] for answer in answers] == ["negative", "neutral", "positive"]
    assert all(abs(sum(answer["probabilities"].values()) - 1) < 0.01 for answer in answers)
    assert "towpath down --all" in first

    machine = Machine(HomeFolder(clone / ".towpath"))
    assert "reviews" in machine.towpath("ps"), "the server and its endpoint go on"
    second = make(clone, "demo", "QUICK=1", CI="true")
    assert "installing" not in second, "set-up is done once"
    assert "reviews is InService, now with reviews/2" in second
    assert machine.processes() == [], "with CI=true nothing is left running"


def test_a_threshold_out_of_reach_fails_with_both_numbers_and_registers_nothing(clone: Path) -> None:
    machine = Machine(HomeFolder(clone / ".towpath"))
    machine.up()  # the test before has ended everything, or was not run
    before = machine.json("models")
    file = str(clone / "examples" / "reviews" / "pipeline.py")
    told = machine.towpath("run", file, "-p", "MinAccuracy=0.99", "-p", "Model=baseline", code=1)
    assert re.search(r"accuracy 0\.\d+ on the test set is below MinAccuracy 0\.99", told)
    assert machine.json("models") == before


def test_make_help_lists_the_targets(clone: Path) -> None:
    told = make(clone, "help")
    for target in ("demo", "test", "test-text", "lint", "bench"):
        assert f"make {target} " in told


def test_no_python_is_told_with_what_was_looked_for(clone: Path, tmp_path: Path) -> None:
    """On a PATH without any Python the set-up says what it missed, instead of failing somewhere."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("bash", "env", "make", "git", "uname", "date", "grep", "sed", "sort", "cat", "rm", "touch", "dirname"):
        found = shutil.which(tool)
        if found:
            (tools / tool).symlink_to(found)
    copy = tmp_path / "copy"
    subprocess.run(["git", "clone", "--quiet", str(clone), str(copy)], check=True)
    done = subprocess.run(
        [str(tools / "make"), "demo", "QUICK=1"],
        cwd=copy,
        env={"PATH": str(tools), "HOME": os.environ["HOME"], "TOWPATH_PYTHON": "python3.11 python3.9"},
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "no usable Python 3.11 to 3.14" in done.stderr
    assert "python3.11: not found" in done.stderr
