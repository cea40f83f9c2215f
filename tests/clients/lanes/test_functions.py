"""Functions of both majors of the SageMaker SDK, unmodified: as steps (`@step`) and by themselves (`@remote`).

The client's own environment is what the image stands for. Their programs run side by side, as in `test_plain_jobs`.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.acceptance.conftest import ROOT, Machine, wait_for_execution
from tests.clients.lanes.conftest import PROGRAMS, Outcome, made_lane, steps

import towpath.aws
from towpath.home import HomeFolder

pytestmark = [pytest.mark.slow, pytest.mark.clients, pytest.mark.timeout(1200)]

NAMES = ("sagemaker2", "sagemaker3")
IMAGE = "functions.example/team/client:{name}"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Return a home that maps an image to the environment of each SDK, and whose server runs."""
    machine = Machine(HomeFolder(tmp_path_factory.mktemp("functions") / "home"))
    machine.home.path.mkdir()
    lines = [f'"{IMAGE.format(name=name)}" = "{ROOT}/.venv-lanes/{name}/bin/python"' for name in NAMES]
    machine.home.settings_file.write_text("\n".join(["[images]", *lines, ""]))
    for name in NAMES:
        made_lane(name, machine, machine.home.path)
    machine.up()
    yield machine
    machine.towpath("down", "--all")
    assert machine.processes() == []


@pytest.fixture(scope="module")
def functions(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Outcome]:
    """Return a function that gives how the program of an SDK ended."""

    def run(name: str) -> Outcome:
        sdk = made_lane(name, machine, tmp_path_factory.mktemp(name))
        program = PROGRAMS / f"functions_{name}.py"
        return sdk.run(program, "--image", IMAGE.format(name=name), patience_s=1000)

    with ThreadPoolExecutor() as pool:
        runs: dict[str, Future[Outcome]] = {name: pool.submit(run, name) for name in NAMES}
    return lambda name: runs[name].result()


@pytest.mark.parametrize("name", NAMES)
def test_steps_pass_pickles_on_and_a_condition_reads_what_one_returned(
    functions: Callable[[str], Outcome], name: str
) -> None:
    outcome = functions(name)
    assert steps(outcome) == dict.fromkeys(("prepare", "fit", "GoodEnough", "tell"), "Succeeded")
    assert "result accuracy 0.95 from 20 rows" in outcome.out


@pytest.mark.parametrize("name", NAMES)
def test_a_function_by_itself_returns_to_its_caller_and_raises_there(
    functions: Callable[[str], Outcome], name: str
) -> None:
    outcome = functions(name)
    assert "remote {'numbers': [0, 1, 2], 'rows': 3}" in outcome.out
    assert "remote failed ValueError no bread today" in outcome.out


@pytest.mark.parametrize("name", NAMES)
def test_a_payload_that_was_changed_is_not_run(
    functions: Callable[[str], Outcome], machine: Machine, tmp_path: Path, name: str
) -> None:
    """The SDK's own check of what it uploaded holds here: another step's pickle in the place of this one is refused."""
    functions(name)
    client = towpath.aws.session(machine.home.path).client("sagemaker")
    s3 = towpath.aws.session(machine.home.path).client("s3")
    bucket, pipeline = "sagemaker-us-east-1-000000000000", f"functions-{name}"
    listed = s3.list_objects_v2(Bucket=bucket, Prefix=f"{pipeline}/")["Contents"]
    payloads = {
        each["Key"].split("/")[1]: each["Key"] for each in listed if each["Key"].endswith("function/payload.pkl")
    }
    assert {"prepare", "fit"} <= payloads.keys()
    s3.copy_object(Bucket=bucket, Key=payloads["prepare"], CopySource={"Bucket": bucket, "Key": payloads["fit"]})
    arn = client.start_pipeline_execution(PipelineName=pipeline)["PipelineExecutionArn"]
    ended = wait_for_execution(client, arn)
    assert ended["PipelineExecutionStatus"] == "Failed"
    (failed,) = client.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
    assert failed["StepName"] == "prepare"
    assert "ntegrity" in failed["FailureReason"] or "ignature" in failed["FailureReason"], failed["FailureReason"]
