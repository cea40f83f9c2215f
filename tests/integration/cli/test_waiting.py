"""What the command line shows of a job that waits for room on the host."""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from towpath.sdk import Client

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


def test_what_a_step_waits_for_is_that_of_the_moment_in_which_somebody_asks(shell: Shell) -> None:
    (shell.home / "towpath.toml").write_text('sandbox = "paths"\ncores = 1\n')
    gate = shell.folder / "gate"
    os.mkfifo(gate)
    names = ("One", "Two", "Three")
    steps = ", ".join(f'Processing("{name}", script="hold.py")' for name in names)
    text = f'from towpath import Pipeline, Processing\n\npipeline = Pipeline("queue", steps=[{steps}])\n'
    (shell.folder / "pipeline.py").write_text(text)
    (shell.folder / "hold.py").write_text(f"import os; os.read(os.open({str(gate)!r}, os.O_RDONLY), 1)\n")
    opened = os.open(gate, os.O_RDWR)
    try:
        shell("run", "pipeline.py", "--detach")
        client = Client(home=shell.home)
        (execution,) = client.call("SageMaker.ListPipelineExecutions", {"PipelineName": "queue"})[
            "PipelineExecutionSummaries"
        ]

        def shown(waiting: int) -> tuple[str, dict[str, str]]:
            """Wait until so many steps wait for another one; return that one, and what they wait for."""
            while True:
                found = client.execution(execution["PipelineExecutionArn"]).steps()
                waits = {step.name: step.waiting_for for step in found if step.waiting_for is not None}
                runs = [step.name for step in found if not step.has_ended and step.name not in waits]
                if len(waits) == waiting and len(runs) == 1:
                    return runs[0], waits

        runs, waits = shown(waiting=2)
        assert all(f"-{runs}-" in said for said in waits.values())
        assert sorted(said.partition("; ")[2] for said in waits.values()) == ["", "1 is before it"]
        os.write(opened, b"1")
        then, waits = shown(waiting=1)
        assert then != runs
        ((_, said),) = waits.items()
        assert f"-{then}-" in said
        assert f"-{runs}-" not in said
        assert "before it" not in said
    finally:
        os.write(opened, b"123")
        os.close(opened)
        shell("down", "--all")
