"""What the command line shows of a job that waits for room on the host."""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.cli.conftest import Shell

pytestmark = pytest.mark.slow

PIPELINE = """
from towpath import Pipeline, Processing, Training

pipeline = Pipeline("queue", steps=[
    Processing("First", script="first.py"),
    Training("Second", script="second.py", instance_type="ml.m5.xlarge", depends_on=[]),
])
"""

IN_USE = r"in use by queue/\w+/(First|Second)\b"


def test_a_step_that_waits_says_for_what_and_runs_when_the_other_has_ended(shell: Shell) -> None:
    (shell.home / "towpath.toml").write_text('sandbox = "paths"\ncores = 1\n')
    gate = shell.folder / "gate"
    os.mkfifo(gate)
    (shell.folder / "pipeline.py").write_text(PIPELINE)
    # Which of the two is admitted first is open: each holds its core until it has read its own byte.
    script = f"import os; os.read(os.open({str(gate)!r}, os.O_RDONLY), 1); print('went on')\n"
    for name in ("first.py", "second.py"):
        (shell.folder / name).write_text(script)
    opened = os.open(gate, os.O_RDWR)
    argv, folder, variables = shell.argv("run", "pipeline.py"), shell.folder, shell.environment
    with subprocess.Popen(argv, cwd=folder, env=variables, stdout=subprocess.PIPE, text=True) as run:
        try:
            assert run.stdout is not None
            said = next((line for line in run.stdout if "Waiting for" in line), "nothing of it")
            assert "Waiting for 1 core" in said
            assert re.search(IN_USE, said)
            jobs = json.loads(shell("ps", "--json"))["Jobs"]
            assert [bool(job["WaitingFor"]) for job in jobs].count(True) == 1
            assert re.search(rf"Waiting for 1 core.* {IN_USE}", " ".join(shell("ps").split()))
            execution = json.loads(shell("ps", "--json"))["Executions"][0]["PipelineExecutionArn"].rpartition("/")[2]
            steps = json.loads(shell("describe", f"queue/{execution}", "--json"))["PipelineExecutionSteps"]
            assert {step["StepStatus"] for step in steps} == {"Executing", "Starting"}
        finally:
            os.write(opened, b"12")
            rest, _ = run.communicate(timeout=60)
            os.close(opened)
            shell("down", "--all")
    assert run.returncode == 0, rest
    assert re.search(r"First +Succeeded", rest)
    assert re.search(r"Second +Succeeded", rest)
