"""A notebook step as the SageMaker SDK emits it, run by papermill in an environment that an image is mapped to."""

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.conftest import ROOT, Machine, clients, wait_for_execution

from towpath.home import HomeFolder

pytestmark = [pytest.mark.slow, pytest.mark.clients, pytest.mark.timeout(600)]

DEFINITION = Path(__file__).parents[2] / "golden" / "definitions" / "v2_notebook.json"
IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/x:1"
BUCKET = "sagemaker-us-east-1-000000000000"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Return a server that maps the image of the step to an environment with papermill and ipykernel."""
    machine = Machine(HomeFolder(tmp_path_factory.mktemp("notebook") / "home"))
    machine.home.path.mkdir()
    machine.home.settings_file.write_text(f'[images]\n"{IMAGE}" = "{ROOT}/.venv-lanes/notebook/bin/python"\n')
    machine.up()
    yield machine
    machine.towpath("down", "--all")
    assert machine.processes() == []


def notebook(*cells: str) -> bytes:
    """Return a notebook; its first cell holds its parameters and their defaults."""
    made: list[dict[str, Any]] = [
        {
            "cell_type": "code",
            "execution_count": None,
            "id": f"cell-{number}",
            "metadata": {} if number else {"tags": ["parameters"]},
            "outputs": [],
            "source": source,
        }
        for number, source in enumerate(cells)
    ]
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    return json.dumps({"cells": made, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}).encode()


def run(machine: Machine, name: str, *cells: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run the step with a notebook; return the step and its training job."""
    aws = clients(machine)
    document = json.loads(DEFINITION.read_text())
    arguments = document["Steps"][0]["Arguments"]
    source = f"s3://{BUCKET}/{name}"
    arguments["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"] = source
    aws["s3"].put_object(Bucket=BUCKET, Key=f"{name}/nb.ipynb", Body=notebook(*cells))
    role = arguments["RoleArn"]
    sagemaker = aws["sagemaker"]
    sagemaker.create_pipeline(PipelineName=name, PipelineDefinition=json.dumps(document), RoleArn=role)
    arn = sagemaker.start_pipeline_execution(PipelineName=name)["PipelineExecutionArn"]
    wait_for_execution(sagemaker, arn)
    (step,) = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
    job = step["Metadata"]["TrainingJob"]["Arn"].rpartition("/")[2]
    return step, sagemaker.describe_training_job(TrainingJobName=job)


def test_a_notebook_runs_with_its_parameters_and_its_results_are_kept(machine: Machine) -> None:
    step, job = run(machine, "notes", "a = 'nothing given'", "import os\nprint('a is', a, 'and Z is', os.environ['Z'])")
    assert step["StepStatus"] == "Succeeded", step
    place = f"{job['OutputDataConfig']['S3OutputPath']}/{job['TrainingJobName']}/output/output.tar.gz"
    packed = clients(machine)["s3"].get_object(Bucket=BUCKET, Key=place.removeprefix(f"s3://{BUCKET}/"))
    with tarfile.open(fileobj=io.BytesIO(packed["Body"].read())) as archive:
        (name,) = [member.name for member in archive.getmembers() if member.isfile()]
        written = archive.extractfile(name)
        assert written is not None
        results = json.load(written)
    assert name.rpartition("/")[2] == "nb-ipynb-2026-11-22-08-58-33-173.ipynb"
    printed = ["".join(output["text"]) for output in results["cells"][-1]["outputs"]]
    assert printed == ["a is b and Z is 1\n"]
    assert "a is b and Z is 1" in machine.towpath("logs", job["TrainingJobName"])


def test_a_cell_that_raises_fails_the_step_with_its_reason(machine: Machine) -> None:
    step, _ = run(machine, "raises", "a = 'nothing given'", "raise ValueError(f'{a} is no number')")
    assert step["StepStatus"] == "Failed"
    assert step["FailureReason"] == "AlgorithmError: ValueError: b is no number (In [3] of the notebook), ExitCode 1"
