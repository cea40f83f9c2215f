"""A real server in a home of its own, and a small project whose jobs need the standard library only."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.acceptance.conftest import end_everything

from towpath.cli.server import stop_server
from towpath.home import HomeFolder

FILES = {
    "pipeline.py": """
from towpath import (
    Condition, CreateModel, Fail, Pipeline, Processing, Register, Training, dataset, execution, join, parameter,
)

limit = parameter("MinAccuracy", 0.5)
wait = parameter("Wait", 0)
door = parameter("Door", 0)
prepare = Processing("Prepare", script="prepare.py", inputs={"raw": dataset("words")}, outputs=["train"])
train = Training(
    "Train",
    script="train.py",
    include=["inference.py"],
    channels={"train": prepare.output("train")},
    hyperparameters={"wait": wait, "door": door},
    metrics={"validation:accuracy": r"validation accuracy=([0-9.]+)"},
)
evaluate = Processing("Evaluate", script="evaluate.py", inputs={"model": train.model}, outputs=["evaluation"])
accuracy = evaluate.json("evaluation", "accuracy")
register = Register("Register", group="words", model=train.model, metrics=evaluate.file("evaluation"))
create = CreateModel("CreateModel", model=train.model)
low = Fail("TooLow", message=join("accuracy ", accuracy, " is below ", limit))
gate = Condition("Gate", if_=accuracy >= limit, then=[register, create], otherwise=[low])
pipeline = Pipeline("words", steps=[prepare, train, evaluate, gate])
""",
    "beside.py": """
from towpath import Pipeline, Training, parameter

door = parameter("Door", 0)
talk = {"script": "talk.py", "hyperparameters": {"door": door}}
pipeline = Pipeline("beside", steps=[Training("Left", **talk), Training("Right", **talk)])
""",
    "talk.py": """
import argparse, os, socket
parser = argparse.ArgumentParser()
parser.add_argument("--door", type=int)
print("here", flush=True)
told = socket.create_connection(("127.0.0.1", parser.parse_args().door)).recv(1)
if told == b"x":
    raise ValueError("shut out")
print("let in", flush=True)
""",
    "prepare.py": """
from pathlib import Path
words = Path("/opt/ml/processing/input/raw/words.txt").read_text().split()
print("prepared", len(words), "words")
Path("/opt/ml/processing/output/train/words.txt").write_text("\\n".join(sorted(words)))
""",
    "train.py": """
import argparse, json, os, shutil, socket, sys, time
from pathlib import Path
parser = argparse.ArgumentParser()
parser.add_argument("--wait", type=float, default=0)
parser.add_argument("--door", type=int, default=0, help="go on when nobody listens at this port any more")
arguments = parser.parse_args()
wait = arguments.wait
if wait < 0:
    raise ValueError("cannot wait backwards")
words = Path(os.environ["SM_CHANNEL_TRAIN"], "words.txt").read_text().split()
print("validation accuracy=0.75", flush=True)
time.sleep(wait)
if arguments.door:
    try:
        socket.create_connection(("127.0.0.1", arguments.door)).recv(1)
    except ConnectionError:
        pass
model = Path(os.environ["SM_MODEL_DIR"])
(model / "words.json").write_text(json.dumps(words))
(model / "code").mkdir()
shutil.copy(Path(__file__).with_name("inference.py"), model / "code")
""",
    "evaluate.py": """
import json, tarfile
from pathlib import Path
with tarfile.open("/opt/ml/processing/input/model/model.tar.gz") as archive:
    words = json.load(archive.extractfile(next(m for m in archive.getmembers() if m.name.endswith("words.json"))))
Path("/opt/ml/processing/output/evaluation/evaluation.json").write_text(json.dumps({"accuracy": len(words) / 4}))
""",
    "inference.py": """
import json
from pathlib import Path

def model_fn(model_dir):
    return set(json.loads(Path(model_dir, "words.json").read_text()))

def input_fn(body, content_type):
    return json.loads(body)

def predict_fn(data, model):
    return {"known": data["text"] in model}

def output_fn(prediction, accept):
    return json.dumps(prediction)
""",
}


@dataclass(frozen=True)
class Shell:
    """Runs the command line as a user does."""

    folder: Path
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        """The variables of its processes."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TOWPATH_", "AWS_", "CI"))}
        return {**kept, "TOWPATH_HOME": str(self.home), "TOWPATH_PORT": "0", "TERM": "xterm", "COLUMNS": "120"}

    def argv(self, *arguments: str) -> list[str]:
        """Return the command as the system sees it."""
        return [sys.executable, "-m", "towpath", *arguments]

    def __call__(self, *arguments: str, code: int = 0, given: str | None = None) -> str:
        """Run a command to its end, check its exit code, and return what it printed."""
        done = subprocess.run(
            self.argv(*arguments),
            cwd=self.folder,
            env=self.environment,
            input=given,
            capture_output=True,
            text=True,
            timeout=110,
        )
        assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stdout if code == 0 else done.stdout + done.stderr


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """Return a shell in an empty folder with a home of its own; whatever it started is ended."""
    home = tmp_path / "home"
    home.mkdir()
    shell = Shell(tmp_path, home)
    yield shell
    stop_server(HomeFolder(home))


@pytest.fixture(scope="module")
def towpath(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """Return a shell in a project whose server runs, with the dataset that its pipeline reads."""
    folder = tmp_path_factory.mktemp("project")
    for name, text in FILES.items():
        (folder / name).write_text(text.lstrip())
    (folder / "words.txt").write_text("ant bee cow")
    shell = Shell(folder, tmp_path_factory.mktemp("home"))
    shell("up", "--background")
    try:
        shell("data", "put", "words", "words.txt")
        yield shell
    finally:
        end_everything(HomeFolder(shell.home))
