"""Metaflow on the local machine: a process for each step, two at a time; each run is a command of its own."""

import itertools
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import metaflow
from answering import MARKS, answer

HEAD = "import os\n\nfrom metaflow import FlowSpec, step\n\n\nclass Bench(FlowSpec):\n"
MARK = (f"with open(os.environ[{MARKS!r}], 'ab', buffering=0) as file:", "    file.write(b'.')")
TAIL = "\n\nif __name__ == '__main__':\n    Bench()\n"


def step(name: str, *body: str, joins: bool = False) -> str:
    """Return the source of a step."""
    signature = "self, inputs" if joins else "self"
    return "".join(
        [f"    @step\n    def {name}({signature}):\n", *(f"        {line}\n" for line in (*MARK, *body)), "\n"]
    )


def source(kind: str, size: int) -> str:
    """Return a flow. The least that Metaflow allows is two steps, and what fans out is joined before the end."""
    if kind == "chain":
        names = ["start", *(f"middle{number}" for number in range(size - 2)), "end"]
        steps = [step(name, f"self.next(self.{after})") for name, after in itertools.pairwise(names)]
    else:
        steps = [
            step("start", f"self.items = list(range({size}))", "self.next(self.middle, foreach='items')"),
            step("middle", "self.next(self.join)"),
            step("join", "self.next(self.end)", joins=True),
        ]
    return "".join([HEAD, *steps, step("end"), TAIL])


def run(kind: str, size: int) -> None:
    """Run a flow to its end; raise where it does not succeed."""
    Path("flow.py").write_text(source(kind, size))
    subprocess.run(
        [sys.executable, "flow.py", "--quiet", "run", "--max-workers", "2", "--max-num-splits", "1000"],
        check=True,
        stdin=subprocess.DEVNULL,
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="towpath-bench-") as home:
        os.environ |= {"USERNAME": "bench", "METAFLOW_HOME": home}
        os.chdir(home)
        answer(run, metaflow.__version__, more={"fan": 1, "wide": 3})
        os.chdir("/")
