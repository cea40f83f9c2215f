"""The command line against a real server: from a dataset to an answering endpoint, and what goes wrong on the way."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.cli.conftest import Shell

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def registered(towpath: Shell) -> str:
    """Return the version that a run of the pipeline registered."""
    told = towpath("run", "pipeline.py", "--name", "first")
    assert re.search(r"^words/\w+ Succeeded in [0-9.]+ s$", told, re.M)
    assert re.search(r"Decide on it: towpath approve words/\d+ --note WHY", told)
    arn: str = json.loads(towpath("describe", "words/1", "--json"))["ModelPackageArn"]
    return arn.rpartition("model-package/")[2]


def test_a_run_tells_each_change_of_each_step_in_a_line_and_ends_with_0(towpath: Shell) -> None:
    lines = towpath("run", "pipeline.py").splitlines()
    for step in ("Prepare", "Train", "Evaluate", "Gate", "Register", "CreateModel"):
        assert any(line.startswith(f"{step}  Succeeded") for line in lines), step
    assert any(line.startswith("Train") and "validation:accuracy 0.75" in line for line in lines)
    assert not any(line.startswith("TooLow") for line in lines)
    assert "\x1b" not in "".join(lines)


def test_a_run_with_json_prints_one_document(towpath: Shell) -> None:
    document = json.loads(towpath("run", "pipeline.py", "--json"))
    assert document["PipelineExecutionStatus"] == "Succeeded"
    assert {step["StepName"]: step["StepStatus"] for step in document["PipelineExecutionSteps"]}["Train"] == "Succeeded"


def test_a_model_below_the_threshold_is_refused_with_both_numbers(towpath: Shell, registered: str) -> None:
    told = towpath("run", "pipeline.py", "-p", "MinAccuracy=0.99", code=1)
    assert "step TooLow failed" in told
    assert "accuracy 0.75 is below 0.99" in told


def test_a_script_that_fails_is_told_with_step_reason_and_the_end_of_its_log(towpath: Shell) -> None:
    told = towpath("run", "pipeline.py", "-p", "Wait=-1", code=1)
    assert "step Train failed" in told
    assert "The last lines of Train" in told
    assert "ValueError: cannot wait backwards" in told


def test_executions_are_compared_side_by_side(towpath: Shell) -> None:
    names = []
    for least, code in (("0.25", 0), ("0.99", 1)):
        told = towpath("run", "pipeline.py", "--json", "-p", f"MinAccuracy={least}", code=code)
        arn = re.search(r"pipeline/words/execution/\w+", told)
        assert arn is not None
        names.append(arn[0].removeprefix("pipeline/").replace("/execution", ""))
    compared = json.loads(towpath("compare", *names, "--json"))
    assert compared["Executions"] == names
    rows = {(row["Group"], row["Name"]): row for row in compared["Rows"]}
    assert rows["execution", "status"]["Values"] == ["Succeeded", "Failed"]
    assert rows["parameter", "MinAccuracy"]["Values"] == ["0.25", "0.99"]
    assert rows["Gate", "status"]["Values"] == ["Succeeded", "Succeeded"]
    assert rows["Gate", "outcome"]["Values"] == ["True", "False"]
    assert rows["Register", "status"]["Values"] == ["Succeeded", None]
    assert rows["TooLow", "failure"]["Values"] == [None, "accuracy 0.75 is below 0.99"]
    same = rows["Train", "validation:accuracy"], rows["Train", "wait"]
    assert [(row["Values"], row["Differs"]) for row in same] == [([0.75, 0.75], False), ([0, 0], False)]
    model = rows["Train", "output ModelArtifact"]["Values"]
    assert all(where.endswith("model.tar.gz") and "s3://" not in where for where in model)

    lines = towpath("compare", "words").splitlines()
    assert lines[1].split() == ["execution", "name", *names], (
        "a pipeline means its last two, the newer one at the right"
    )
    assert any(line.split() == ["parameter", "MinAccuracy", "0.25", "0.99"] for line in lines)
    assert not any("validation:accuracy" in line for line in lines)
    assert re.search(r"more are the same in all of them: add --all$", lines[-1])
    everything = towpath("compare", *names, "--all").splitlines()
    assert any(line.split() == ["Train", "validation:accuracy", "0.75", "0.75"] for line in everything)
    assert "name at least two" in towpath("compare", names[0], code=2)
    beside = json.loads(towpath("compare", names[0], "words", "--json"))
    assert beside["Executions"] == names, "beside another one a pipeline means its newest"


def test_an_unknown_parameter_is_wrong_usage(towpath: Shell) -> None:
    assert "has no parameter 'Nope'; it has " in towpath("run", "pipeline.py", "-p", "Nope=1", code=2)


def test_what_ran_is_listed_and_described(towpath: Shell, registered: str) -> None:
    assert "words/" in towpath("ps")
    found = json.loads(towpath("ps", "--all", "--json"))
    execution = next(each for each in found["Executions"] if each.get("PipelineExecutionDisplayName") == "first")
    assert execution["PipelineExecutionStatus"] == "Succeeded"
    assert {job["Kind"] for job in found["Jobs"]} == {"ProcessingJob", "TrainingJob"}
    name = f"words/{execution['PipelineExecutionArn'].rpartition('/')[2]}"
    described = json.loads(towpath("describe", name, "--json"))
    assert len(described["PipelineExecutionSteps"]) == 6
    assert json.loads(towpath("describe", f"{name}/Train", "--json"))["TrainingJobStatus"] == "Completed"
    assert "prepared 3 words" in towpath("logs", f"{name}/Prepare")
    assert "Prepare: prepared 3 words" in towpath("logs", name)
    line = json.loads(towpath("logs", f"{name}/Train", "--tail", "1", "--json"))
    assert set(line) == {"At", "Step", "Message"}
    assert "PipelineExecution" in towpath("describe", name)


def test_a_version_is_approved_deployed_asked_and_taken_down(towpath: Shell, registered: str) -> None:
    refused = towpath("deploy", registered, code=1)
    assert f"towpath approve {registered}" in refused
    assert f"{registered} is Approved" in towpath("approve", registered, "--note", "knows its words")
    assert json.loads(towpath("describe", registered, "--json"))["ApprovalDescription"] == "knows its words"
    deployed = json.loads(towpath("deploy", registered, "--endpoint", "animals", "--json"))
    assert deployed["EndpointStatus"] == "InService"
    assert json.loads(towpath("invoke", "animals", "--json", '{"text": "bee"}')) == {"known": True}
    assert json.loads(towpath("invoke", "animals", given='{"text": "elk"}')) == {"known": False}
    (towpath.folder / "ask.json").write_text('{"text": "cow"}')
    assert json.loads(towpath("invoke", "animals", "--file", "ask.json")) == {"known": True}
    assert "Error: " in towpath("invoke", "animals", "--text", "no json", code=1)
    lineage = towpath("lineage", registered)
    for part in ("dataset words/1", "validation:accuracy 0.75", "Approved by admin", "endpoint animals (InService)"):
        assert part in lineage
    assert json.loads(towpath("lineage", registered, "--json"))["Endpoints"][0]["EndpointName"] == "animals"
    assert "animals" in towpath("ps")
    towpath("stop", "endpoint/animals")


def test_a_rejected_version_says_so(towpath: Shell, registered: str) -> None:
    assert "is Rejected" in towpath("reject", registered, "--note", "for the test")


def test_secrets_are_read_from_standard_input_and_never_shown(towpath: Shell) -> None:
    told = towpath("secrets", "set", "HUB_TOKEN", given="hf_0123456789\n")
    assert "{{secrets.HUB_TOKEN}}" in told
    assert json.loads((towpath.home / "secrets.json").read_text())["HUB_TOKEN"]["value"] == "hf_0123456789"
    assert json.loads(towpath("secrets", "ls", "--json"))[0]["Name"] == "HUB_TOKEN"
    listed = towpath("secrets", "ls")
    assert "HUB_TOKEN" in listed
    assert "hf_0123456789" not in told + listed
    assert "no name of a secret" in towpath("secrets", "set", "a b", given="hf_0123456789", code=2)
    assert "expected 8 to 4096" in towpath("secrets", "set", "SHORT", given="pw", code=1)
    towpath("secrets", "rm", "HUB_TOKEN")
    assert "no secret 'HUB_TOKEN'" in towpath("secrets", "rm", "HUB_TOKEN", code=1)
    assert "towpath secrets set NAME" in towpath("secrets", "ls")


def test_datasets_are_put_listed_compared_and_got(towpath: Shell, tmp_path: Path) -> None:
    folder = tmp_path / "pets"
    folder.mkdir()
    (folder / "a.txt").write_text("cat")
    (folder / "b.txt").write_text("dog")
    assert towpath("data", "put", "pets", str(folder)).startswith("pets/1: 2 files, 6 B")
    assert "unchanged" in towpath("data", "put", "pets", str(folder))
    (folder / "b.txt").write_text("dogs")
    (folder / "a.txt").rename(folder / "c.txt")
    assert towpath("data", "put", "pets", str(folder)).startswith("pets/2: 2 files")
    assert "pets" in towpath("data", "ls")
    assert [each["Version"] for each in json.loads(towpath("data", "versions", "pets", "--json"))] == [2, 1]
    assert [line.split() for line in towpath("data", "diff", "pets/1", "2").splitlines()[1:]] == [
        ["added", "c.txt"],
        ["removed", "a.txt"],
        ["changed", "b.txt"],
    ]
    towpath("data", "get", "pets/1", str(tmp_path / "one"))
    assert (tmp_path / "one" / "a.txt").read_text() == "cat"
    assert (tmp_path / "one" / "b.txt").read_text() == "dog"
    assert not (tmp_path / "one" / "c.txt").exists()
    taken = json.loads(towpath("data", "check-outs", "pets", "--json"))
    assert (taken[0]["Version"], taken[0]["Principal"]) == (1, "admin")


def test_a_dataset_that_jobs_read_tells_which_job_took_which_version(towpath: Shell, registered: str) -> None:
    taken = json.loads(towpath("data", "check-outs", "words", "--json"))
    assert any("processing-job" in (each.get("Reader") or "") for each in taken)


def test_an_execution_runs_on_after_detach_and_is_stopped(towpath: Shell) -> None:
    arn = json.loads(towpath("run", "pipeline.py", "-p", "Wait=600", "--detach", "--json"))["PipelineExecutionArn"]
    name = f"words/{arn.rpartition('/')[2]}"
    assert "is stopping" in towpath("stop", name)
    towpath("logs", name, "--follow", code=1)  # returns when the execution has ended
    assert json.loads(towpath("describe", name, "--json"))["PipelineExecutionStatus"] == "Stopped"


def test_a_failed_execution_is_retried_from_where_it_failed(towpath: Shell, registered: str) -> None:
    told = json.loads(towpath("run", "pipeline.py", "-p", "MinAccuracy=2", "--json", code=1).partition("\nError")[0])
    name = f"words/{told['PipelineExecutionArn'].rpartition('/')[2]}"
    assert "Gate is Succeeded; nothing of it is left to stop" in towpath("stop", f"{name}/Gate", code=2)

    said = towpath("retry", name, code=1)
    assert "accuracy" in said and "is below" in said, "the Fail step fails as it did before"
    steps = json.loads(towpath("describe", name, "--json"))["PipelineExecutionSteps"]
    attempts = {step["StepName"]: step["AttemptCount"] for step in steps}
    assert attempts == {"Prepare": 1, "Train": 1, "Evaluate": 1, "Gate": 1, "TooLow": 2}
    assert (
        json.loads(towpath("retry", name, "--detach", "--json"))["PipelineExecutionArn"] == told["PipelineExecutionArn"]
    )
    towpath("logs", name, "--follow", code=1)
    assert "'nobody'" in towpath("retry", "nobody", code=1)


def test_names_that_nothing_has_end_with_1(towpath: Shell) -> None:
    assert "nothing is called 'nobody'" in towpath("describe", "nobody", code=1)
    assert "Error: " in towpath("approve", "nobody/1", code=1)
    assert "Error: " in towpath("invoke", "nobody", "--text", "x", code=1)


def test_the_environment_lets_boto3_in(towpath: Shell) -> None:
    import boto3
    import botocore.session

    values = json.loads(towpath("env", "--json"))
    models = botocore.session.Session()
    models.set_config_variable("data_path", values["AWS_DATA_PATH"])
    session = boto3.Session(
        aws_access_key_id=values["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=values["AWS_SECRET_ACCESS_KEY"],
        region_name=values["AWS_DEFAULT_REGION"],
        botocore_session=models,
    )
    client = session.client("sagemaker", endpoint_url=values["AWS_ENDPOINT_URL"])
    assert "words" in [each["PipelineName"] for each in client.list_pipelines()["PipelineSummaries"]]
    client.close()
    client = session.client("towpath", endpoint_url=values["AWS_ENDPOINT_URL"])
    assert client.list_datasets()["ResponseMetadata"]["HTTPStatusCode"] == 200
    client.close()
    assert towpath("env").splitlines()[0] == f"export AWS_ENDPOINT_URL={values['AWS_ENDPOINT_URL']}"
