"""The reviews pipeline with the SageMaker Python SDK 2: raw reviews become a registered, approved, deployed model.

    Prepare ─► Train ─► Evaluate ─► GoodEnough ─┬─ yes ─► Register
                                                └─ no ──► TooInaccurate

Written for AWS and run here unchanged: `towpath exec -- python reviews_sagemaker2.py --reviews FOLDER`. The scripts of
the steps are those of `examples/reviews`.
"""

import argparse
from pathlib import Path

from sagemaker import ModelPackage, Session, get_execution_role
from sagemaker.deserializers import JSONDeserializer
from sagemaker.inputs import TrainingInput
from sagemaker.model_metrics import MetricsSource, ModelMetrics
from sagemaker.predictor import Predictor
from sagemaker.processing import ProcessingInput, ProcessingOutput
from sagemaker.s3 import S3Uploader
from sagemaker.serializers import JSONSerializer
from sagemaker.sklearn import SKLearn, SKLearnModel, SKLearnProcessor
from sagemaker.workflow.condition_step import ConditionStep
from sagemaker.workflow.conditions import ConditionGreaterThanOrEqualTo
from sagemaker.workflow.fail_step import FailStep
from sagemaker.workflow.functions import Join, JsonGet
from sagemaker.workflow.model_step import ModelStep
from sagemaker.workflow.parameters import ParameterFloat, ParameterInteger, ParameterString
from sagemaker.workflow.pipeline import Pipeline
from sagemaker.workflow.pipeline_context import PipelineSession
from sagemaker.workflow.properties import PropertyFile
from sagemaker.workflow.steps import ProcessingStep, TrainingStep

SCRIPTS = Path(__file__).resolve().parents[1] / "reviews"
NAME = "reviews-sagemaker2"
INSTANCE = "ml.m5.large"
SKLEARN = "1.2-1"


def build(session: PipelineSession, role: str) -> Pipeline:
    """Return the pipeline."""
    raw = ParameterString("RawReviews")
    start = ParameterString("Start")
    rows = ParameterInteger("Rows", default_value=900)
    min_accuracy = ParameterFloat("MinAccuracy", default_value=0.45)
    work = "/opt/ml/processing"

    processor = SKLearnProcessor(
        framework_version=SKLEARN, instance_type=INSTANCE, instance_count=1, role=role, sagemaker_session=session
    )
    prepare = ProcessingStep(
        "Prepare",
        step_args=processor.run(
            code=str(SCRIPTS / "prepare.py"),
            inputs=[ProcessingInput(source=raw, destination=f"{work}/input/raw", input_name="raw")],
            outputs=[
                ProcessingOutput(output_name=name, source=f"{work}/output/{name}")
                for name in ("train", "validation", "test", "summary")
            ],
            arguments=["--rows", rows.to_string(), "--seed", "7"],
        ),
    )

    def split(name: str) -> object:
        return prepare.properties.ProcessingOutputConfig.Outputs[name].S3Output.S3Uri

    estimator = SKLearn(
        entry_point=str(SCRIPTS / "train.py"),
        dependencies=[str(SCRIPTS / "inference.py")],
        framework_version=SKLEARN,
        instance_type=INSTANCE,
        role=role,
        hyperparameters={"model": "baseline", "seed": 7},
        metric_definitions=[{"Name": "validation:accuracy", "Regex": "validation:accuracy=([0-9.]+)"}],
        sagemaker_session=session,
    )
    channels = {"train": split("train"), "validation": split("validation"), "start": start}
    train = TrainingStep(
        "Train", step_args=estimator.fit({name: TrainingInput(s3_data=uri) for name, uri in channels.items()})
    )
    archive = train.properties.ModelArtifacts.S3ModelArtifacts

    report = PropertyFile("Report", output_name="evaluation", path="evaluation.json")
    evaluate = ProcessingStep(
        "Evaluate",
        step_args=processor.run(
            code=str(SCRIPTS / "evaluate.py"),
            inputs=[
                ProcessingInput(source=archive, destination=f"{work}/input/model", input_name="model"),
                ProcessingInput(source=split("test"), destination=f"{work}/input/test", input_name="test"),
            ],
            outputs=[ProcessingOutput(output_name="evaluation", source=f"{work}/output/evaluation")],
        ),
        property_files=[report],
    )
    accuracy = JsonGet(step_name=evaluate.name, property_file=report, json_path="accuracy")

    model = SKLearnModel(
        model_data=archive,
        entry_point=str(SCRIPTS / "inference.py"),
        framework_version=SKLEARN,
        role=role,
        sagemaker_session=session,
    )
    measured = evaluate.properties.ProcessingOutputConfig.Outputs["evaluation"].S3Output.S3Uri
    register = ModelStep(
        "Register",
        step_args=model.register(
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
        parameters=[raw, start, rows, min_accuracy],
        steps=[prepare, train, evaluate, decide],
        sagemaker_session=session,
    )


def main() -> None:
    """Run the pipeline, then approve, deploy, ask and take down what it registered."""
    parser = argparse.ArgumentParser(description="Run the reviews pipeline with the SageMaker SDK 2.")
    parser.add_argument("--reviews", type=Path, required=True, help="folder of reviews.parquet")
    parser.add_argument("--min-accuracy", type=float, default=0.45)
    settings = parser.parse_args()

    session = PipelineSession()
    role = get_execution_role(session)
    bucket = session.default_bucket()
    raw = S3Uploader.upload(str(settings.reviews), f"s3://{bucket}/{NAME}/raw", sagemaker_session=session)
    start = S3Uploader.upload(str(SCRIPTS / "baseline.json"), f"s3://{bucket}/{NAME}/start", sagemaker_session=session)

    pipeline = build(session, role)
    pipeline.upsert(role_arn=role, description="From raw clothing reviews to a registered sentiment model")
    pipeline.upsert(role_arn=role, tags=[{"Key": "example", "Value": "sagemaker2"}])  # the second time it is an update
    parameters = {
        "RawReviews": raw,
        "Start": start.rpartition("/")[0] + "/",
        "MinAccuracy": settings.min_accuracy,
    }
    execution = pipeline.start(parameters=parameters)
    print("parameters", execution.list_parameters()["PipelineParameters"])
    try:
        execution.wait(delay=1, max_attempts=600)
    finally:
        for step in reversed(execution.list_steps()):
            print("step", step["StepName"], step["StepStatus"], step.get("FailureReason", ""))
        print("execution", execution.describe()["PipelineExecutionStatus"])

    session = Session()  # one that acts at once; a PipelineSession would only note what steps are to do
    client = session.sagemaker_client
    newest = client.list_model_packages(ModelPackageGroupName=NAME, SortBy="CreationTime", SortOrder="Descending")
    arn = newest["ModelPackageSummaryList"][0]["ModelPackageArn"]
    client.update_model_package(
        ModelPackageArn=arn, ModelApprovalStatus="Approved", ApprovalDescription="good enough to try"
    )
    package = ModelPackage(role=role, model_package_arn=arn, sagemaker_session=session)
    package.deploy(initial_instance_count=1, instance_type=INSTANCE, endpoint_name=NAME)
    predictor = Predictor(NAME, sagemaker_session=session, serializer=JSONSerializer(), deserializer=JSONDeserializer())
    print("answer", predictor.predict({"text": "Love this dress! Perfect fit, so comfortable."})["label"])
    predictor.delete_endpoint()
    package.delete_model()
    print("endpoints", [each["EndpointName"] for each in client.list_endpoints()["Endpoints"]])


if __name__ == "__main__":
    main()
