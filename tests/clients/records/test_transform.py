"""Transform jobs through unmodified boto3 on a running server: what is read, asked, written, told and refused."""

import gzip
import io
import json
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import WaiterError
from tests.acceptance.conftest import wait_for_execution
from tests.clients.records.conftest import IMAGE, ROLE, Aws, refusal

from towpath import Client

pytestmark = pytest.mark.slow

#: Sums the numbers of each line, and says so in JSON, or in CSV where that is asked for.
SUMS = """
import json
def model_fn(model_dir):
    return open(model_dir + "/word.txt").read()
def transform_fn(word, body, content_type, accept):
    rows = [json.loads(line) if content_type == "application/json" else line.split(",") for line in body.split("\\n")]
    sums = [sum(float(cell) for cell in row) for row in rows]
    if accept == "text/csv":
        return "".join(f"{each:g}\\n" for each in sums), accept
    return json.dumps({word: sums[0]}), "application/json"
"""


def put_model(aws: Aws, name: str, script: str, **options: Any) -> None:
    """Make a model of a script, and of a file beside it."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for path, text in (("code/inference.py", script), ("word.txt", "sum")):
            member = tarfile.TarInfo(path)
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    aws.s3.put_object(Bucket="sums", Key=f"{name}/model.tar.gz", Body=stream.getvalue())
    container = {"Image": IMAGE, "ModelDataUrl": f"s3://sums/{name}/model.tar.gz", **options}
    aws.sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE)


@pytest.fixture(scope="module")
def sums(aws: Aws) -> Iterator[str]:
    """Return the name of a model that sums the numbers of each line; the bucket `sums` is there too."""
    aws.s3.create_bucket(Bucket="sums")
    put_model(aws, "sums", SUMS)
    yield "sums"


def request(name: str, model: str, source: str = "in/", **options: Any) -> dict[str, Any]:
    """Return a request; `options` with a dotted name go into TransformInput and TransformOutput."""
    asked: dict[str, Any] = {
        "TransformJobName": name,
        "ModelName": model,
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://sums/{name}/{source}"}},
            "ContentType": "text/csv",
            "SplitType": "Line",
        },
        "TransformOutput": {"S3OutputPath": f"s3://sums/{name}/out", "AssembleWith": "Line"},
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
        "BatchStrategy": "SingleRecord",
    }
    for place, value in options.items():
        section, _, member = place.partition("__")
        if member:
            asked[section] = {**asked[section], member: value}
        else:
            asked[section] = value
    return asked


def put(aws: Aws, job: str, files: dict[str, bytes]) -> None:
    for key, body in files.items():
        aws.s3.put_object(Bucket="sums", Key=f"{job}/{key}", Body=body)


def transform(aws: Aws, asked: dict[str, Any]) -> dict[str, Any]:
    """Create a job and wait for its end as boto3 does; return how it is described then."""
    aws.sagemaker.create_transform_job(**asked)
    return ended(aws, asked["TransformJobName"])


def ended(aws: Aws, name: str) -> dict[str, Any]:
    waiter = aws.sagemaker.get_waiter("transform_job_completed_or_stopped")
    with suppress(WaiterError):  # Failed; which end it was is the test's to say
        waiter.wait(TransformJobName=name, WaiterConfig={"Delay": 0.1, "MaxAttempts": 2000})
    found: dict[str, Any] = aws.sagemaker.describe_transform_job(TransformJobName=name)
    return found


def results(aws: Aws, job: str) -> dict[str, bytes]:
    """Return what lies at the job's S3OutputPath."""
    listed = aws.s3.list_objects_v2(Bucket="sums", Prefix=f"{job}/out/").get("Contents", [])
    return {
        item["Key"].removeprefix(f"{job}/out/"): aws.s3.get_object(Bucket="sums", Key=item["Key"])["Body"].read()
        for item in listed
    }


@pytest.mark.shows("sagemaker", "CreateTransformJob", how="executes")
@pytest.mark.shows("sagemaker", "DescribeTransformJob", how="executes")
def test_each_line_of_each_file_is_answered_in_its_place(aws: Aws, sums: str) -> None:
    put(aws, "plain", {"in/a.csv": b"1,2\n3,4\n\n5,6", "in/deep/b.csv": b"10,20\n"})
    described = transform(aws, request("plain", sums))
    assert described["TransformJobStatus"] == "Completed", described.get("FailureReason")
    assert results(aws, "plain") == {
        "a.csv.out": b'{"sum": 3.0}\n{"sum": 7.0}\n{"sum": 11.0}\n',
        "deep/b.csv.out": b'{"sum": 30.0}\n',
    }
    assert described["TransformStartTime"] <= described["TransformEndTime"]
    assert described["ModelName"] == sums


WAITS = """
import signal
def model_fn(folder):
    return folder
def transform_fn(folder, body, content_type, accept):
    if body == "wait":
        print("waiting", flush=True)
        signal.pause()
    return body, accept
"""


@pytest.mark.shows("sagemaker", "ListTransformJobs", "StopTransformJob", how="executes")
def test_jobs_are_listed_sorted_filtered_in_pages_and_stopped(aws: Aws, sums: str) -> None:
    """None of what a stopped job answered is kept, as on SageMaker."""
    put_model(aws, "waits", WAITS)
    made = ["list-b", "list-a", "list-c"]
    for name in made:
        put(aws, name, {"in/a.csv": b"1\n", "in/b.csv": b"wait\n"})
        aws.sagemaker.create_transform_job(**request(name, "waits"))
    listing = aws.sagemaker.list_transform_jobs

    def names(**asked: Any) -> list[str]:
        found = listing(NameContains="LIST-", **asked)["TransformJobSummaries"]
        return [item["TransformJobName"] for item in found]

    assert names() == made[::-1]
    assert names(SortBy="Name", SortOrder="Ascending") == sorted(made)
    first = listing(NameContains="list-", SortBy="Name", SortOrder="Ascending", MaxResults=2)
    assert [item["TransformJobName"] for item in first["TransformJobSummaries"]] == ["list-a", "list-b"]
    assert names(SortBy="Name", SortOrder="Ascending", NextToken=first["NextToken"]) == ["list-c"]
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert names(CreationTimeAfter=tomorrow) == names(LastModifiedTimeAfter=tomorrow) == []
    assert sorted(names(CreationTimeBefore=tomorrow, LastModifiedTimeBefore=tomorrow)) == sorted(made)
    assert sorted(names(StatusEquals="InProgress")) == sorted(made)
    with Client(home=aws.home.path, endpoint=aws.url) as client:
        for line in client.logs("TransformJob", made[0], follow=True):
            if "waiting" in line.text:
                break  # its first file is complete
    for name in made:
        aws.sagemaker.stop_transform_job(TransformJobName=name)
    assert [ended(aws, name)["TransformJobStatus"] for name in made] == ["Stopped"] * 3
    assert sorted(names(StatusEquals="Stopped", SortBy="Status")) == sorted(made)
    assert [results(aws, name) for name in made] == [{}] * 3
    code, message = refusal(aws.sagemaker.stop_transform_job, TransformJobName="list-a")
    assert (code, "the transform job is in status Stopped" in message) == ("ValidationException", True)


def test_the_model_is_the_one_of_the_moment_in_which_the_job_was_created(aws: Aws, sums: str) -> None:
    put_model(aws, "fleeting", SUMS)
    put(aws, "fleeting", {"in/a.csv": b"1\n"})
    aws.sagemaker.create_transform_job(**request("fleeting", "fleeting"))
    aws.sagemaker.delete_model(ModelName="fleeting")
    assert ended(aws, "fleeting")["TransformJobStatus"] == "Completed"
    code, message = refusal(aws.sagemaker.create_transform_job, **request("later", "fleeting"))
    assert (code, message) == ("ValidationException", 'Could not find model "fleeting".')


def test_records_go_in_batches_packed_files_and_those_of_a_manifest_too(aws: Aws, sums: str) -> None:
    rows = b"".join(b"%d,1\n" % number for number in range(2000))
    put(aws, "packed", {"in/a.csv.gz": gzip.compress(rows), "in/b.csv.gz": gzip.compress(b"9,9"), "in/c": b"no"})
    manifest = [{"prefix": "s3://sums/packed/in/"}, "a.csv.gz", "b.csv.gz"]
    put(aws, "packed", {"these.json": json.dumps(manifest).encode()})
    source = {"S3DataSource": {"S3DataType": "ManifestFile", "S3Uri": "s3://sums/packed/these.json"}}
    asked = request(
        "packed",
        sums,
        BatchStrategy="MultiRecord",
        MaxPayloadInMB=1,
        MaxConcurrentTransforms=4,
        TransformInput__DataSource=source,
        TransformInput__CompressionType="Gzip",
        TransformOutput__Accept="text/csv",
    )
    described = transform(aws, asked)
    assert described["TransformJobStatus"] == "Completed", described.get("FailureReason")
    assert results(aws, "packed") == {
        "a.csv.gz.out": b"".join(b"%d\n" % (number + 1) for number in range(2000)),
        "b.csv.gz.out": b"18\n",
    }


def test_answers_are_joined_with_what_they_are_about(aws: Aws, sums: str) -> None:
    put(aws, "joined-rows", {"in/a.csv": b'first,"1",2\nsecond,3,4\n'})
    rows = request("joined-rows", sums, BatchStrategy="MultiRecord")
    rows["DataProcessing"] = {"InputFilter": "$[1:]", "JoinSource": "Input", "OutputFilter": "$[0,-1]"}
    described = transform(aws, rows)
    assert described["TransformJobStatus"] == "Completed", described.get("FailureReason")
    assert described["DataProcessing"] == rows["DataProcessing"]
    assert results(aws, "joined-rows") == {"a.csv.out": b"first,3\nsecond,7\n"}
    put(aws, "joined-documents", {"in/a.jsonl": b'{"id": 1, "numbers": [1, 2]}\n{"id": 2, "numbers": [5]}\n'})
    documents = request("joined-documents", sums, TransformInput__ContentType="application/json")
    documents["DataProcessing"] = {"InputFilter": "$.numbers", "JoinSource": "Input"}
    assert transform(aws, documents)["TransformJobStatus"] == "Completed"
    assert [json.loads(line) for line in results(aws, "joined-documents")["a.jsonl.out"].splitlines()] == [
        {"id": 1, "numbers": [1, 2], "SageMakerOutput": {"sum": 3.0}},
        {"id": 2, "numbers": [5], "SageMakerOutput": {"sum": 5.0}},
    ]


def log_of(aws: Aws, job: str) -> str:
    logs, group = aws.client("logs"), "/aws/sagemaker/TransformJobs"
    (stream,) = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{job}/")["logStreams"]
    read = {"logGroupName": group, "logStreamName": stream["logStreamName"], "startFromHead": True}
    return "\n".join(event["message"] for event in logs.get_log_events(**read)["events"])


def test_a_record_that_fails_is_named_and_the_other_files_have_their_output(aws: Aws, sums: str) -> None:
    put(aws, "failing", {"in/bad.csv": b"1,2\n\n3,four\n", "in/good.csv": b"1\n"})
    asked = request("failing", sums, ModelClientConfig={"InvocationsMaxRetries": 1})
    described = transform(aws, asked)
    assert described["TransformJobStatus"] == "Failed"
    assert described["FailureReason"] == (
        "AlgorithmError: s3://sums/failing/in/bad.csv line 3: ValueError: could not convert string to float: 'four' "
        "(tried 2 times) (1 of 2 files failed; the other 1 has its output), ExitCode 1"
    )
    assert results(aws, "failing") == {"good.csv.out": b'{"sum": 1.0}\n'}
    log = log_of(aws, "failing")
    assert "bad.csv line 3: ValueError: could not convert string to float: 'four'; trying again (1 of 2 tries)" in log
    assert 'inference.py", line' in log, "the handler's traceback"
    assert "Transformed 2 files, 1 of them failed: 2 records" in log


PICKY = """
import os
def model_fn(folder):
    return folder
def transform_fn(folder, body, content_type, accept):
    for line in body.split("\\n"):
        if line == "raises":
            raise ValueError("cannot read raises")
        if line == "dies":
            os._exit(7)
    return body, accept
"""
HARD = """
import os, signal, time
def model_fn(folder):
    return folder
def transform_fn(folder, body, content_type, accept):
    if body == "dies once" and not os.path.exists("/tmp/died"):
        open("/tmp/died", "w").close()
        os.kill(os.getpid(), signal.SIGSEGV)
    if body == "dies": os._exit(7)
    if body == "hangs": signal.pause()
    return body.upper(), accept
"""


def test_a_model_whose_process_dies_is_loaded_anew_and_the_record_is_named(aws: Aws, sums: str) -> None:
    put_model(aws, "hard", HARD)
    put(aws, "hard", {"in/a.txt": b"one\ndies once\ntwo\n", "in/b.txt": b"three\ndies\n"})
    once_more = {"InvocationsMaxRetries": 1}
    described = transform(
        aws, request("hard", "hard", TransformInput__ContentType="text/plain", ModelClientConfig=once_more)
    )
    assert described["TransformJobStatus"] == "Failed"
    assert results(aws, "hard") == {"a.txt.out": b"ONE\nDIES ONCE\nTWO\n"}
    assert described["FailureReason"].startswith(
        "AlgorithmError: s3://sums/hard/in/b.txt line 2: the model's process ended with exit code 7 (tried 2 times) "
        "(1 of 2 files failed"
    )
    assert "a.txt line 2: the model's process was killed by SIGSEGV; trying again" in log_of(aws, "hard")
    put(aws, "hanging", {"in/a.txt": b"hangs"})
    soon = {"InvocationsTimeoutInSeconds": 1, "InvocationsMaxRetries": 0}
    described = transform(
        aws, request("hanging", "hard", TransformInput__ContentType="text/plain", ModelClientConfig=soon)
    )
    assert described["FailureReason"] == (
        "AlgorithmError: s3://sums/hanging/in/a.txt line 1: no answer within 1 s (InvocationsTimeoutInSeconds), "
        "ExitCode 1"
    )


def test_the_record_that_fails_is_named_among_many_that_are_asked_together(aws: Aws, sums: str) -> None:
    """With the batch strategy that holds where nothing is said, also where the record takes the process with it."""
    put_model(aws, "picky", PICKY)
    put(aws, "batched", {"in/a.txt": b"one\n" * 40 + b"raises\n" + b"two\n" * 30, "in/b.txt": b"\none\n\ndies\ntwo\n"})
    asked = request("batched", "picky", TransformInput__ContentType="text/plain")
    described = transform(aws, {name: value for name, value in asked.items() if name != "BatchStrategy"})
    assert described["FailureReason"].startswith(
        "AlgorithmError: s3://sums/batched/in/a.txt line 41: ValueError: cannot read raises (2 of 2 files failed"
    )
    found = "b.txt line 4: the model's process ended with exit code 7; found by asking for less at a time"
    assert found in log_of(aws, "batched")


def test_a_model_that_cannot_be_loaded_ends_the_job_with_its_last_words(aws: Aws, sums: str) -> None:
    put_model(aws, "broken", "def model_fn(folder):\n    print('looking for weights')\n    return {}['weights']\n")
    put_model(aws, "empty", "import sys\n")
    for name, words in (
        ("broken", "AlgorithmError: ExitCode 1: KeyError: 'weights' (inference.py line 3)"),
        ("empty", "inference.py defines no model_fn(model_dir), so the model cannot be loaded"),
    ):
        put(aws, name, {"in/a.csv": b"1\n"})
        described = transform(aws, request(name, name))
        assert described["TransformJobStatus"] == "Failed"
        assert words in described["FailureReason"]
        assert results(aws, name) == {}


def test_several_hosts_share_the_objects_and_what_all_of_them_made_is_kept(aws: Aws, sums: str) -> None:
    """In turn by the order of the keys, each with a log of its own; one left without an object is no failure."""
    put(aws, "shared", {f"in/{name}.csv": f"{number},1\n".encode() for number, name in enumerate("abc")})
    described = transform(aws, request("shared", sums, TransformResources__InstanceCount=4))
    assert described["TransformJobStatus"] == "Completed", described.get("FailureReason")
    assert results(aws, "shared") == {
        "a.csv.out": b'{"sum": 1.0}\n',
        "b.csv.out": b'{"sum": 2.0}\n',
        "c.csv.out": b'{"sum": 3.0}\n',
    }
    logs, group = aws.client("logs"), "/aws/sagemaker/TransformJobs"
    told = {}
    for stream in logs.describe_log_streams(logGroupName=group, logStreamNamePrefix="shared/")["logStreams"]:
        name = stream["logStreamName"]
        events = logs.get_log_events(logGroupName=group, logStreamName=name)["events"]
        told[name.split("/")[1][:6]] = events[-1]["message"].partition(",")[0]
    one = "Transformed 1 file: 1 record"
    assert told == {"algo-1": one, "algo-2": one, "algo-3": one, "algo-4": "There is no file for this host"}


def test_a_host_that_fails_leaves_the_others_their_objects(aws: Aws, sums: str) -> None:
    """The first one fails at once, the second one works on for longer than hosts have that depend on each other."""
    slow = b"".join(b"1,2\n" for _ in range(12))
    put_model(aws, "slow", SUMS.replace("    rows =", "    import time; time.sleep(0.25)\n    rows ="))
    put(aws, "parted", {"in/a.csv": b"one,two\n", "in/b.csv": slow})
    asked = request(
        "parted", "slow", TransformResources__InstanceCount=2, ModelClientConfig={"InvocationsMaxRetries": 0}
    )
    described = transform(aws, asked)
    assert described["TransformJobStatus"] == "Failed"
    assert "algo-1: s3://sums/parted/in/a.csv line 1" in described["FailureReason"]
    assert results(aws, "parted") == {"b.csv.out": b'{"sum": 3.0}\n' * 12}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"TransformInput__SplitType": "RecordIO"}, "SplitType 'RecordIO' is not supported; use Line"),
        ({"TransformInput__SplitType": "TFRecord"}, "SplitType 'TFRecord' is not supported; use Line"),
        ({"TransformResources__InstanceCount": 101}, "InstanceCount is 101; expected 1 to 100"),
        ({"MaxPayloadInMB": 101}, "MaxPayloadInMB is 101; expected at most 100"),
        ({"MaxPayloadInMB": 60, "MaxConcurrentTransforms": 2}, "is 120 MB; expected at most 100 MB"),
        ({"DataProcessing": {"InputFilter": "$..a"}}, "DataProcessing: '$..a' cannot be read from '..a' on"),
        (
            {"DataProcessing": {"JoinSource": "Input"}, "TransformInput__ContentType": "image/png"},
            "the ContentType is image/png",
        ),
        (
            {"DataProcessing": {"JoinSource": "Input"}, "TransformOutput__Accept": "application/json"},
            "the answers are application/json (Accept) and the records text/csv (ContentType)",
        ),
        ({"DataCaptureConfig": {"DestinationS3Uri": "s3://sums/captured"}}, "DataCaptureConfig of transform jobs"),
    ],
)
def test_what_cannot_be_done_is_refused_when_the_job_is_created(
    aws: Aws, sums: str, options: dict[str, Any], words: str
) -> None:
    _, message = refusal(aws.sagemaker.create_transform_job, **request("never", sums, **options))
    assert words in message


def test_a_job_is_a_trial_component_an_event_and_a_part_of_the_lineage(aws: Aws, sums: str) -> None:
    """From the model to what it was asked to what it answered, version by version."""
    sagemaker = aws.sagemaker
    sagemaker.create_experiment(ExperimentName="scoring")
    put(aws, "told", {"in/a.csv": b"1\n"})
    asked = request("told", sums, ExperimentConfig={"ExperimentName": "scoring"})
    asked["Tags"] = [{"Key": "team", "Value": "cellar"}]
    described = transform(aws, asked)
    arn = described["TransformJobArn"]
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == asked["Tags"]
    component = sagemaker.describe_trial_component(TrialComponentName="told-aws-transform-job")
    assert component["Source"] == {"SourceArn": arn, "SourceType": "SageMakerTransformJob"}
    assert component["Status"]["PrimaryStatus"] == "Completed"
    assert component["Parameters"]["SageMaker.ModelName"] == {"StringValue": sums}
    assert component["InputArtifacts"]["SageMaker.TransformInput"]["Value"] == "s3://sums/told/in/"
    assert component["OutputArtifacts"]["SageMaker.TransformOutput"]["Value"] == "s3://sums/told/out"
    found = sagemaker.search(
        Resource="ExperimentTrialComponent",
        SearchExpression={"Filters": [{"Name": "Source.SourceArn", "Operator": "Equals", "Value": arn}]},
    )["Results"]
    assert [result["TrialComponent"]["TrialComponentName"] for result in found] == ["told-aws-transform-job"]

    def around(side: str, wanted: str) -> set[str]:
        edges = sagemaker.list_associations(**{side: component["TrialComponentArn"]})["AssociationSummaries"]
        other = "DestinationArn" if side == "SourceArn" else "SourceArn"
        return {edge[f"{other.removesuffix('Arn')}Type"] for edge in edges if edge["AssociationType"] == wanted}

    assert {"ModelDeployment", "DataSet", "Environment"} <= around("DestinationArn", "ContributedTo")
    assert around("SourceArn", "Produced") == {"DataSet"}


def test_a_pipeline_makes_a_model_and_transforms_with_it(aws: Aws, sums: str) -> None:
    put(aws, "step", {"in/a.csv": b"2,3\n"})
    asked = request("step", sums)
    del asked["TransformJobName"]
    asked["ModelName"] = {"Get": "Steps.Make.ModelName"}
    container = {"Image": IMAGE, "ModelDataUrl": "s3://sums/sums/model.tar.gz"}
    written = {"Get": "Steps.Score.TransformOutput.S3OutputPath"}
    steps = [
        {"Name": "Make", "Type": "Model", "Arguments": {"PrimaryContainer": container, "ExecutionRoleArn": ROLE}},
        {"Name": "Score", "Type": "Transform", "Arguments": asked},
        {"Name": "Told", "Type": "Fail", "Arguments": {"ErrorMessage": written}},
    ]
    sagemaker = aws.sagemaker
    definition = json.dumps({"Version": "2020-12-01", "Steps": steps})
    sagemaker.create_pipeline(
        PipelineName="scores", PipelineDefinition=definition, RoleArn=ROLE, ClientRequestToken="s" * 32
    )
    execution = sagemaker.start_pipeline_execution(PipelineName="scores")["PipelineExecutionArn"]
    wait_for_execution(sagemaker, execution)
    shown = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=execution)["PipelineExecutionSteps"]
    ran = {step["StepName"]: step for step in shown}
    assert ran["Score"]["StepStatus"] == "Succeeded", shown
    assert ran["Told"]["Metadata"]["Fail"]["ErrorMessage"] == "s3://sums/step/out"
    name = ran["Score"]["Metadata"]["TransformJob"]["Arn"].rpartition("/")[2]
    assert sagemaker.describe_transform_job(TransformJobName=name)["TransformJobStatus"] == "Completed"
    assert results(aws, "step") == {"a.csv.out": b'{"sum": 5.0}\n'}


def test_a_cached_transform_step_counts_the_model_and_not_its_name(aws: Aws, sums: str) -> None:
    put(aws, "kept", {"in/a.csv": b"2,3\n"})
    asked = request("kept", sums)
    del asked["TransformJobName"]
    asked["ModelName"] = {"Get": "Steps.Make.ModelName"}
    container: dict[str, Any] = {"Image": IMAGE, "ModelDataUrl": "s3://sums/sums/model.tar.gz"}
    make = {"PrimaryContainer": container, "ExecutionRoleArn": ROLE}
    sagemaker = aws.sagemaker

    def source() -> str | None:
        """Run the pipeline; return the execution whose result the step took over."""
        steps = [
            {"Name": "Make", "Type": "Model", "Arguments": make},
            {"Name": "Score", "Type": "Transform", "Arguments": asked, "CacheConfig": {"Enabled": True}},
        ]
        definition = json.dumps({"Version": "2020-12-01", "Steps": steps})
        if not sagemaker.list_pipelines(PipelineNamePrefix="kept-scores")["PipelineSummaries"]:
            sagemaker.create_pipeline(PipelineName="kept-scores", PipelineDefinition=definition, RoleArn=ROLE)
        sagemaker.update_pipeline(PipelineName="kept-scores", PipelineDefinition=definition)
        arn = sagemaker.start_pipeline_execution(PipelineName="kept-scores")["PipelineExecutionArn"]
        assert wait_for_execution(sagemaker, arn)["PipelineExecutionStatus"] == "Succeeded"
        executions.append(arn)
        (score, _) = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
        found: str | None = score.get("CacheHitResult", {}).get("SourcePipelineExecutionArn")
        return found

    executions: list[str] = []
    assert source() is None
    assert source() == executions[0], "each execution makes a model of its own of the same archive"
    container["Environment"] = {"THRESHOLD": "0.5"}
    assert source() is None
    put(aws, "kept", {"in/a.csv": b"2,4\n"})
    assert source() is None
    assert results(aws, "kept") == {"a.csv.out": b'{"sum": 6.0}\n'}
    del container["Environment"]
    put(aws, "kept", {"in/a.csv": b"2,3\n"})
    assert source() == executions[0]
    assert results(aws, "kept") == {"a.csv.out": b'{"sum": 5.0}\n'}, (
        "the output is what it was, and not what came since"
    )
