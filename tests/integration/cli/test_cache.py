"""A pipeline whose steps ask for the cache, by the command line: what is taken over, what runs, and why."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from tests.integration.cli.conftest import Shell

from towpath.sdk import Client

pytestmark = pytest.mark.slow

TAKEN = "taken over from an earlier execution"


def states(told: str) -> dict[str, str]:
    """Return what the last line of each step says of it."""
    found = re.findall(r"^(\w+)  Succeeded  [0-9.]+ s *(.*)$", told, re.M)
    return dict(found)


def test_a_run_says_what_was_taken_over_and_explains_what_was_not(towpath: Shell, tmp_path: Path) -> None:
    whole = (towpath.folder / "pipeline.py").read_text()
    cached = re.sub(r'script="(\w+)\.py",', r'script="\1.py", cache="P1D",', whole).replace(
        '"words", steps', '"kept", steps'
    )
    (towpath.folder / "kept.py").write_text(cached)
    first = states(towpath("run", "kept.py"))
    assert TAKEN not in first.values()

    second = states(towpath("run", "kept.py"))
    assert [step for step, said in second.items() if said == TAKEN] == ["Prepare", "Train", "Evaluate"]
    told = towpath("explain", "kept/latest", "Train")
    assert re.match(
        r"Train took a result over: kept/\w+ has succeeded with this key\nKey: [0-9a-f]{12}, of \d+ arguments, ", told
    )
    assert re.search(r"^code +code/train\.py +[0-9a-f]{12}$", told, re.M)
    assert re.search(r"^environment: Python 3\.\d+\.\d+ with \d+ packages", told, re.M)

    elsewhere = shutil.copytree(towpath.folder, tmp_path / "moved")
    for place in elsewhere.rglob("*"):
        os.utime(place, (1, 1))
    moved = states(Shell(elsewhere, towpath.home)("run", "kept.py"))
    assert [step for step, said in moved.items() if said == TAKEN] == ["Prepare", "Train", "Evaluate"]

    with (towpath.folder / "inference.py").open("a") as file:
        file.write("# as before, and yet another file\n")
    third = states(towpath("run", "kept.py"))
    assert third["Prepare"] == TAKEN
    assert third["Train"] != TAKEN
    assert "First difference from kept/" in towpath("explain", "kept/latest", "Train")
    as_json = json.loads(towpath("explain", "kept/latest", "Train", "--json"))
    assert [(each["Group"], each["Name"]) for each in as_json["Differences"]] == [("code", "code/inference.py")]

    execution = Client(home=towpath.home).execution(as_json["PipelineExecutionArn"])
    explained = execution.explain("Train")
    assert (explained.outcome, explained.key) == ("Miss", as_json["Key"])
    assert explained.first is not None
    assert explained.first.place == "file code/inference.py"
    assert execution.explain("Register").outcome == "NotCacheable"
    assert towpath("explain", "kept", "Train") == towpath("explain", "kept/latest", "Train")
    listed = {each["StepName"]: each for each in json.loads(towpath("explain", "kept", "--json"))}
    assert {name: each["Outcome"] for name, each in listed.items() if each["Outcome"]} == {
        "Prepare": "Hit",
        "Train": "Miss",
        "Evaluate": "Miss",
    }
    assert {"Gate", "Register", "CreateModel"} < set(listed)
    told = towpath("explain", "kept/latest")
    assert re.search(r"^Prepare +Succeeded +Hit +kept/\w+ has succeeded with this key$", told, re.M)
    assert re.search(r"^Train +Succeeded +Miss +\w.*$", told, re.M)
    assert told.endswith(f"towpath explain kept/{execution.id} STEP\n")
    told = towpath("explain", "kept/latest", "Nope", code=1)
    assert f"'Nope' is no step of kept/{execution.id}; its steps: Prepare, " in told
