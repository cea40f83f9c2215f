"""What becomes of a job of a pipeline that goes over what its machine gives it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from towpath.sdk.client import Client
from towpath.sdk.expressions import Document

if TYPE_CHECKING:
    from tests.integration.cli.conftest import Shell

pytestmark = pytest.mark.slow

PIPELINE = """
from towpath import Pipeline, Processing

pipeline = Pipeline("limits", steps=[
    {step},
])
"""


def test_a_step_over_its_memory_fails_with_limit_and_peak(shell: Shell) -> None:
    (shell.home / "towpath.toml").write_text("memory_gb = 0.2\n")
    (shell.folder / "pipeline.py").write_text(
        PIPELINE.format(step="Processing('Greedy', script='greedy.py', instance_type='ml.c5.xlarge')")
    )
    (shell.folder / "greedy.py").write_text("held = [bytearray(b'x') * (8 << 20) for _ in range(400)]\n")
    told = shell("run", "pipeline.py", code=1)
    assert "needed more memory than its limit of 205 MB; it used " in told
    logged = shell("logs", "--tail", "20", shell("ps", "--json").split('"Name": "')[1].split('"')[0])
    assert "8 GB of memory, this host " in logged
    shell("down", "--all")


ROLE = "arn:aws:iam::000000000000:role/any"
MACHINE = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
WAITS = ["python3", "-c", "import signal; signal.pause()"]
REQUESTS: dict[str, Document] = {
    "ProcessingJob": {
        "ProcessingJobName": "slow",
        "AppSpecification": {"ImageUri": "python", "ContainerEntrypoint": WAITS},
        "ProcessingResources": {"ClusterConfig": MACHINE},
        "RoleArn": ROLE,
    },
    "TrainingJob": {
        "TrainingJobName": "slow",
        "AlgorithmSpecification": {
            "TrainingImage": "python",
            "TrainingInputMode": "File",
            "ContainerEntrypoint": WAITS,
        },
        "ResourceConfig": MACHINE,
        "OutputDataConfig": {"S3OutputPath": "s3://models/here"},
        "RoleArn": ROLE,
    },
}


@pytest.mark.parametrize("kind", ["ProcessingJob", "TrainingJob"])
def test_a_job_over_its_time_is_stopped_and_says_so(shell: Shell, kind: str) -> None:
    shell("up", "--background")
    with Client(home=shell.home) as client:
        stopping = {"StoppingCondition": {"MaxRuntimeInSeconds": 1}}
        client.call(f"SageMaker.Create{kind}", REQUESTS[kind] | stopping)
        shell("logs", "slow", "--follow", code=1)  # returns when the job has ended, and as that did
        described = client.call(f"SageMaker.Describe{kind}", {f"{kind}Name": "slow"})
    shell("down", "--all")
    assert described[f"{kind}Status"] == "Stopped"
    assert described["FailureReason"] == (
        "MaxRuntimeExceeded: the job ran longer than MaxRuntimeInSeconds and was stopped"
    )
    if kind == "TrainingJob":
        assert described["SecondaryStatus"] == "MaxRuntimeExceeded"
