"""`towpath logs` of steps whose lines have several sources: a search with real training jobs, and a called function."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.cli.conftest import Shell

pytestmark = pytest.mark.slow

PIPELINE = """
from towpath import Lambda, Pipeline, Tuning, choice, parameter

tune = Tuning(
    "Tune", script="try.py", hyperparameters={"door": parameter("Door", 0)}, metrics={"score": r"score=([0-9.]+)"},
    maximize="score", ranges={"size": choice("3", "5")}, strategy="Grid",
)
note = Lambda("Note", function="note", inputs={"size": tune.best("size")}, outputs={"said": str})
pipeline = Pipeline("search", steps=[tune, note])
"""
TRY = """
import argparse, os, socket
from pathlib import Path
parser = argparse.ArgumentParser()
parser.add_argument("--size")
parser.add_argument("--door", type=int)
given, _ = parser.parse_known_args()
print("trying size", given.size, flush=True)
if given.door:
    socket.create_connection(("127.0.0.1", given.door)).recv(1)
print("score=0." + given.size, flush=True)
Path(os.environ["SM_MODEL_DIR"], "size.txt").write_text(given.size)
"""
NOTE = """
import json

def handler(event, context):
    print("noted", json.loads(event["size"]))
    return {"said": "thanks"}
"""


def test_what_training_jobs_of_a_search_and_a_called_function_print_is_followed_and_shown(towpath: Shell) -> None:
    for name, text in {"search.py": PIPELINE, "try.py": TRY, "note.py": NOTE}.items():
        (towpath.folder / name).write_text(text)
    towpath("functions", "create", "note", "note.py")
    with socket.create_server(("127.0.0.1", 0)) as door:
        door.settimeout(90)
        port = door.getsockname()[1]
        arn = json.loads(towpath("run", "search.py", "-p", f"Door={port}", "--detach", "--json"))
        name = f"search/{arn['PipelineExecutionArn'].rpartition('/')[2]}"
        first, _ = door.accept()
        following = subprocess.Popen(
            towpath.argv("logs", "-f", name),
            cwd=towpath.folder,
            env=towpath.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert following.stdout is not None
        with first:
            # It is followed while the first one waits, so the second begins later.
            begun = following.stdout.readline()
            assert re.fullmatch(r"Tune/001: trying size [35]\n", begun)
        second, _ = door.accept()
        second.close()
        rest, faults = following.communicate(timeout=90)
    assert (following.returncode, faults) == (0, "")
    followed = (begun + rest).splitlines()
    trials = [line for line in followed if line.startswith("Tune/")]
    assert [line.partition(":")[0] for line in trials] == ["Tune/001", "Tune/001", "Tune/002", "Tune/002"]
    assert sorted(line.partition("score=")[2] for line in trials if "score" in line) == ["0.3", "0.5"]
    assert "Note: noted 5" in followed
    assert towpath("logs", name).splitlines() == followed

    assert towpath("logs", f"{name}/Tune").splitlines() == [line.removeprefix("Tune/") for line in trials]
    second_alone = [line.removeprefix("Tune/002: ") for line in trials[2:]]
    assert towpath("logs", f"{name}/Tune/2").splitlines() == second_alone
    assert towpath("logs", "-f", "search/latest/Tune/002").splitlines() == second_alone
    assert "noted 5" in towpath("logs", "-f", f"{name}/Note").splitlines()
    assert f"{name}/Tune has no training job '3'; it has 001 to 002" in towpath("logs", f"{name}/Tune/3", code=1)
    lines = [json.loads(line) for line in towpath("logs", name, "--json").splitlines()]
    assert [(line["Step"], line["Part"]) for line in lines[:1]] == [("Tune", "001")]
