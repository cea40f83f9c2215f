"""The reviews pipeline with boto3 alone: raw reviews become a registered, approved, deployed model.

    Prepare ─► Train ─► Evaluate ─► GoodEnough ─┬─ yes ─► Register
                                                └─ no ──► TooInaccurate

The definition is written as the API has it. Written for AWS and run here unchanged:
`towpath exec -- python reviews_boto3.py --reviews FOLDER`. The scripts of the steps are those of `examples/reviews`.
"""

import argparse
import io
import json
import tarfile
import time
from pathlib import Path
from typing import Any

import boto3

SCRIPTS = Path(__file__).resolve().parents[1] / "reviews"
NAME = "reviews-boto3"
INSTANCE = "ml.m5.large"
IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
WORK = "/opt/ml/processing"
#: One text a line, as CSV.
TEXTS = '"Love this dress! Perfect fit, so comfortable."\n"Poor quality, it fell apart, I returned it."\n'


def processing(
    name: str, script: str, base: str, inputs: dict[str, Any], outputs: list[str], arguments: list[Any]
) -> dict[str, Any]:
    """Return a Processing step that runs a script."""
    sources = {**inputs, "code": f"{base}/code/{script}"}
    return {
        "Name": name,
        "Type": "Processing",
        "Arguments": {
            "ProcessingResources": {
                "ClusterConfig": {"InstanceType": INSTANCE, "InstanceCount": 1, "VolumeSizeInGB": 30}
            },
            "AppSpecification": {
                "ImageUri": IMAGE,
                "ContainerEntrypoint": ["python3", f"{WORK}/input/code/{script}"],
                **({"ContainerArguments": arguments} if arguments else {}),
            },
            "ProcessingInputs": [
                {
                    "InputName": key,
                    "S3Input": {
                        "S3Uri": uri,
                        "LocalPath": f"{WORK}/input/{key}",
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
                            "S3Uri": joined("/", base, {"Get": "Execution.PipelineExecutionId"}, name, key),
                            "LocalPath": f"{WORK}/output/{key}",
                            "S3UploadMode": "EndOfJob",
                        },
                    }
                    for key in outputs
                ]
            },
            "RoleArn": {"Get": "Parameters.Role"},
        },
    }


def joined(between: str, *values: Any) -> dict[str, Any]:
    """Return the expression that joins values."""
    return {"Std:Join": {"On": between, "Values": list(values)}}


def output_of(step: str, name: str) -> dict[str, str]:
    """Return the reference to where a step writes an output."""
    return {"Get": f"Steps.{step}.ProcessingOutputConfig.Outputs['{name}'].S3Output.S3Uri"}


def definition(base: str) -> dict[str, Any]:
    """Return the pipeline's definition."""
    prepare = processing(
        "Prepare",
        "prepare.py",
        base,
        {"raw": {"Get": "Parameters.RawReviews"}},
        ["train", "validation", "test", "summary"],
        ["--rows", joined("", {"Get": "Parameters.Rows"}), "--seed", "7"],
    )
    channels = {
        "train": output_of("Prepare", "train"),
        "validation": output_of("Prepare", "validation"),
        "start": f"{base}/start/",
    }
    archive = {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}
    train = {
        "Name": "Train",
        "Type": "Training",
        "Arguments": {
            "AlgorithmSpecification": {
                "TrainingImage": IMAGE,
                "TrainingInputMode": "File",
                "MetricDefinitions": [
                    {"Name": "validation:accuracy", "Regex": "validation:accuracy=([0-9.]+)"},
                ],
            },
            "HyperParameters": {
                "sagemaker_program": "train.py",
                "sagemaker_submit_directory": f"{base}/code/sourcedir.tar.gz",
                "model": "baseline",
                "seed": "7",
            },
            "InputDataConfig": [
                {"ChannelName": name, "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}}}
                for name, uri in channels.items()
            ],
            "OutputDataConfig": {"S3OutputPath": f"{base}/models"},
            "ResourceConfig": {"InstanceType": INSTANCE, "InstanceCount": 1, "VolumeSizeInGB": 30},
            "StoppingCondition": {"MaxRuntimeInSeconds": 600},
            "RoleArn": {"Get": "Parameters.Role"},
        },
    }
    evaluate = processing(
        "Evaluate", "evaluate.py", base, {"model": archive, "test": output_of("Prepare", "test")}, ["evaluation"], []
    )
    evaluate["PropertyFiles"] = [
        {"PropertyFileName": "Report", "OutputName": "evaluation", "FilePath": "evaluation.json"}
    ]
    accuracy = {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.Evaluate.PropertyFiles.Report"}, "Path": "accuracy"}}
    limit = {"Get": "Parameters.MinAccuracy"}
    register = {
        "Name": "Register",
        "Type": "RegisterModel",
        "Arguments": {
            "ModelPackageGroupName": NAME,
            "ModelApprovalStatus": "PendingManualApproval",
            "InferenceSpecification": {
                "Containers": [{"Image": IMAGE, "ModelDataUrl": archive}],
                "SupportedContentTypes": ["application/json"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
            "ModelMetrics": {
                "ModelQuality": {
                    "Statistics": {
                        "ContentType": "application/json",
                        "S3Uri": joined("/", output_of("Evaluate", "evaluation"), "evaluation.json"),
                    }
                }
            },
        },
    }
    refuse = {
        "Name": "TooInaccurate",
        "Type": "Fail",
        "Arguments": {"ErrorMessage": joined(" ", "accuracy", accuracy, "is below", limit)},
    }
    decide = {
        "Name": "GoodEnough",
        "Type": "Condition",
        "Arguments": {
            "Conditions": [{"Type": "GreaterThanOrEqualTo", "LeftValue": accuracy, "RightValue": limit}],
            "IfSteps": [register],
            "ElseSteps": [refuse],
        },
    }
    return {
        "Version": "2020-12-01",
        "Parameters": [
            {"Name": "Role", "Type": "String"},
            {"Name": "RawReviews", "Type": "String"},
            {"Name": "Rows", "Type": "Integer", "DefaultValue": 900},
            {"Name": "MinAccuracy", "Type": "Float", "DefaultValue": 0.45},
        ],
        "Steps": [prepare, train, evaluate, decide],
    }


def upload(s3: Any, bucket: str, reviews: Path) -> None:
    """Put data and code where the definition reads them."""
    for file in sorted(reviews.iterdir()):
        s3.upload_file(str(file), bucket, f"{NAME}/raw/{file.name}")
    s3.upload_file(str(SCRIPTS / "baseline.json"), bucket, f"{NAME}/start/baseline.json")
    for script in ("prepare.py", "evaluate.py"):
        s3.upload_file(str(SCRIPTS / script), bucket, f"{NAME}/code/{script}")
    sources = io.BytesIO()
    with tarfile.open(fileobj=sources, mode="w:gz") as archive:
        for name in ("train.py", "inference.py"):
            archive.add(SCRIPTS / name, arcname=name)
    s3.put_object(Bucket=bucket, Key=f"{NAME}/code/sourcedir.tar.gz", Body=sources.getvalue())


def upsert(sagemaker: Any, text: str, role: str) -> None:
    """Create the pipeline, or update it where it is there."""
    try:
        sagemaker.create_pipeline(
            PipelineName=NAME, PipelineDefinition=text, RoleArn=role, ClientRequestToken=f"{NAME}-{time.time_ns():032}"
        )
    except sagemaker.exceptions.ClientError as error:
        if "already exists" not in error.response["Error"]["Message"]:
            raise
        sagemaker.update_pipeline(PipelineName=NAME, PipelineDefinition=text, RoleArn=role)


def run(sagemaker: Any, parameters: dict[str, str]) -> str:
    """Start the pipeline, wait until it has ended, and return how."""
    arn = sagemaker.start_pipeline_execution(
        PipelineName=NAME, PipelineParameters=[{"Name": name, "Value": value} for name, value in parameters.items()]
    )["PipelineExecutionArn"]
    while True:
        execution = sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
        status: str = execution["PipelineExecutionStatus"]
        if status not in ("Executing", "Stopping"):
            break
        time.sleep(1)
    steps = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn, SortOrder="Ascending")
    for step in steps["PipelineExecutionSteps"]:
        print("step", step["StepName"], step["StepStatus"], step.get("FailureReason", ""))
    print("execution", status, execution.get("FailureReason", ""))
    return status


def transform(sagemaker: Any, bucket: str) -> None:
    """Have the model label texts in a file, each beside its label."""
    s3 = boto3.client("s3")
    s3.put_object(Bucket=bucket, Key=f"{NAME}/texts/new.csv", Body=TEXTS.encode())
    job = f"{NAME}-{time.time_ns()}"
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/{NAME}/texts/"}}
    written = {"S3OutputPath": f"s3://{bucket}/{NAME}/labels", "Accept": "text/csv", "AssembleWith": "Line"}
    sagemaker.create_transform_job(
        TransformJobName=job,
        ModelName=NAME,
        BatchStrategy="MultiRecord",
        TransformInput={"DataSource": source, "ContentType": "text/csv", "SplitType": "Line"},
        TransformOutput=written,
        TransformResources={"InstanceType": INSTANCE, "InstanceCount": 1},
        DataProcessing={"JoinSource": "Input", "OutputFilter": "$[0,1]"},
    )
    waiter = sagemaker.get_waiter("transform_job_completed_or_stopped")
    waiter.wait(TransformJobName=job, WaiterConfig={"Delay": 5, "MaxAttempts": 120})
    print("transform", sagemaker.describe_transform_job(TransformJobName=job)["TransformJobStatus"])
    labels = s3.get_object(Bucket=bucket, Key=f"{NAME}/labels/new.csv.out")["Body"].read().decode()
    print("labels", [line.rpartition(",")[2] for line in labels.splitlines()])


def deploy(sagemaker: Any, role: str, bucket: str) -> None:
    """Approve the newest version, ask it something in a file and at an endpoint, and take the endpoint down."""
    newest = sagemaker.list_model_packages(ModelPackageGroupName=NAME, SortBy="CreationTime", SortOrder="Descending")[
        "ModelPackageSummaryList"
    ][0]["ModelPackageArn"]
    sagemaker.update_model_package(
        ModelPackageArn=newest, ModelApprovalStatus="Approved", ApprovalDescription="good enough to try"
    )
    sagemaker.create_model(ModelName=NAME, PrimaryContainer={"ModelPackageName": newest}, ExecutionRoleArn=role)
    transform(sagemaker, bucket)
    variant = {
        "VariantName": "only",
        "ModelName": NAME,
        "InstanceType": INSTANCE,
        "InitialInstanceCount": 1,
        "InitialVariantWeight": 1.0,
    }
    sagemaker.create_endpoint_config(EndpointConfigName=NAME, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=NAME, EndpointConfigName=NAME)
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=NAME)
    answer = boto3.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=NAME,
        ContentType="application/json",
        Body=json.dumps({"text": "Love this dress! Perfect fit, so comfortable."}),
    )
    print("answer", json.loads(answer["Body"].read())["label"])
    sagemaker.delete_endpoint(EndpointName=NAME)
    sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=NAME)
    sagemaker.delete_endpoint_config(EndpointConfigName=NAME)
    sagemaker.delete_model(ModelName=NAME)
    print("endpoints", [each["EndpointName"] for each in sagemaker.list_endpoints()["Endpoints"]])


def main() -> None:
    """Run the pipeline, then approve, deploy, ask and take down what it registered."""
    parser = argparse.ArgumentParser(description="Run the reviews pipeline with boto3.")
    parser.add_argument("--reviews", type=Path, required=True, help="folder of reviews.parquet")
    parser.add_argument("--min-accuracy", type=float, default=0.45)
    settings = parser.parse_args()

    sagemaker = boto3.client("sagemaker")
    identity = boto3.client("sts").get_caller_identity()
    role = f"arn:aws:iam::{identity['Account']}:role/anything"
    bucket = f"sagemaker-{sagemaker.meta.region_name}-{identity['Account']}"
    upload(boto3.client("s3"), bucket, settings.reviews)
    base = f"s3://{bucket}/{NAME}"
    text = json.dumps(definition(base))
    upsert(sagemaker, text, role)
    upsert(sagemaker, text, role)  # the second time it is an update
    parameters = {"Role": role, "RawReviews": f"{base}/raw/", "MinAccuracy": str(settings.min_accuracy)}
    if run(sagemaker, parameters) != "Succeeded":
        raise SystemExit(1)
    deploy(sagemaker, role, bucket)


if __name__ == "__main__":
    main()
