"""A short life of a home, through boto3 on a real server, that leaves resources of every kind behind.

`python -m tests.golden.story` writes them to `resources/`, as README.md there says.
"""

import io
import json
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from botocore.exceptions import WaiterError
from tests.acceptance.conftest import Machine, clients, wait_for_execution, wait_for_tuning

import towpath
from towpath.app import KINDS
from towpath.experiments.model import component_state, trial_state
from towpath.functions.model import Code, FunctionSpec, InvocationSpec, InvocationState
from towpath.gateway import ServiceModels
from towpath.home import HomeFolder
from towpath.hosting.model import EndpointConfigSpec, EndpointSpec, EndpointState, ModelSpec, ModelState
from towpath.jobs.requests import ProcessingJobRequest, TrainingJobRequest, TransformJobRequest
from towpath.jobs.state import run_of
from towpath.jobs.transform import model_of
from towpath.kernel.generic import document
from towpath.kernel.kinds import Kind
from towpath.kernel.ports import Query
from towpath.kernel.resource import Resource, view
from towpath.kernel.shapes import check, project
from towpath.metrics.model import AlarmSpec, AlarmState
from towpath.objects.manifest import files_of
from towpath.pipelines.callbacks import CallbackSpec, CallbackState, told_of
from towpath.pipelines.lambdas import told_of as told_of_call
from towpath.pipelines.plans import plan_of
from towpath.queues.model import MessageSpec, MessageState, QueueSpec
from towpath.registry.packages import PackageSpec, PackageState
from towpath.store import SqliteStore
from towpath.triggers.model import DeliverySpec, DeliveryState, RuleSpec, ScheduleSpec
from towpath.tuning.plan import plan_of as plan_of_tuning

FOLDER = Path(__file__).with_name("resources")
BUCKET = "golden"
GROUP = "wine"
IMAGE = "towpath"
ROLE = "arn:aws:iam::000000000000:role/anything"
RESOURCES = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
MODELS = ServiceModels()

PREPARE = """
import json, pathlib
ml = pathlib.Path("/opt/ml/processing")
rows = sorted((ml / "input/raw").glob("*.csv"))
(ml / "output/rows/rows.csv").write_text("".join(path.read_text() for path in rows))
(ml / "output/rows/report.json").write_text(json.dumps({"rows": 3}))
"""
TRAIN = """
import os, pathlib
print("accuracy=0.9")
model = pathlib.Path(os.environ["SM_MODEL_DIR"])
(model / "weights.txt").write_text("1 2 3")
(model / "code").mkdir()
(model / "code/inference.py").write_text("def model_fn(folder): return 3\\ndef predict_fn(x, model): return model\\n")
"""
FAILING = "raise ValueError('the rows hold no label')"


def script(text: str, name: str) -> bytes:
    """Return an archive with one script."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        member = tarfile.TarInfo(name)
        member.size = len(text.encode())
        tar.addfile(member, io.BytesIO(text.encode()))
    return data.getvalue()


def training(code: str, rows: object) -> dict[str, Any]:
    """Return the arguments of a training job in script mode."""
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": rows}}
    return {
        "RoleArn": ROLE,
        "AlgorithmSpecification": {
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "accuracy", "Regex": "accuracy=([0-9.]+)"}],
        },
        "HyperParameters": {
            "sagemaker_program": "train.py",
            "sagemaker_submit_directory": f"s3://{BUCKET}/code/{code}.tar.gz",
            "trees": "50",
        },
        "InputDataConfig": [{"ChannelName": "train", "DataSource": source}],
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/models"},
        "ResourceConfig": RESOURCES,
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        "Environment": {"OMP_NUM_THREADS": "1"},
    }


def processing() -> dict[str, Any]:
    """Return the arguments of the processing job."""

    def read(name: str, uri: str) -> dict[str, Any]:
        place = {"S3Uri": uri, "LocalPath": f"/opt/ml/processing/input/{name}"}
        return {"InputName": name, "S3Input": {**place, "S3DataType": "S3Prefix", "S3InputMode": "File"}}

    written = {
        "S3Uri": {"Std:Join": {"On": "/", "Values": [f"s3://{BUCKET}", {"Get": "Execution.PipelineExecutionId"}]}},
        "LocalPath": "/opt/ml/processing/output/rows",
        "S3UploadMode": "EndOfJob",
    }
    return {
        "RoleArn": ROLE,
        "ProcessingResources": {"ClusterConfig": RESOURCES},
        "AppSpecification": {
            "ImageUri": IMAGE,
            "ContainerEntrypoint": ["python3", "/opt/ml/processing/input/code/prepare.py"],
        },
        "ProcessingInputs": [read("code", f"s3://{BUCKET}/code/prepare.py"), read("raw", f"s3://{BUCKET}/raw/")],
        "ProcessingOutputConfig": {"Outputs": [{"OutputName": "rows", "S3Output": written}]},
    }


def transform(model: str) -> dict[str, Any]:
    """Return the arguments of the transform job."""
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/raw/"}}
    return {
        "ModelName": model,
        "TransformInput": {"DataSource": source, "ContentType": "text/csv", "SplitType": "Line"},
        "TransformOutput": {"S3OutputPath": f"s3://{BUCKET}/scored", "AssembleWith": "Line"},
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
        "BatchStrategy": "SingleRecord",
        "MaxPayloadInMB": 1,
        "DataProcessing": {"InputFilter": "$[0]"},
        "Environment": {"OMP_NUM_THREADS": "1"},
    }


def definition() -> dict[str, Any]:
    """Return a pipeline with each type of step that is executed."""
    rows = {"Get": "Steps.Prepare.ProcessingOutputConfig.Outputs['rows'].S3Output.S3Uri"}
    report = {"PropertyFileName": "report", "OutputName": "rows", "FilePath": "report.json"}
    count = {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.Prepare.PropertyFiles.report"}, "Path": "rows"}}
    container = {"Image": IMAGE, "ModelDataUrl": {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}}
    quality = {"S3Uri": {"Std:Join": {"On": "/", "Values": [rows, "report.json"]}}, "ContentType": "application/json"}
    register = {
        "ModelPackageGroupName": GROUP,
        "ModelApprovalStatus": "PendingManualApproval",
        "ModelMetrics": {"ModelQuality": {"Statistics": quality}},
        "InferenceSpecification": {
            "Containers": [container],
            "SupportedContentTypes": ["application/json"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
    }
    condition = {"Type": "GreaterThanOrEqualTo", "LeftValue": count, "RightValue": {"Get": "Parameters.MinRows"}}
    gate = {
        "Conditions": [condition],
        "IfSteps": [
            {"Name": "Register", "Type": "RegisterModel", "Arguments": register},
            {"Name": "Create", "Type": "Model", "Arguments": {"PrimaryContainer": container, "ExecutionRoleArn": ROLE}},
        ],
        "ElseSteps": [{"Name": "Refuse", "Type": "Fail", "Arguments": {"ErrorMessage": "too few rows"}}],
    }
    return {
        "Version": "2020-12-01",
        "Parameters": [{"Name": "MinRows", "Type": "Integer", "DefaultValue": 2}],
        "Steps": [
            {"Name": "Prepare", "Type": "Processing", "Arguments": processing(), "PropertyFiles": [report]},
            {"Name": "Train", "Type": "Training", "Arguments": training("train", rows)},
            {"Name": "Gate", "Type": "Condition", "Arguments": gate},
        ],
    }


def live(aws: Mapping[str, Any]) -> None:
    """Do what leaves resources of every kind: some that went well, and some that did not."""
    s3, sagemaker = aws["s3"], aws["sagemaker"]
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="code/prepare.py", Body=PREPARE.encode())
    s3.put_object(Bucket=BUCKET, Key="code/train.tar.gz", Body=script(TRAIN, "train.py"))
    s3.put_object(Bucket=BUCKET, Key="code/failing.tar.gz", Body=script(FAILING, "train.py"))
    s3.put_object(Bucket=BUCKET, Key="raw/2026.csv", Body=b"13.2,1\n")
    raw = f"s3://{BUCKET}/raw/"
    aws["towpath"].create_dataset_version(DatasetName="wine", S3Uri=raw, Description="three wines")
    s3.put_object(Bucket=BUCKET, Key="raw/2027.csv", Body=b"12.9,0\n14.1,1\n")
    aws["towpath"].create_dataset_version(DatasetName="wine", S3Uri=raw, Tags=[{"Key": "from", "Value": "cellar"}])

    policy = json.dumps({"Version": "2012-10-17", "Statement": []})
    aws["iam"].create_user(UserName="ada", Tags=[{"Key": "team", "Value": "cellar"}])
    aws["iam"].create_role(RoleName="Trainer", AssumeRolePolicyDocument=policy, Description="trains")
    aws["iam"].create_policy(PolicyName="Reader", PolicyDocument=policy)

    sagemaker.create_model_package_group(ModelPackageGroupName=GROUP, ModelPackageGroupDescription="of the cellar")
    sagemaker.create_pipeline(
        PipelineName="wine",
        PipelineDisplayName="Wine",
        PipelineDefinition=json.dumps(definition()),
        RoleArn=ROLE,
        ClientRequestToken="p" * 32,
    )

    sagemaker.update_pipeline(PipelineName="wine", PipelineDefinition=json.dumps(definition()) + "\n")
    sagemaker.update_pipeline_version(
        PipelineArn=sagemaker.describe_pipeline(PipelineName="wine")["PipelineArn"],
        PipelineVersionId=1,
        PipelineVersionDisplayName="last-year",
        PipelineVersionDescription="as it was",
        PipelineVersionAliasOperations={"Add": ["old"]},
    )
    for least, ends in (("2", "Succeeded"), ("9", "Failed")):
        started = sagemaker.start_pipeline_execution(
            PipelineName="wine",
            PipelineExecutionDisplayName=f"least-{least}",
            PipelineExecutionDescription="this year's wine",
            PipelineParameters=[{"Name": "MinRows", "Value": least}],
            ClientRequestToken=least * 32,
        )
        ended = wait_for_execution(sagemaker, started["PipelineExecutionArn"])
        assert ended["PipelineExecutionStatus"] == ends, ended

    sagemaker.create_training_job(TrainingJobName="failing", **training("failing", raw))
    soon = {"Delay": 1, "MaxAttempts": 60}
    with suppress(WaiterError):  # which is how a waiter tells that a job failed
        sagemaker.get_waiter("training_job_completed_or_stopped").wait(TrainingJobName="failing", WaiterConfig=soon)
    assert sagemaker.describe_training_job(TrainingJobName="failing")["TrainingJobStatus"] == "Failed"

    tune(sagemaker, raw)
    (package,) = sagemaker.list_model_packages(ModelPackageGroupName=GROUP)["ModelPackageSummaryList"]
    arn = package["ModelPackageArn"]
    sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved", ApprovalDescription="try it")
    sagemaker.create_model(
        ModelName="wine", PrimaryContainer={"ModelPackageName": arn}, ExecutionRoleArn=ROLE, EnableNetworkIsolation=True
    )
    sagemaker.create_transform_job(TransformJobName="wine", **transform("wine"))
    sagemaker.get_waiter("transform_job_completed_or_stopped").wait(TransformJobName="wine", WaiterConfig=soon)
    variant = {"VariantName": "only", "ModelName": "wine", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
    sagemaker.create_endpoint_config(EndpointConfigName="wine", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="wine", EndpointConfigName="wine")
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="wine", WaiterConfig=soon)
    write_down(sagemaker)
    ask(aws)
    call(aws)
    wait_for(aws)


def call(aws: Mapping[str, Any]) -> None:
    """Keep a function, and call it by hand and in a step."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("press.py", "def handler(event, context):\n    return {'litres': 3 * event.get('kilos', 1)}\n")
    made = aws["lambda"].create_function(
        FunctionName="press",
        Runtime="python3.11",
        Role=ROLE,
        Handler="press.handler",
        Code={"ZipFile": stream.getvalue()},
        Environment={"Variables": {"CELLAR": "north"}},
        Description="by hand",
    )
    aws["lambda"].invoke(FunctionName="press", Payload=b'{"kilos": 2}')
    step = {
        "Name": "Press",
        "Type": "Lambda",
        "Arguments": {"kilos": 4},
        "FunctionArn": made["FunctionArn"],
        "OutputParameters": [{"OutputName": "litres", "OutputType": "Integer"}],
    }
    document = json.dumps({"Version": "2020-12-01", "Steps": [step]})
    aws["sagemaker"].create_pipeline(PipelineName="press", PipelineDefinition=document, RoleArn=ROLE)
    arn = aws["sagemaker"].start_pipeline_execution(PipelineName="press")["PipelineExecutionArn"]
    wait_for_execution(aws["sagemaker"], arn)


def ask(aws: Mapping[str, Any]) -> None:
    """Make what waits for answers: one that came, one that was a refusal, one that is never given, and one stopped."""
    sagemaker, sqs = aws["sagemaker"], aws["sqs"]
    queue = sqs.create_queue(QueueName="tasters", Attributes={"VisibilityTimeout": "600"})["QueueUrl"]
    sqs.send_message(QueueUrl=queue, MessageBody="salute")
    sqs.receive_message(QueueUrl=queue)
    outputs = [{"OutputName": name, "OutputType": kind} for name, kind in (("word", "String"), ("points", "Float"))]
    arguments = {"vintage": {"Get": "Parameters.Vintage"}}
    step = {"Name": "Taste", "Type": "Callback", "Arguments": arguments, "SqsQueueUrl": queue}
    asked = {
        "Version": "2020-12-01",
        "Parameters": [{"Name": "Vintage", "Type": "Integer", "DefaultValue": 2026}],
        "Steps": [{**step, "OutputParameters": outputs}],
    }
    sagemaker.create_pipeline(PipelineName="taste", PipelineDefinition=json.dumps(asked), RoleArn=ROLE)
    aws["logs"].create_log_group(logGroupName="/aws/events/cellar")
    # Nobody listens at that port: the message is on its way for as long as this home lives.
    away = {**asked, "Steps": [{**step, "SqsQueueUrl": "http://127.0.0.1:9/tasters"}]}
    sagemaker.create_pipeline(PipelineName="taste-away", PipelineDefinition=json.dumps(away), RoleArn=ROLE)
    sagemaker.start_pipeline_execution(PipelineName="taste-away")
    for end in ("answer", "refuse", "stop"):
        arn = sagemaker.start_pipeline_execution(PipelineName="taste")["PipelineExecutionArn"]
        (message,) = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=20)["Messages"]
        token = json.loads(message["Body"])["token"]
        if end == "answer":
            given = [{"Name": "word", "Value": "round"}, {"Name": "points", "Value": "92.5"}]
            sagemaker.send_pipeline_execution_step_success(CallbackToken=token, OutputParameters=given)
        elif end == "refuse":
            sagemaker.send_pipeline_execution_step_failure(CallbackToken=token, FailureReason="corked")
        else:
            sagemaker.stop_pipeline_execution(PipelineExecutionArn=arn)
        wait_for_execution(sagemaker, arn)


def wait_for(aws: Mapping[str, Any]) -> None:
    """Make what waits for events and times. The pipeline that is started for the first of them is not there."""
    nowhere = "arn:aws:sagemaker:us-east-1:000000000000:pipeline/nowhere"
    given = {"PipelineParameterList": [{"Name": "Year", "Value": "$.detail.year"}]}
    aws["events"].put_rule(Name="harvest", EventPattern=json.dumps({"source": ["cellar"]}), Description="new wine")
    target = {"Id": "press", "Arn": nowhere, "SageMakerPipelineParameters": given}
    aws["events"].put_targets(Rule="harvest", Targets=[target])
    aws["events"].put_events(
        Entries=[{"Source": "cellar", "DetailType": "Harvest", "Detail": json.dumps({"year": 2027})}]
    )
    # Nobody listens at that port: this delivery waits for another try.
    aws["cloudwatch"].put_metric_alarm(
        AlarmName="frost",
        Namespace="Vineyard",
        MetricName="Temperature",
        Dimensions=[{"Name": "Slope", "Value": "south"}],
        Statistic="Minimum",
        Period=300,
        EvaluationPeriods=3,
        DatapointsToAlarm=2,
        Threshold=0.5,
        ComparisonOperator="LessThanThreshold",
        TreatMissingData="ignore",
        AlarmDescription="light the fires",
    )
    aws["cloudwatch"].set_alarm_state(
        AlarmName="frost", StateValue="ALARM", StateReason="a try", StateReasonData=json.dumps({"by": "hand"})
    )
    aws["events"].put_rule(Name="bottling", EventPattern=json.dumps({"source": ["press"]}))
    aws["events"].put_targets(Rule="bottling", Targets=[{"Id": "hook", "Arn": "http://127.0.0.1:9/hook"}])
    aws["events"].put_events(Entries=[{"Source": "press", "DetailType": "Pressed", "Detail": "{}"}])
    aws["scheduler"].create_schedule(
        Name="yearly",
        ScheduleExpression="cron(0 8 1 10 ? *)",
        ScheduleExpressionTimezone="Europe/Rome",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": nowhere, "RoleArn": ROLE},
    )


def tune(sagemaker: Any, rows: str) -> None:
    """Let a tuning job try two numbers of trees."""
    algorithm = training("train", rows)
    static = algorithm.pop("HyperParameters")
    del static["trees"]
    sagemaker.create_hyper_parameter_tuning_job(
        HyperParameterTuningJobName="trees",
        HyperParameterTuningJobConfig={
            "Strategy": "Random",
            "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "accuracy"},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 2, "MaxParallelTrainingJobs": 1},
            "ParameterRanges": {"IntegerParameterRanges": [{"Name": "trees", "MinValue": "10", "MaxValue": "90"}]},
            "RandomSeed": 7,
        },
        TrainingJobDefinition={"StaticHyperParameters": static, **algorithm},
    )
    ended = wait_for_tuning(sagemaker, "trees")
    assert ended["HyperParameterTuningJobStatus"] == "Completed", ended


def write_down(sagemaker: Any) -> None:
    """Make the records that people make by hand."""
    sagemaker.create_experiment(ExperimentName="tasting", Description="by mouth")
    sagemaker.create_trial(TrialName="evening", ExperimentName="tasting", DisplayName="Evening")
    sagemaker.create_trial_component(
        TrialComponentName="glass", Parameters={"ml": {"NumberValue": 100}}, Status={"PrimaryStatus": "InProgress"}
    )
    sagemaker.update_trial_component(
        TrialComponentName="glass",
        Status={"PrimaryStatus": "Completed"},
        OutputArtifacts={"notes": {"Value": f"s3://{BUCKET}/notes.txt", "MediaType": "text/plain"}},
    )
    sagemaker.associate_trial_component(TrialComponentName="glass", TrialName="evening")
    sagemaker.create_artifact(
        ArtifactName="notes",
        Source={"SourceUri": f"s3://{BUCKET}/notes.txt", "SourceTypes": [{"SourceIdType": "Custom", "Value": "1"}]},
        ArtifactType="Notes",
        Properties={"pages": "2"},
    )
    sagemaker.create_action(
        ActionName="tasting", Source={"SourceUri": "cellar/7"}, ActionType="Tasting", Status="Completed"
    )
    sagemaker.create_context(
        ContextName="cellar", Source={"SourceUri": "cellar"}, ContextType="Place", Description="below the house"
    )

    sagemaker.create_model_card(
        ModelCardName="wine",
        Content=json.dumps({"model_overview": {"model_id": "wine"}, "intended_uses": {"risk_rating": "Low"}}),
        ModelCardStatus="Draft",
        Tags=[{"Key": "team", "Value": "cellar"}],
    )
    sagemaker.update_model_card(ModelCardName="wine", ModelCardStatus="PendingReview")


def left_by(machine: Machine) -> list[Resource]:
    """Return every resource of a home, in the order in which they were made."""
    store = SqliteStore(machine.home.database)
    try:
        found = [
            resource
            for noun in KINDS
            for resource in store.read(
                lambda transaction, noun=noun: transaction.resources.query(Query(kind=noun)).items  # type: ignore[misc]
            )
        ]
    finally:
        store.close()
    return sorted(found, key=lambda resource: resource.created_at)


def shape_of(kind: Kind, operation: str) -> Any:
    """Return the shape of what an operation answers about one resource of a kind."""
    model = MODELS.operation("towpath" if kind.noun.startswith("Dataset") else "sagemaker", operation)
    assert model is not None, f"{kind.noun} declares {operation}, which its service does not have"
    shape: Any = model.output_shape
    if operation != kind.listing:
        return shape
    assert kind.list_member in shape.members, f"{operation} answers no {kind.list_member}"
    return shape.members[kind.list_member].member


def answers(resource: Resource) -> Iterator[tuple[str, Any]]:
    """Yield each operation of a resource's kind with what it answers about it."""
    kind = KINDS[resource.kind]
    for operation in filter(None, (kind.describe, kind.listing)):
        yield operation, project(document(kind, resource), shape_of(kind, operation))


def faults(resources: Iterable[Resource]) -> Iterator[str]:
    """Yield what is wrong with what Describe and List answer about resources: a required member empty, say."""
    for resource in resources:
        kind = KINDS[resource.kind]
        for operation, answer in answers(resource):
            for fault in check(answer, shape_of(kind, operation)):
                # The name of a version is GROUP/VERSION, which the pattern of names does not have.
                if "regular expression" not in fault.constraint:
                    yield f"{operation} of {resource.name}: {fault}"


def views(resource: Resource) -> dict[str, Any]:
    """Return what decisions read of a resource: its typed views, and what it is found by."""
    kind, spec, state = KINDS[resource.kind], resource.spec, resource.state
    found: dict[str, Any] = {}
    match kind.noun:
        case "TrainingJob":
            found = {"request": view(TrainingJobRequest, spec), "run": run_of(resource)}
        case "HyperParameterTuningJob":
            found = {"plan": plan_of_tuning(spec)}
        case "ProcessingJob":
            found = {"request": view(ProcessingJobRequest, spec), "run": run_of(resource)}
        case "TransformJob":
            found = {
                "request": view(TransformJobRequest, spec),
                "model": model_of(resource),
                "run": run_of(resource),
            }
        case "Model":
            found = {"spec": view(ModelSpec, spec), "state": view(ModelState, state)}
        case "EndpointConfig":
            found = {"spec": view(EndpointConfigSpec, spec)}
        case "Endpoint":
            found = {"spec": view(EndpointSpec, spec), "state": view(EndpointState, state)}
        case "ModelPackage":
            found = {"spec": view(PackageSpec, spec), "state": view(PackageState, state)}
        case "Trial":
            found = {"state": trial_state(resource)}
        case "TrialComponent":
            found = {"state": component_state(resource)}
        case "DatasetVersion":
            found = {"files": files_of(state)}
        case "Rule":
            found = {"spec": view(RuleSpec, spec)}
        case "Schedule":
            found = {"spec": view(ScheduleSpec, spec)}
        case "Delivery":
            found = {"spec": view(DeliverySpec, spec), "state": view(DeliveryState, state)}
        case "Alarm":
            found = {"spec": view(AlarmSpec, spec), "state": view(AlarmState, state)}
        case "Queue":
            found = {"spec": view(QueueSpec, spec)}
        case "QueueMessage":
            found = {"spec": view(MessageSpec, spec), "state": view(MessageState, state)}
        case "Callback":
            found = {
                "spec": view(CallbackSpec, spec),
                "state": view(CallbackState, state),
                "told": told_of(resource),
                "yielded": document(kind, resource)["OutputParameters"],
            }
        case "Function":
            found = {"configuration": view(FunctionSpec, spec["Configuration"]), "code": view(Code, state["Code"])}
        case "FunctionInvocation":
            found = {
                "spec": view(InvocationSpec, spec),
                "state": view(InvocationState, state),
                "told": told_of_call(resource),
                "yielded": document(kind, resource)["OutputParameters"],
            }
        case "Pipeline" | "PipelineExecution":
            found = {"steps": plan_of(spec["PipelineDefinition"]).followers}
    if kind.indexed is not None:
        found["indexed"] = kind.indexed(resource)
    built: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(found))
    return built


def release() -> str:
    """Return the release that this checkout becomes: major and minor number."""
    return ".".join(towpath.__version__.split(".")[:2])


def main() -> None:
    """Write a document for each kind, and for each status and set of members that resources of it have."""
    folder = FOLDER / release()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        machine = Machine(HomeFolder(Path(temporary) / "home"))
        machine.up()
        try:
            live(clients(machine))
            resources = left_by(machine)
        finally:
            machine.towpath("down", "--all")
    alike = set()
    for resource in resources:
        members = (resource.kind, resource.status, frozenset(resource.spec), frozenset(resource.state))
        if members in alike:
            continue
        alike.add(members)
        same_status = sum(known[:2] == members[:2] for known in alike)
        written = {
            "stored": msgspec.to_builtins(resource),
            "answers": dict(answers(resource)),
            "views": views(resource),
        }
        text = json.dumps(written, indent=1, ensure_ascii=False, sort_keys=True)
        text = text.replace(sys.executable, "/opt/towpath/bin/python").replace(sys.prefix, "/opt/towpath")
        words = [resource.kind, resource.status or "", str(same_status) if same_status > 1 else ""]
        (folder / f"{'-'.join(filter(None, words))}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
