"""boto3 alone can do all of the demo: data, pipeline, approval, deployment, answers, lineage, next version, logs."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.acceptance.conftest import EXAMPLE, Machine, clients, wait_for_execution
from tests.golden.story import faults, left_by

pytestmark = pytest.mark.acceptance

BUCKET = "boto3-demo"
ECR = "763104351884.dkr.ecr.us-east-1.amazonaws.com"
ROLE = "arn:aws:iam::000000000000:role/anything"
RESOURCES = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10}


def archive(*files: Path) -> bytes:
    """Return a .tar.gz of files, as `sagemaker_submit_directory` wants it."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        for file in files:
            tar.add(file, arcname=file.name)
    return data.getvalue()


def processing(
    name: str, script: str, inputs: dict[str, Any], outputs: list[str], arguments: list[str]
) -> dict[str, Any]:
    """Return a Processing step."""
    base = "/opt/ml/processing"
    sources = {**inputs, "code": f"s3://{BUCKET}/code/{script}/"}
    return {
        "Name": name,
        "Type": "Processing",
        "Arguments": {
            "RoleArn": ROLE,
            "ProcessingResources": {"ClusterConfig": RESOURCES},
            "AppSpecification": {
                "ImageUri": "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3",
                "ContainerEntrypoint": ["python3", f"{base}/input/code/{script}"],
                **({"ContainerArguments": arguments} if arguments else {}),
            },
            "ProcessingInputs": [
                {
                    "InputName": key,
                    "S3Input": {
                        "S3Uri": uri,
                        "LocalPath": f"{base}/input/{key}",
                        "S3DataType": "S3Prefix",
                        "S3InputMode": "File",
                    },
                }
                for key, uri in sources.items()
            ],
            "ProcessingOutputConfig": {
                "Outputs": [
                    {
                        "OutputName": key,
                        "S3Output": {
                            "S3Uri": {
                                "Std:Join": {
                                    "On": "/",
                                    "Values": [f"s3://{BUCKET}", {"Get": "Execution.PipelineExecutionId"}, name, key],
                                }
                            },
                            "LocalPath": f"{base}/output/{key}",
                            "S3UploadMode": "EndOfJob",
                        },
                    }
                    for key in outputs
                ]
            },
        },
    }


def output_of(step: str, name: str) -> dict[str, str]:
    """Return the reference to an output's URI."""
    return {"Get": f"Steps.{step}.ProcessingOutputConfig.Outputs['{name}'].S3Output.S3Uri"}


def channel(name: str, uri: object) -> dict[str, Any]:
    """Return a channel of a training job."""
    return {"ChannelName": name, "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}}}


def definition() -> str:
    """Return the demo's pipeline, written by hand as a user of boto3 would."""
    evaluated = processing(
        "Evaluate",
        "evaluate.py",
        {"model": {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}, "test": output_of("Prepare", "test")},
        ["evaluation"],
        [],
    )
    evaluated["PropertyFiles"] = [
        {"PropertyFileName": "report", "OutputName": "evaluation", "FilePath": "evaluation.json"}
    ]
    accuracy = {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.Evaluate.PropertyFiles.report"}, "Path": "accuracy"}}
    container = {
        "Image": f"{ECR}/pytorch-inference:2.3-cpu-py311",
        "ModelDataUrl": {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"},
    }
    return json.dumps(
        {
            "Version": "2020-12-01",
            "Parameters": [{"Name": "MinAccuracy", "Type": "Float", "DefaultValue": 0.45}],
            "Steps": [
                processing(
                    "Prepare",
                    "prepare.py",
                    {"raw": f"s3://{BUCKET}/raw/"},
                    ["train", "validation", "test", "summary"],
                    ["--rows", "900", "--seed", "7"],
                ),
                {
                    "Name": "Train",
                    "Type": "Training",
                    "Arguments": {
                        "RoleArn": ROLE,
                        "AlgorithmSpecification": {
                            "TrainingImage": f"{ECR}/pytorch-training:2.3-cpu-py311",
                            "TrainingInputMode": "File",
                            "MetricDefinitions": [
                                {"Name": "validation:accuracy", "Regex": "validation:accuracy=([0-9.]+)"}
                            ],
                        },
                        "HyperParameters": {
                            "sagemaker_program": "train.py",
                            "sagemaker_submit_directory": f"s3://{BUCKET}/code/train/sourcedir.tar.gz",
                            "model": "baseline",
                            "seed": "7",
                        },
                        "InputDataConfig": [
                            channel("train", output_of("Prepare", "train")),
                            channel("validation", output_of("Prepare", "validation")),
                            channel("start", f"s3://{BUCKET}/start/"),
                        ],
                        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/models"},
                        "ResourceConfig": RESOURCES,
                        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
                    },
                },
                evaluated,
                {
                    "Name": "Gate",
                    "Type": "Condition",
                    "Arguments": {
                        "Conditions": [
                            {
                                "Type": "GreaterThanOrEqualTo",
                                "LeftValue": accuracy,
                                "RightValue": {"Get": "Parameters.MinAccuracy"},
                            }
                        ],
                        "IfSteps": [
                            {
                                "Name": "Register",
                                "Type": "RegisterModel",
                                "Arguments": {
                                    "ModelPackageGroupName": "boto3-reviews",
                                    "ModelApprovalStatus": "PendingManualApproval",
                                    "InferenceSpecification": {
                                        "Containers": [container],
                                        "SupportedContentTypes": ["application/json"],
                                        "SupportedResponseMIMETypes": ["application/json"],
                                    },
                                },
                            },
                            {
                                "Name": "CreateModel",
                                "Type": "Model",
                                "Arguments": {"PrimaryContainer": container, "ExecutionRoleArn": ROLE},
                            },
                        ],
                        "ElseSteps": [
                            {
                                "Name": "Refuse",
                                "Type": "Fail",
                                "Arguments": {
                                    "ErrorMessage": {"Std:Join": {"On": " ", "Values": ["measured", accuracy]}}
                                },
                            }
                        ],
                    },
                },
            ],
        }
    )


def upload(s3: Any, reviews: Path) -> None:
    """Put raw data, code and the start of training where the definition reads them."""
    s3.create_bucket(Bucket=BUCKET)
    s3.upload_file(str(reviews), BUCKET, "raw/reviews.parquet")
    s3.upload_file(str(EXAMPLE / "baseline.json"), BUCKET, "start/baseline.json")
    for script in ("prepare.py", "evaluate.py"):
        for file in (script, "inference.py"):
            s3.upload_file(str(EXAMPLE / file), BUCKET, f"code/{script}/{file}")
    code = archive(EXAMPLE / "train.py", EXAMPLE / "inference.py")
    s3.put_object(Bucket=BUCKET, Key="code/train/sourcedir.tar.gz", Body=code)


@pytest.mark.shows("sagemaker", "StartPipelineExecution", "CreateEndpoint", "UpdateEndpoint", how="executes")
@pytest.mark.shows("towpath", "CreateDatasetVersion", "ListDatasetCheckOuts", "DescribeModelPackageLineage")
def test_boto3_takes_raw_reviews_to_an_answering_endpoint(machine: Machine, reviews: Path) -> None:
    machine.up()
    aws = clients(machine)
    sagemaker = aws["sagemaker"]
    assert aws["sts"].get_caller_identity()["Account"] == "000000000000"
    upload(aws["s3"], reviews)

    sagemaker.create_pipeline(
        PipelineName="boto3", PipelineDefinition=definition(), RoleArn=ROLE, ClientRequestToken="x" * 32
    )
    with pytest.raises(ClientError, match="already exists"):
        sagemaker.create_pipeline(
            PipelineName="boto3", PipelineDefinition=definition(), RoleArn=ROLE, ClientRequestToken="y" * 32
        )
    data = aws["towpath"].create_dataset_version(DatasetName="reviews", S3Uri=f"s3://{BUCKET}/raw/")
    assert (data["Version"], data["FileCount"]) == (1, 1)

    execution = sagemaker.start_pipeline_execution(PipelineName="boto3")["PipelineExecutionArn"]
    ended = wait_for_execution(sagemaker, execution)
    steps = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=execution, SortOrder="Ascending")
    assert ended["PipelineExecutionStatus"] == "Succeeded", steps
    told = {step["StepName"]: step for step in steps["PipelineExecutionSteps"]}
    assert {name: step["StepStatus"] for name, step in told.items()} == dict.fromkeys(
        ("Prepare", "Train", "Evaluate", "Gate", "Register", "CreateModel"), "Succeeded"
    )
    of_step = told["CreateModel"]["Metadata"]["Model"]["Arn"].rpartition("/")[2]
    container = sagemaker.describe_model(ModelName=of_step)["PrimaryContainer"]
    assert container["ModelDataUrl"].startswith(f"s3://{BUCKET}/models/")
    check_outs = aws["towpath"].list_dataset_check_outs(DatasetName="reviews")["CheckOuts"]
    assert [check_out["Version"] for check_out in check_outs] == [1], "the job that read it is told of"
    assert told["Gate"]["Metadata"]["Condition"]["Outcome"] == "True"

    job_name = told["Train"]["Metadata"]["TrainingJob"]["Arn"].rpartition("/")[2]
    job = sagemaker.describe_training_job(TrainingJobName=job_name)
    assert job["TrainingJobStatus"] == "Completed"
    (metric,) = job["FinalMetricDataList"]
    assert metric["MetricName"] == "validation:accuracy"
    assert 0.4 < metric["Value"] < 1
    (stream,) = aws["logs"].describe_log_streams(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix=f"{job_name}/"
    )["logStreams"]
    lines = aws["logs"].get_log_events(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamName=stream["logStreamName"], startFromHead=True
    )
    assert any("validation:accuracy=" in event["message"] for event in lines["events"])

    (package,) = sagemaker.list_model_packages(ModelPackageGroupName="boto3-reviews")["ModelPackageSummaryList"]
    arn = package["ModelPackageArn"]
    model = {"ModelName": "boto3-reviews", "PrimaryContainer": {"ModelPackageName": arn}, "ExecutionRoleArn": ROLE}
    with pytest.raises(ClientError, match=r"(?i)approve"):
        sagemaker.create_model(**model)
    sagemaker.update_model_package(
        ModelPackageArn=arn, ModelApprovalStatus="Approved", ApprovalDescription="tried with boto3"
    )
    described = sagemaker.describe_model_package(ModelPackageName=arn)
    assert described["ModelApprovalStatus"] == "Approved"
    assert described["ApprovalDescription"] == "tried with boto3"

    sagemaker.create_model(**model)
    variant = {
        "VariantName": "only",
        "ModelName": "boto3-reviews",
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
        "InitialVariantWeight": 1.0,
    }
    sagemaker.create_endpoint_config(EndpointConfigName="boto3-reviews", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="boto3-reviews", EndpointConfigName="boto3-reviews")
    soon = {"Delay": 1, "MaxAttempts": 120}
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="boto3-reviews", WaiterConfig=soon)
    answer = aws["sagemaker-runtime"].invoke_endpoint(
        EndpointName="boto3-reviews",
        ContentType="application/json",
        Body=json.dumps({"text": "Love this dress! Perfect fit, so comfortable."}),
    )
    assert json.loads(answer["Body"].read())["label"] == "positive"

    story = aws["towpath"].describe_model_package_lineage(ModelPackageName=arn)
    assert [source["Dataset"] for source in story["SourceData"]] == ["reviews/1"]
    assert story["TrainingJob"]["Name"] == job_name
    assert story["PipelineExecution"] == {"PipelineExecutionArn": execution}

    execution = sagemaker.start_pipeline_execution(PipelineName="boto3")["PipelineExecutionArn"]
    assert wait_for_execution(sagemaker, execution)["PipelineExecutionStatus"] == "Succeeded"
    packages = sagemaker.list_model_packages(
        ModelPackageGroupName="boto3-reviews", SortBy="CreationTime", SortOrder="Descending"
    )["ModelPackageSummaryList"]
    assert [package["ModelPackageVersion"] for package in packages] == [2, 1]
    second = packages[0]["ModelPackageArn"]
    sagemaker.update_model_package(ModelPackageArn=second, ModelApprovalStatus="Approved")
    sagemaker.create_model(
        ModelName="boto3-reviews-2", PrimaryContainer={"ModelPackageName": second}, ExecutionRoleArn=ROLE
    )
    sagemaker.create_endpoint_config(
        EndpointConfigName="boto3-reviews-2", ProductionVariants=[{**variant, "ModelName": "boto3-reviews-2"}]
    )
    sagemaker.update_endpoint(EndpointName="boto3-reviews", EndpointConfigName="boto3-reviews-2")
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="boto3-reviews", WaiterConfig=soon)
    updated = sagemaker.describe_endpoint(EndpointName="boto3-reviews")
    assert updated["EndpointConfigName"] == "boto3-reviews-2"
    answer = aws["sagemaker-runtime"].invoke_endpoint(
        EndpointName="boto3-reviews",
        ContentType="application/json",
        Body=json.dumps({"text": "Very disappointed. It fell apart after one wash and looked awful. Returning it."}),
    )
    assert json.loads(answer["Body"].read())["label"] == "negative"
    story = aws["towpath"].describe_model_package_lineage(ModelPackageName=second)
    assert [endpoint["EndpointName"] for endpoint in story["Endpoints"]] == ["boto3-reviews"]

    assert list(faults(left_by(machine))) == []
    sagemaker.delete_endpoint(EndpointName="boto3-reviews")
    sagemaker.get_waiter("endpoint_deleted").wait(EndpointName="boto3-reviews", WaiterConfig=soon)
    assert sagemaker.list_endpoints()["Endpoints"] == []
    with pytest.raises(ClientError) as refused:
        sagemaker.describe_endpoint(EndpointName="boto3-reviews")
    assert refused.value.response["Error"]["Code"] == "ValidationException"
    for name in ("boto3-reviews", "boto3-reviews-2"):
        sagemaker.delete_endpoint_config(EndpointConfigName=name)
        sagemaker.delete_model(ModelName=name)
    assert {model["ModelName"] for model in sagemaker.list_models()["Models"]} >= {of_step}


def test_an_accuracy_below_the_threshold_registers_nothing(machine: Machine, reviews: Path) -> None:
    machine.up()
    aws = clients(machine)
    upload(aws["s3"], reviews)
    aws["sagemaker"].create_pipeline(
        PipelineName="strict", PipelineDefinition=definition(), RoleArn=ROLE, ClientRequestToken="x" * 32
    )
    execution = aws["sagemaker"].start_pipeline_execution(
        PipelineName="strict", PipelineParameters=[{"Name": "MinAccuracy", "Value": "0.99"}]
    )["PipelineExecutionArn"]
    ended = wait_for_execution(aws["sagemaker"], execution)
    assert ended["PipelineExecutionStatus"] == "Failed"
    assert "measured 0." in ended["FailureReason"]
    assert aws["sagemaker"].list_model_package_groups()["ModelPackageGroupSummaryList"] == []
