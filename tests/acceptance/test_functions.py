"""Plain functions as steps, on a real server: what they return, what is taken over, how they fail."""

import json
import textwrap
from collections.abc import Iterator
from pathlib import Path

import polars
import pytest
from tests.acceptance.conftest import Machine

from towpath.cli.loading import load_pipeline
from towpath.sdk import (
    Client,
    Conflict,
    Defaults,
    Execution,
    ExecutionFailed,
    Pipeline,
    Processing,
    RequestFailed,
    ResultUnreadable,
)

pytestmark = [pytest.mark.slow, pytest.mark.acceptance]

FILES = {
    "flow.py": """
        import os
        from dataclasses import dataclass
        from pathlib import Path
        import numpy, polars
        from towpath import Condition, Fail, Pipeline, Processing, Register, files, join, parameter, secret, step
        from near import scaled

        @dataclass
        class Scores:
            accuracy: float
            rows: int

        @step(cache="P1D")
        def prepare(rows: int) -> tuple[polars.DataFrame, numpy.ndarray]:
            return polars.DataFrame({"x": range(rows)}), numpy.arange(rows) * scaled(1)

        @step(cache="P1D", environment={"TOKEN": secret("TOKEN")})
        def fit(table, weights, readme):
            assert table.height == len(weights)
            assert len(os.environ["TOKEN"]) == 16
            model = Path("model.tar.gz")
            model.write_text(f"{int(weights.sum())} {(readme / 'look.txt').read_text()}")
            return {"model": model, "sum": float(weights.sum())}

        @step
        def score(fitted, rows) -> Scores:
            print(fitted["model"].read_text())
            return Scores(accuracy=fitted["sum"] / 100, rows=rows)

        @step
        def broken(scores):
            return {"at": [scores, open]}

        rows = parameter("Rows", 10)
        look = Processing("Look", script="look.py", outputs=["out"])
        table, weights = prepare(rows)
        fitted = fit(table, weights, files(look.output("out")))
        scores = score(fitted, rows)
        good = Condition(
            "Good",
            if_=[scores.accuracy >= 0.4, scores.rows == rows],
            then=[Register("Register", group="functions", model=fitted["model"].file("model.tar.gz"))],
            otherwise=[broken(scores)],
        )
        pipeline = Pipeline("functions", steps=[look, good])
    """,
    "look.py": "open('/opt/ml/processing/output/out/look.txt', 'w').write('seen')\n",
    "near.py": "from far import factor\ndef scaled(x): return x * factor\n",
    "far.py": "factor = 1\n",
}


@pytest.fixture
def flow(tmp_path: Path) -> Path:
    folder = tmp_path / "flow"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(textwrap.dedent(text))
    return folder / "flow.py"


@pytest.fixture
def client(machine: Machine) -> Iterator[Client]:
    machine.up()
    with Client(home=machine.home.path) as client:
        client.secrets.set("TOKEN", "0123456789abcdef")
        yield client


def run(client: Client, flow: Path, rows: int) -> tuple[Execution, set[str]]:
    """Run the pipeline; return its execution, and the names of the steps that were taken over."""
    execution = client.run(load_pipeline(flow), {"Rows": rows}).wait(timeout_s=120)
    return execution, {each.name for each in execution.steps() if each.cached_from is not None}


@pytest.mark.timeout(600)
def test_values_travel_by_type_and_only_what_something_changed_for_runs_again(
    client: Client, flow: Path, tmp_path: Path
) -> None:
    first, taken = run(client, flow, 10)
    assert taken == set()
    assert {each.name: each.status for each in first.steps()} == dict.fromkeys(
        ("Look", "prepare", "fit", "score", "Good", "Register"), "Succeeded"
    )
    assert first.result("score") == {"accuracy": 0.45, "rows": 10}
    table, weights = first.result("prepare")
    assert isinstance(table, polars.DataFrame)
    assert (table.height, weights.tolist()) == (10, list(range(10)))
    with pytest.raises(ResultUnreadable, match="names files; give a folder"):
        first.result("fit")
    fetched = first.result("fit", folder=tmp_path / "fetched")
    assert fetched["model"].read_text() == "45 seen"
    with pytest.raises(Conflict, match="step Look is no function with @step"):
        first.result("Look")
    version = client.call("SageMaker.DescribeModelPackage", {"ModelPackageName": client.model_version("functions").arn})
    (container,) = version["InferenceSpecification"]["Containers"]
    assert container["ModelDataUrl"].endswith("/fit/value/files/model/model.tar.gz")

    _, taken = run(client, flow, 10)
    assert taken == {"prepare", "fit"}

    (flow.parent / "far.py").write_text("factor = 2\n")
    second, taken = run(client, flow, 10)
    assert taken == set(), "a module two imports away was edited"
    assert second.result("score") == {"accuracy": 0.9, "rows": 10}
    assert "far.py" in str(second.explain("prepare").first)


@pytest.mark.timeout(300)
def test_a_result_that_does_not_travel_fails_the_step_with_function_type_and_place(client: Client, flow: Path) -> None:
    with pytest.raises(ExecutionFailed, match=r"the result of flow:broken\['at'\]\[1\] is a .*, which does not travel"):
        run(client, flow, 2)


@pytest.mark.timeout(300)
def test_a_table_that_no_annotation_tells_of_fails_the_condition_that_reads_it(client: Client, flow: Path) -> None:
    asks = """
        import polars
        from towpath import Condition, Pipeline, step

        @step
        def prepare():
            return {"table": polars.DataFrame({"x": [1, 2]}), "rows": 2, "rest": None}

        @step
        def goes_on():
            pass

        found = prepare()
        read = Condition("Read", if_=[found["rows"] == 2, found["rest"] == None], then=[goes_on()])
        wrong = Condition("Wrong", if_=[found["table"] == 3], then=[goes_on()], depends_on=[read])
        pipeline = Pipeline("asks-tables", steps=[read, wrong])
    """
    flow.write_text(textwrap.dedent(asks))
    told = (
        r"step Wrong failed: .*Std:JsonGet: value\['table'\] cannot be compared, put into a text or given as an "
        r"argument: the result of flow:prepare\['table'\] is a polars DataFrame of the shape \(2, 1\), .* Return what"
    )
    with pytest.raises(ExecutionFailed, match=told):
        client.run(load_pipeline(flow)).wait(timeout_s=120)


@pytest.mark.timeout(300)
def test_an_exception_is_the_failure_reason_of_the_step(client: Client, flow: Path) -> None:
    with pytest.raises(ExecutionFailed, match=r"step prepare failed: .*flow:prepare: TypeError: .*\(near.py, line 2\)"):
        (flow.parent / "near.py").write_text("from far import factor\ndef scaled(x): return x + 'a'\n")
        run(client, flow, 2)


@pytest.mark.timeout(300)
def test_lineage_leads_from_what_a_function_returned_to_what_it_read_and_its_code(client: Client, flow: Path) -> None:
    execution, _ = run(client, flow, 10)
    made = {each.name: each.job for each in execution.steps()}
    uri = client.call("SageMaker.DescribeProcessingJob", {"ProcessingJobName": made["prepare"]})
    returned = uri["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"]
    found = client.call("SageMaker.ListArtifacts", {"SourceUri": f"{returned}/value.json"})["ArtifactSummaries"]
    assert found, f"no artifact of {returned}"
    readers = client.call("SageMaker.ListAssociations", {"SourceArn": found[0]["ArtifactArn"]})["AssociationSummaries"]
    assert any(str(made["fit"]) in each["DestinationArn"] + str(each.get("DestinationName")) for each in readers)


ASKS = """
import json, os
import botocore.session
from botocore.exceptions import ClientError

session = botocore.session.get_session()
client = lambda service: session.create_client(service, region_name="us-east-1")
found = {"arn": client("sts").get_caller_identity()["Arn"]}
client("s3").put_object(Bucket=os.environ["BUCKET"], Key="by-the-job.txt", Body=b"here")
for service, operation, asked in (
    ("iam", "list_users", {}),
    ("sagemaker", "update_model_package", dict(ModelPackageArn=os.environ["PACKAGE"], ModelApprovalStatus="Approved")),
):
    try:
        getattr(client(service), operation)(**asked)
    except ClientError as refused:
        found[operation] = refused.response["Error"]["Code"]
print("the key is", os.environ["AWS_SECRET_ACCESS_KEY"])
with open("/opt/ml/processing/output/found/found.json", "w") as file:
    json.dump(found, file)
"""


@pytest.mark.timeout(300)
def test_a_job_that_asks_has_keys_of_its_own_that_approve_nothing_and_are_not_in_its_log(
    client: Client, machine: Machine, tmp_path: Path
) -> None:
    server = machine.home.running_server()
    assert server is not None
    (tmp_path / "asks.py").write_text(ASKS)
    asks = Processing(
        "Asks",
        script="asks.py",
        outputs=["found"],
        environment={
            "AWS_ENDPOINT_URL": server.url,
            "AWS_ACCESS_KEY_ID": "{{secrets.towpath.access-key}}",
            "AWS_SECRET_ACCESS_KEY": "{{secrets.towpath.secret-key}}",
            "AWS_SESSION_TOKEN": "{{secrets.towpath.session-token}}",
            "BUCKET": Defaults().bucket,
            "PACKAGE": "arn:aws:sagemaker:us-east-1:000000000000:model-package/any/1",
        },
    )
    execution = client.run(Pipeline("asks", steps=[asks], root=tmp_path)).wait(timeout_s=120)
    (step,) = execution.steps()
    described = client.call("SageMaker.DescribeProcessingJob", {"ProcessingJobName": step.job})
    uri = described["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"]
    assert json.loads(client.lake.get_bytes(f"{uri}/found.json")) == {
        "arn": f"arn:aws:sts::000000000000:assumed-role/towpath-jobs/{step.job}",
        "list_users": "AccessDenied",
        "update_model_package": "AccessDeniedException",
    }
    assert client.lake.get_bytes(f"s3://{Defaults().bucket}/by-the-job.txt") == b"here"
    said = [line.text for line in client.logs("ProcessingJob", str(step.job))]
    assert any(line.endswith("the key is ***") for line in said)
    with pytest.raises(RequestFailed, match=r"those that begin with 'towpath\.' are keys of the jobs' own"):
        client.secrets.set("towpath.access-key", "0123456789abcdef")
