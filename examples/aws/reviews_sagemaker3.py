"""The reviews pipeline with the SageMaker Python SDK 3: raw reviews become a registered, approved, deployed model.

    Prepare ─► Train ─► Evaluate ─► GoodEnough ─┬─ yes ─► Register
                                                └─ no ──► TooInaccurate

Written for AWS and run here unchanged: `towpath exec -- python reviews_sagemaker3.py --reviews FOLDER`. The scripts of
the steps are those of `examples/reviews`.
"""

import argparse
import json
from pathlib import Path

from sagemaker.core import image_uris
from sagemaker.core.helper.session_helper import Session, get_execution_role
from sagemaker.core.model_metrics import MetricsSource, ModelMetrics
from sagemaker.core.processing import ScriptProcessor
from sagemaker.core.resources import Endpoint, EndpointConfig, Model, ModelPackage
from sagemaker.core.s3 import S3Uploader
from sagemaker.core.shapes import (
    ContainerDefinition,
    MetricDefinition,
    ProcessingInput,
    ProcessingOutput,
    ProcessingS3Input,
    ProcessingS3Output,
    ProductionVariant,
)
from sagemaker.core.training.configs import Compute, InputData, SourceCode
from sagemaker.core.workflow.conditions import ConditionGreaterThanOrEqualTo
from sagemaker.core.workflow.functions import Join, JsonGet
from sagemaker.core.workflow.parameters import ParameterFloat, ParameterInteger, ParameterString
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.core.workflow.properties import PropertyFile
from sagemaker.mlops.workflow.condition_step import ConditionStep
from sagemaker.mlops.workflow.fail_step import FailStep
from sagemaker.mlops.workflow.model_step import ModelStep
from sagemaker.mlops.workflow.pipeline import Pipeline
from sagemaker.mlops.workflow.steps import ProcessingStep, TrainingStep
from sagemaker.serve.model_builder import ModelBuilder
from sagemaker.train.model_trainer import ModelTrainer

SCRIPTS = Path(__file__).resolve().parents[1] / "reviews"
NAME = "reviews-sagemaker3"
INSTANCE = "ml.m5.large"
REGION = "us-east-1"
WORK = "/opt/ml/processing"


def read(name: str, uri: object) -> ProcessingInput:
    """Return an input of a processing job."""
    source = ProcessingS3Input(
        s3_uri=uri, local_path=f"{WORK}/input/{name}", s3_data_type="S3Prefix", s3_input_mode="File"
    )
    return ProcessingInput(input_name=name, s3_input=source)


def written(name: str, base: str) -> ProcessingOutput:
    """Return an output of a processing job."""
    target = ProcessingS3Output(s3_uri=f"{base}/{name}", local_path=f"{WORK}/output/{name}", s3_upload_mode="EndOfJob")
    return ProcessingOutput(output_name=name, s3_output=target)


def build(session: PipelineSession, role: str) -> Pipeline:
    """Return the pipeline."""
    raw = ParameterString("RawReviews")
    start = ParameterString("Start")
    rows = ParameterInteger("Rows", default_value=900)
    seed = ParameterInteger("Seed", default_value=7)
    min_accuracy = ParameterFloat("MinAccuracy", default_value=0.45)
    base = f"s3://{session.default_bucket()}/{NAME}"
    image = image_uris.retrieve("sklearn", REGION, version="1.2-1", py_version="py3", instance_type=INSTANCE)

    processor = ScriptProcessor(
        image_uri=image,
        command=["python3"],
        role=role,
        instance_count=1,
        instance_type=INSTANCE,
        sagemaker_session=session,
    )
    prepare = ProcessingStep(
        "Prepare",
        step_args=processor.run(
            code=str(SCRIPTS / "prepare.py"),
            inputs=[read("raw", raw)],
            outputs=[written(name, base) for name in ("train", "validation", "test", "summary")],
            arguments=["--rows", rows.to_string(), "--seed", seed.to_string()],
        ),
    )

    def split(name: str) -> object:
        return prepare.properties.ProcessingOutputConfig.Outputs[name].S3Output.S3Uri

    trainer = ModelTrainer(
        training_image=image,
        source_code=SourceCode(
            source_dir=str(SCRIPTS), entry_script="train.py", ignore_patterns=[".data", "tests", "__pycache__"]
        ),
        compute=Compute(instance_type=INSTANCE, instance_count=1),
        hyperparameters={"model": "baseline", "seed": seed},
        base_job_name=NAME,
        role=role,
        sagemaker_session=session,
    ).with_metric_definitions([MetricDefinition(name="validation:accuracy", regex="validation:accuracy=([0-9.]+)")])
    channels = {"train": split("train"), "validation": split("validation"), "start": start}
    train = TrainingStep(
        "Train",
        step_args=trainer.train(
            input_data_config=[InputData(channel_name=name, data_source=uri) for name, uri in channels.items()]
        ),
    )
    archive = train.properties.ModelArtifacts.S3ModelArtifacts

    report = PropertyFile(name="Report", output_name="evaluation", path="evaluation.json")
    evaluate = ProcessingStep(
        "Evaluate",
        step_args=processor.run(
            code=str(SCRIPTS / "evaluate.py"),
            inputs=[read("model", archive), read("test", split("test"))],
            outputs=[written("evaluation", base)],
        ),
        property_files=[report],
    )
    accuracy = JsonGet(step_name=evaluate.name, property_file=report, json_path="accuracy")

    builder = ModelBuilder(s3_model_data_url=archive, image_uri=image, role_arn=role, sagemaker_session=session)
    measured = evaluate.properties.ProcessingOutputConfig.Outputs["evaluation"].S3Output.S3Uri
    register = ModelStep(
        "Register",
        step_args=builder.register(
            content_types=["application/json"],
            response_types=["application/json"],
            inference_instances=[INSTANCE],
            model_package_group_name=NAME,
            approval_status="PendingManualApproval",
            model_metrics=ModelMetrics(
                model_statistics=MetricsSource(
                    s3_uri=Join(on="/", values=[measured, "evaluation.json"]), content_type="application/json"
                )
            ),
        ),
    )
    refuse = FailStep(
        "TooInaccurate", error_message=Join(on=" ", values=["accuracy", accuracy, "is below", min_accuracy])
    )
    decide = ConditionStep(
        "GoodEnough",
        conditions=[ConditionGreaterThanOrEqualTo(left=accuracy, right=min_accuracy)],
        if_steps=[register],
        else_steps=[refuse],
    )
    return Pipeline(
        name=NAME,
        parameters=[raw, start, rows, seed, min_accuracy],
        steps=[prepare, train, evaluate, decide],
        sagemaker_session=session,
    )


def deploy(session: Session, role: str) -> None:
    """Approve the newest version, ask it something at an endpoint, and take the endpoint down."""
    boto = session.boto_session
    newest = session.sagemaker_client.list_model_packages(
        ModelPackageGroupName=NAME, SortBy="CreationTime", SortOrder="Descending"
    )["ModelPackageSummaryList"][0]
    package = ModelPackage.get(newest["ModelPackageArn"], session=boto, region=REGION)
    package.update(model_approval_status="Approved", approval_description="good enough to try")

    model = Model.create(
        model_name=NAME,
        primary_container=ContainerDefinition(model_package_name=package.model_package_arn),
        execution_role_arn=role,
        session=boto,
        region=REGION,
    )
    variant = ProductionVariant(
        variant_name="only",
        model_name=NAME,
        instance_type=INSTANCE,
        initial_instance_count=1,
        initial_variant_weight=1.0,
    )
    config = EndpointConfig.create(
        endpoint_config_name=NAME, production_variants=[variant], session=boto, region=REGION
    )
    endpoint = Endpoint.create(endpoint_name=NAME, endpoint_config_name=NAME, session=boto, region=REGION)
    endpoint.wait_for_status("InService")
    answer = endpoint.invoke(
        body=json.dumps({"text": "Love this dress! Perfect fit, so comfortable."}), content_type="application/json"
    )
    print("answer", json.loads(answer.body.read())["label"])
    endpoint.delete()
    endpoint.wait_for_delete()
    config.delete()
    model.delete()
    print("endpoints", [each.endpoint_name for each in Endpoint.get_all(session=boto, region=REGION)])


def main() -> None:
    """Run the pipeline, then approve, deploy, ask and take down what it registered."""
    parser = argparse.ArgumentParser(description="Run the reviews pipeline with the SageMaker SDK 3.")
    parser.add_argument("--reviews", type=Path, required=True, help="folder of reviews.parquet")
    parser.add_argument("--min-accuracy", type=float, default=0.45)
    settings = parser.parse_args()

    session = PipelineSession()
    role = get_execution_role(session)
    base = f"s3://{session.default_bucket()}/{NAME}"
    raw = S3Uploader.upload(str(settings.reviews), f"{base}/raw", sagemaker_session=session)
    S3Uploader.upload(str(SCRIPTS / "baseline.json"), f"{base}/start", sagemaker_session=session)

    pipeline = build(session, role)
    pipeline.upsert(role_arn=role, description="From raw clothing reviews to a registered sentiment model")
    pipeline.upsert(role_arn=role, tags=[{"Key": "example", "Value": "sagemaker3"}])  # the second time it is an update
    execution = pipeline.start(
        parameters={"RawReviews": raw, "Start": f"{base}/start/", "MinAccuracy": settings.min_accuracy}
    )
    print("parameters", execution.list_parameters()["PipelineParameters"])
    try:
        execution.wait(delay=1, max_attempts=600)
    finally:
        for step in reversed(execution.list_steps()):
            print("step", step["StepName"], step["StepStatus"], step.get("FailureReason", ""))
        print("execution", execution.describe()["PipelineExecutionStatus"])
    deploy(Session(), role)


if __name__ == "__main__":
    main()
