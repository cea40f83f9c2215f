"""How executions go: selected steps, steps that follow on failures, rounds; through boto3, with real jobs."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.conftest import wait_for_execution
from tests.clients.records.conftest import IMAGE, ROLE, Aws, archive

pytestmark = pytest.mark.slow

DEFINITIONS = Path(__file__).parents[2] / "golden" / "definitions"


def job(name: str, script: str, *arguments: Any, outputs: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    """Return a Processing step that runs a script; `outputs` are folders by S3 URI."""
    resources = {"InstanceType": "ml.t3.medium", "InstanceCount": 1, "VolumeSizeInGB": 1}
    asked: dict[str, Any] = {
        "RoleArn": ROLE,
        "ProcessingResources": {"ClusterConfig": resources},
        "AppSpecification": {"ImageUri": IMAGE, "ContainerEntrypoint": ["python3", "-c", script]},
    }
    if arguments:
        asked["AppSpecification"]["ContainerArguments"] = list(arguments)
    if outputs:
        folder = "/opt/ml/processing/output"
        asked["ProcessingOutputConfig"] = {
            "Outputs": [
                {
                    "OutputName": output,
                    "S3Output": {"S3Uri": uri, "LocalPath": f"{folder}/{output}", "S3UploadMode": "EndOfJob"},
                }
                for output, uri in outputs.items()
            ]
        }
    return {"Name": name, "Type": "Processing", "Arguments": asked, **more}


def create(aws: Aws, name: str, *steps: Any, **members: Any) -> None:
    """Create a pipeline."""
    definition = json.dumps({"Version": "2020-12-01", "Steps": list(steps), **members})
    aws.sagemaker.create_pipeline(PipelineName=name, PipelineDefinition=definition, RoleArn=ROLE)


def run(aws: Aws, name: str, **members: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Run a pipeline to its end; return how the execution ended, and its steps in the order in which they began."""
    arn = aws.sagemaker.start_pipeline_execution(PipelineName=name, **members)["PipelineExecutionArn"]
    return wait_for_execution(aws.sagemaker, arn), steps_of(aws, arn)


def steps_of(aws: Aws, arn: str) -> list[dict[str, Any]]:
    """Return all steps of an execution in the order in which they began."""
    pages = aws.sagemaker.get_paginator("list_pipeline_execution_steps")
    listed = pages.paginate(PipelineExecutionArn=arn, SortOrder="Ascending")
    return [step for page in listed for step in page["PipelineExecutionSteps"]]


def statuses(steps: list[dict[str, Any]]) -> dict[str, str]:
    return {step["StepName"]: step["StepStatus"] for step in steps}


OUT = "/opt/ml/processing/output/out"
WRITE = f"import pathlib, sys; pathlib.Path('{OUT}/n').write_text(sys.argv[1])"


@pytest.mark.shows("sagemaker", "StartPipelineExecution", how="executes")
def test_selected_steps_use_what_an_earlier_execution_made(aws: Aws) -> None:
    made = {"Get": "Steps.Make.ProcessingOutputConfig.Outputs['out'].S3Output.S3Uri"}
    use = job("Use", "import sys; assert sys.argv[1:] == ['s3://flow-selected/out', '7'], sys.argv", made, number())
    create(
        aws,
        "selected",
        job("Make", WRITE, number(), outputs={"out": "s3://flow-selected/out"}),
        use,
        job("After", "", DependsOn=["Use"]),
        Parameters=[{"Name": "Number", "Type": "Integer", "DefaultValue": 3}],
    )
    aws.s3.create_bucket(Bucket="flow-selected")
    given = [{"Name": "Number", "Value": "7"}]
    first, steps = run(aws, "selected", PipelineParameters=given)
    assert statuses(steps) == {"Make": "Succeeded", "Use": "Succeeded", "After": "Succeeded"}
    config = {"SourcePipelineExecutionArn": first["PipelineExecutionArn"], "SelectedSteps": [{"StepName": "Use"}]}
    second, again = run(aws, "selected", SelectiveExecutionConfig=config)
    assert second["PipelineExecutionStatus"] == "Succeeded"
    assert statuses(again) == {"Make": "Succeeded", "Use": "Succeeded"}
    assert again[0]["SelectiveExecutionResult"] == {"SourcePipelineExecutionArn": first["PipelineExecutionArn"]}
    assert again[0]["Metadata"] == steps[0]["Metadata"], "its job is the one of the source"
    assert again[1]["Metadata"] != steps[1]["Metadata"]


def number() -> Any:
    return {"Std:Join": {"On": "", "Values": [{"Get": "Parameters.Number"}]}}


def test_a_failure_that_is_followed_up_completes_with_failures(aws: Aws) -> None:
    create(
        aws,
        "followed",
        job("Breaks", "raise SystemExit(3)"),
        job("Never", "", DependsOn=["Breaks"]),
        job("Report", "", DependsOn=[{"Step": "Breaks", "Trigger": "Failed"}]),
        job("Tidy", "", DependsOn=[{"Step": "Breaks", "Trigger": "Any"}]),
        job("IfStopped", "", DependsOn=[{"Step": "Breaks", "Trigger": "Stopped"}]),
    )
    ended, steps = run(aws, "followed")
    assert ended["PipelineExecutionStatus"] == "CompletedWithFailures"
    assert statuses(steps) == {"Breaks": "Failed", "Report": "Succeeded", "Tidy": "Succeeded"}


HANDLER = "def model_fn(model_dir): return {factor}\ndef predict_fn(data, model): return [model * x for x in data]\n"


@pytest.mark.shows("sagemaker", "UpdateEndpoint", how="executes")
def test_a_pipeline_deploys_a_model_and_its_next_run_updates_the_endpoint(aws: Aws) -> None:
    aws.s3.create_bucket(Bucket="flow-models")
    for factor in (3, 5):
        handler = archive("code/inference.py", HANDLER.format(factor=factor))
        aws.s3.put_object(Bucket="flow-models", Key=f"{factor}/model.tar.gz", Body=handler)
    data = {"Std:Join": {"On": "/", "Values": ["s3://flow-models", {"Get": "Parameters.Factor"}, "model.tar.gz"]}}
    container = {"Image": IMAGE, "ModelDataUrl": data}
    variant = {
        "VariantName": "v",
        "ModelName": {"Get": "Steps.Model.ModelName"},
        "InitialInstanceCount": 1,
        "InstanceType": "ml.m5.large",
    }
    config = {"Get": "Steps.Config.EndpointConfigName"}
    create(
        aws,
        "deploys",
        {"Name": "Model", "Type": "Model", "Arguments": {"PrimaryContainer": container, "ExecutionRoleArn": ROLE}},
        {"Name": "Config", "Type": "EndpointConfig", "Arguments": {"ProductionVariants": [variant]}},
        {"Name": "Serve", "Type": "Endpoint", "Arguments": {"EndpointName": "factors", "EndpointConfigName": config}},
        Parameters=[{"Name": "Factor", "Type": "String"}],
    )
    runtime = aws.client("sagemaker-runtime")

    def answers(factor: int) -> Any:
        ended, steps = run(aws, "deploys", PipelineParameters=[{"Name": "Factor", "Value": str(factor)}])
        assert ended["PipelineExecutionStatus"] == "Succeeded", steps
        answer = runtime.invoke_endpoint(EndpointName="factors", Body=b"[2]", ContentType="application/json")
        shown = aws.sagemaker.describe_endpoint(EndpointName="factors")
        assert shown["EndpointStatus"] == "InService"
        made = {step["StepName"]: step["Metadata"] for step in steps}
        assert made["Serve"] == {"Endpoint": {"Arn": shown["EndpointArn"]}}
        assert made["Config"]["EndpointConfig"]["Arn"].endswith(f"/{shown['EndpointConfigName']}")
        return json.loads(answer["Body"].read())

    assert answers(3) == [6]
    assert answers(5) == [10], "the endpoint was there and is updated"
    aws.sagemaker.delete_endpoint(EndpointName="factors")
    aws.sagemaker.get_waiter("endpoint_deleted").wait(EndpointName="factors", WaiterConfig={"Delay": 1})


def test_a_pipeline_keeps_records_and_tidies_up(aws: Aws) -> None:
    aws.s3.create_bucket(Bucket="flow-tidy")
    aws.s3.put_object(Bucket="flow-tidy", Key="out/mine", Body=b"not of the pipeline")
    aws.s3.put_object(Bucket="flow-tidy", Key="scratch/a", Body=b"x")
    aws.s3.put_object(Bucket="flow-tidy", Key="scratchpad", Body=b"x")
    aws.s3.put_object(Bucket="flow-tidy", Key="kept", Body=b"x")
    entities = {
        "Artifacts": [
            {"ArtifactName": "data", "ArtifactType": "DataSet", "Source": {"SourceUri": "s3://flow-tidy/kept"}}
        ],
        "Contexts": [{"ContextName": "review", "ContextType": "Project", "Source": {"SourceUri": "case-7"}}],
        "Actions": [
            {
                "ActionName": "labelling",
                "ActionType": "Manual",
                "Source": {"SourceUri": {"Std:Join": {"On": "", "Values": ["by ", {"Get": "Execution.PipelineName"}]}}},
            }
        ],
        "Associations": [
            {
                "Source": {"Name": "data", "Type": "Artifact"},
                "Destination": {"Name": "labelling", "Type": "Action"},
                "AssociationType": "ContributedTo",
            },
            {"Source": {"Name": "labelling", "Type": "Action"}, "Destination": {"Name": "review", "Type": "Context"}},
        ],
    }
    arn = {"Get": "Steps.Record.ActionArns['labelling']"}
    create(
        aws,
        "records",
        job("Make", WRITE, "1", outputs={"out": "s3://flow-tidy/out"}),
        {"Name": "Record", "Type": "Lineage", "Arguments": entities},
        job("Reads", "import sys; assert ':action/labelling' in sys.argv[1]", arn),
        {
            "Name": "Clean",
            "Type": "Cleanup",
            "DependsOn": ["Reads"],
            "Arguments": {
                "Resources": {"S3": [{"StepName": "Make"}, {"StepName": "Reads", "S3Uris": ["s3://flow-tidy/scratch"]}]}
            },
        },
    )
    for _ in range(2):
        ended, steps = run(aws, "records")
        assert ended["PipelineExecutionStatus"] == "Succeeded", steps
        shown = {step["StepName"]: step["Metadata"] for step in steps}
        assert shown["Clean"]["Cleanup"] == {"CleanedSteps": ["Make", "Reads"], "FailedSteps": [], "SkippedSteps": []}
        left = [item["Key"] for item in aws.s3.list_objects_v2(Bucket="flow-tidy")["Contents"]]
        assert left == ["kept", "out/mine", "scratchpad"]
    told = shown["Record"]["Lineage"]
    found = aws.sagemaker.list_associations(DestinationArn=told["ContextArns"]["review"])["AssociationSummaries"]
    assert [edge["SourceArn"] for edge in found] == [told["ActionArns"]["labelling"]]
    assert aws.sagemaker.describe_action(ActionName="labelling")["Source"]["SourceUri"] == "by records"


CHECK = f"""
import json, os, pathlib
folder = pathlib.Path('{OUT}')
baseline = os.environ.get('baseline_constraints')
(folder / 'constraints.json').write_text(json.dumps({{'seen': baseline and json.loads(open(baseline).read())}}))
(folder / 'statistics.json').write_text('{{}}')
if baseline:
    found = [{{'feature_name': 'age', 'constraint_check_type': 'data_type_check'}}]
    (folder / 'constraint_violations.json').write_text(json.dumps({{'violations': found}}))
"""


def check(name: str, bucket: str = "flow-checks", **members: Any) -> dict[str, Any]:
    """Return a step that checks by the script `check.py` of a bucket, and writes there."""
    step = job(name, "", outputs={"out": f"s3://{bucket}/{name}"})
    folder = "/opt/ml/processing/input/code"
    source = {
        "S3Uri": f"s3://{bucket}/check.py",
        "LocalPath": folder,
        "S3DataType": "S3Prefix",
        "S3InputMode": "File",
    }
    step["Arguments"]["AppSpecification"]["ContainerEntrypoint"] = ["python3", f"{folder}/check.py"]
    step["Arguments"]["ProcessingInputs"] = [{"InputName": "code", "S3Input": source}]
    return {**step, "Type": "QualityCheck", "CheckType": "DATA_QUALITY", **members}


def test_a_check_makes_a_baseline_or_is_violated(aws: Aws) -> None:
    aws.s3.create_bucket(Bucket="flow-checks")
    aws.s3.put_object(Bucket="flow-checks", Key="check.py", Body=CHECK.encode())
    aws.s3.put_object(Bucket="flow-checks", Key="old/constraints.json", Body=b'{"version": 1}')
    supplied = {"SuppliedBaselineConstraints": "s3://flow-checks/old/constraints.json"}
    used = {"Get": "Steps.First.BaselineUsedForDriftCheckConstraints"}
    create(
        aws,
        "checks",
        check("First", SkipCheck=True, RegisterNewBaseline=True, ModelPackageGroupName=None),
        job("Uses", "import sys; assert sys.argv[1] == 's3://flow-checks/First/constraints.json'", used),
        check("Looks", SkipCheck=False, RegisterNewBaseline=False, FailOnViolation=False, **supplied),
        check("Judges", SkipCheck=False, RegisterNewBaseline=False, FailOnViolation=True, **supplied),
        check("NoBaseline", SkipCheck=False, RegisterNewBaseline=True, DependsOn=["Uses", "Looks"]),
    )
    ended, steps = run(aws, "checks")
    assert ended["PipelineExecutionStatus"] == "Failed"
    shown = {step["StepName"]: step for step in steps}
    told = shown["First"]["Metadata"]["QualityCheck"]
    assert told["CalculatedBaselineStatistics"] == "s3://flow-checks/First/statistics.json"
    assert told["BaselineUsedForDriftCheckConstraints"] == told["CalculatedBaselineConstraints"]
    assert aws.sagemaker.describe_processing_job(ProcessingJobName=told["CheckJobArn"].rpartition("/")[2])
    assert shown["Judges"]["FailureReason"] == (
        "CheckFailed: 1 violations of the baseline (age); see s3://flow-checks/Judges/constraint_violations.json"
    )
    looked = shown["Looks"]
    assert looked["StepStatus"] == "Succeeded"
    assert looked["Metadata"]["QualityCheck"]["BaselineUsedForDriftCheckConstraints"] == (
        "s3://flow-checks/old/constraints.json"
    )
    seen = aws.s3.get_object(Bucket="flow-checks", Key="Looks/constraints.json")["Body"].read()
    assert json.loads(seen) == {"seen": {"version": 1}}
    reports = {name: step["Metadata"].get("QualityCheck", {}).get("ViolationReport") for name, step in shown.items()}
    assert {name: uri for name, uri in reports.items() if uri is not None} == {
        name: f"s3://flow-checks/{name}/constraint_violations.json" for name in ("Looks", "Judges")
    }, "whether it fails the step or not"


BIAS = f"""
import json, pathlib
folder, earlier = pathlib.Path('{OUT}'), pathlib.Path('/opt/ml/processing/baseline/constraints')
found = [json.loads(file.read_text())['share'] for file in earlier.glob('*')]
(folder / 'analysis.json').write_text(json.dumps({{'share': 0.5, 'earlier': found}}))
if found and found[0] != 0.5:
    violations = [{{'facet': 'age', 'metric_name': 'CI'}}]
    (folder / 'constraint_violations.json').write_text(json.dumps({{'violations': violations}}))
"""


def test_a_check_of_bias_has_the_files_and_members_of_clarify(aws: Aws) -> None:
    aws.s3.create_bucket(Bucket="flow-bias")
    aws.s3.put_object(Bucket="flow-bias", Key="check.py", Body=BIAS.encode())
    aws.s3.put_object(Bucket="flow-bias", Key="old/analysis.json", Body=b'{"share": 0.25}')
    supplied = {"SuppliedBaselineConstraints": "s3://flow-bias/old/analysis.json"}

    def bias(name: str, kind: str, **members: Any) -> dict[str, Any]:
        return check(name, "flow-bias", **{**members, "Type": "ClarifyCheck", "CheckType": kind})

    used = {"Get": "Steps.First.BaselineUsedForDriftCheckConstraints"}
    kept = {"Get": "Steps.Looks.BaselineUsedForDriftCheckConstraints"}
    places = "['s3://flow-bias/First/analysis.json', 's3://flow-bias/old/analysis.json']"
    create(
        aws,
        "bias",
        bias("First", "DATA_BIAS", SkipCheck=True, RegisterNewBaseline=True),
        bias("Same", "MODEL_EXPLAINABILITY", FailOnViolation=True, SuppliedBaselineConstraints=used),
        bias("Looks", "MODEL_BIAS", FailOnViolation=False, RegisterNewBaseline=False, **supplied),
        job("Uses", f"import sys; assert sys.argv[1:] == {places}, sys.argv", used, kept),
        bias("Judges", "MODEL_BIAS", FailOnViolation=True, DependsOn=["Uses", "Same"], **supplied),
    )
    ended, steps = run(aws, "bias")
    assert ended["PipelineExecutionStatus"] == "Failed"
    assert statuses(steps) == {
        **dict.fromkeys(("First", "Same", "Looks", "Uses"), "Succeeded"),
        "Judges": "Failed",
    }
    told = {step["StepName"]: step["Metadata"].get("ClarifyCheck") for step in steps}
    (failed,) = [step for step in steps if step["StepName"] == "Judges"]
    report = "s3://flow-bias/Judges/constraint_violations.json"
    assert failed["FailureReason"] == f"CheckFailed: 1 violations of the baseline; see {report}"
    assert [told[name].get("ViolationReport") for name in ("Same", "Looks", "Judges")] == [
        None,
        "s3://flow-bias/Looks/constraint_violations.json",
        report,
    ]
    assert told["Looks"]["CalculatedBaselineConstraints"] == "s3://flow-bias/Looks/analysis.json"
    assert "CalculatedBaselineStatistics" not in told["Looks"]
    seen = aws.s3.get_object(Bucket="flow-bias", Key="Looks/analysis.json")["Body"].read()
    assert json.loads(seen) == {"share": 0.5, "earlier": [0.25]}


def test_a_check_without_a_baseline_says_what_to_do(aws: Aws) -> None:
    create(aws, "unfounded", check("Judges", SkipCheck=False, RegisterNewBaseline=True, ModelPackageGroupName="nobody"))
    ended, steps = run(aws, "unfounded")
    assert ended["PipelineExecutionStatus"] == "Failed"
    assert "the latest approved version of 'nobody' has none" in steps[0]["FailureReason"]
    assert "set SkipCheck and RegisterNewBaseline to true for the first run" in steps[0]["FailureReason"]


@pytest.mark.skipif(find_spec("papermill") is not None, reason="papermill is there")
def test_a_notebook_without_papermill_fails_with_a_sentence(aws: Aws) -> None:
    """The step as the SageMaker SDK 2 emits it, in an environment that has no papermill."""
    document = json.loads((DEFINITIONS / "v2_notebook.json").read_text())
    arguments = document["Steps"][0]["Arguments"]
    bucket = "sagemaker-us-east-1-000000000000"
    source = arguments["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"]
    aws.s3.put_object(Bucket=bucket, Key=f"{source.partition(f'{bucket}/')[2]}/nb.ipynb", Body=b"{}")
    arguments["AlgorithmSpecification"]["TrainingImage"] = IMAGE
    create(aws, "notebook", *document["Steps"])
    ended, steps = run(aws, "notebook")
    assert ended["PipelineExecutionStatus"] == "Failed"
    assert "A notebook is run by papermill, and the environment of" in steps[0]["FailureReason"]
    assert "does not hold papermill and ipykernel" in steps[0]["FailureReason"]


REPORT = f"import json, sys; json.dump({{'score': abs(int(sys.argv[1]) - 7)}}, open('{OUT}/r.json', 'w'))"


def test_rounds_are_steps_of_their_own_and_the_best_is_used(aws: Aws) -> None:
    aws.s3.create_bucket(Bucket="flow-rounds")
    item = {"Get": "ForEach.CurrentItem"}
    place = {"Std:Join": {"On": "/", "Values": ["s3://flow-rounds", item]}}
    body = job("Body", REPORT, {"Std:Join": {"On": "", "Values": [item]}})
    output = {"S3Uri": place, "LocalPath": OUT, "S3UploadMode": "EndOfJob"}
    body["Arguments"]["ProcessingOutputConfig"] = {"Outputs": [{"OutputName": "out", "S3Output": output}]}
    body["Arguments"]["Environment"] = {"ITEM": {"Std:Join": {"On": "", "Values": [item]}}}
    body["PropertyFiles"] = [{"PropertyFileName": "R", "OutputName": "out", "FilePath": "r.json"}]
    score = {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.Body.PropertyFiles.R"}, "Path": "score"}}
    good = {"Type": "GreaterThan", "LeftValue": score, "RightValue": 3}
    branches = {"IfSteps": [job("Good", "")], "ElseSteps": []}
    judged = {"Name": "If", "Type": "Condition", "Arguments": {"Conditions": [good], **branches}}
    picked = {"Pick": "MaxBy", "Field": {"Get": "IterationOutput.Body.Environment.ITEM"}}
    best = {"Get": "Steps.Each.Selected.ProcessingOutputConfig.Outputs['out'].S3Output.S3Uri"}
    first = {"Get": "Steps.Each.IterationOutputs[0].Body.Environment.ITEM"}
    loop = {
        "Name": "Each",
        "Type": "ForEach",
        "Arguments": {
            "IterableItems": {"Get": "Parameters.Items"},
            "MaxConcurrency": 2,
            "Selector": picked,
            "ForEachBody": [body, judged],
        },
    }
    create(
        aws,
        "rounds",
        loop,
        job("After", "import sys; assert sys.argv[1:] == ['s3://flow-rounds/12', '9'], sys.argv", best, first),
        Parameters=[{"Name": "Items", "Type": "String", "DefaultValue": "[9, 12, 3]"}],
    )
    ended, steps = run(aws, "rounds")
    assert ended["PipelineExecutionStatus"] == "Succeeded", steps
    seen = {(step["StepName"], step.get("IterationContext", {}).get("Index")) for step in steps}
    rounds = {(name, number) for name in ("Body", "If") for number in range(3)}
    assert seen == {("Each", None), ("After", None), *rounds, ("Good", 1), ("Good", 2)}
    told = {step["StepName"]: step for step in steps}
    assert told["Each"]["Metadata"]["ForEach"]["Selector"] == {"StepName": "Body", "Index": 1}
    assert told["Each"]["Metadata"]["ForEach"]["TotalStepCount"] == 8
    contexts = [step["IterationContext"] for step in steps if step["StepName"] == "Body"]
    assert sorted(context["Item"] for context in contexts) == ["12", "3", "9"]
    assert {context["ParentStepName"] for context in contexts} == {"Each"}

    given = [{"Name": "Items", "Value": '[1, "x", 2]'}]
    failed, steps = run(aws, "rounds", PipelineParameters=given)
    assert failed["PipelineExecutionStatus"] == "Failed"
    assert "Step 'Body' failed in round 1 (item 'x')" in failed["FailureReason"]
    aws.sagemaker.retry_pipeline_execution(PipelineExecutionArn=failed["PipelineExecutionArn"])
    again = wait_for_execution(aws.sagemaker, failed["PipelineExecutionArn"])
    assert again["PipelineExecutionStatus"] == "Failed"
    attempts = {
        (step["StepName"], step.get("IterationContext", {}).get("Index")): step["AttemptCount"]
        for step in steps_of(aws, failed["PipelineExecutionArn"])
    }
    assert (attempts["Each", None], attempts["Body", 1]) == (2, 2)
    assert attempts["Body", 0] == 1, "what has succeeded is kept"
