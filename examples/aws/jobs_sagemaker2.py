"""Plain jobs with the SageMaker Python SDK 2, each waited for with its log; a transform job; then an endpoint.

`towpath exec -- python jobs_sagemaker2.py --reviews FOLDER`. The scripts are those of `examples/reviews`.
"""

import argparse
import json
import tempfile
from pathlib import Path
from shutil import copy

from sagemaker import Session, get_execution_role
from sagemaker.deserializers import JSONDeserializer
from sagemaker.model import Model
from sagemaker.processing import FrameworkProcessor, ProcessingInput, ProcessingOutput
from sagemaker.s3 import S3Downloader, S3Uploader
from sagemaker.serializers import JSONSerializer
from sagemaker.sklearn import SKLearn, SKLearnProcessor
from sagemaker.tuner import HyperparameterTuner, IntegerParameter

SCRIPTS = Path(__file__).resolve().parents[1] / "reviews"
INSTANCE = "ml.m5.large"
SKLEARN = "1.2-1"
WORK = "/opt/ml/processing"
ACCURACY = {"Name": "validation:accuracy", "Regex": "validation:accuracy=([0-9.]+)"}
#: One text a line, as CSV.
TEXTS = '"Love this dress! Perfect fit, so comfortable."\n"Poor quality, it fell apart, I returned it."\n'


def main() -> None:
    """Run the four jobs."""
    parser = argparse.ArgumentParser(description="Run plain jobs with the SageMaker SDK 2.")
    parser.add_argument("--reviews", type=Path, required=True, help="folder of reviews.parquet")
    settings = parser.parse_args()

    session = Session()
    role = get_execution_role(session)
    base = f"s3://{session.default_bucket()}/jobs-sagemaker2"
    start = S3Uploader.upload(str(SCRIPTS / "baseline.json"), f"{base}/start", sagemaker_session=session)

    prepare = SKLearnProcessor(
        framework_version=SKLEARN, instance_type=INSTANCE, instance_count=1, role=role, sagemaker_session=session
    )
    prepare.run(
        code=str(SCRIPTS / "prepare.py"),
        inputs=[ProcessingInput(source=str(settings.reviews), destination=f"{WORK}/input/raw")],
        outputs=[
            ProcessingOutput(output_name=name, source=f"{WORK}/output/{name}", destination=f"{base}/splits/{name}")
            for name in ("train", "validation", "test")
        ],
        arguments=["--rows", "900"],
        wait=True,
        logs=True,
    )

    estimator = SKLearn(
        entry_point=str(SCRIPTS / "train.py"),
        dependencies=[str(SCRIPTS / "inference.py")],
        framework_version=SKLEARN,
        instance_type=INSTANCE,
        role=role,
        output_path=f"{base}/models",
        hyperparameters={"model": "baseline"},
        metric_definitions=[ACCURACY],
        sagemaker_session=session,
    )
    channels = {
        "train": f"{base}/splits/train",
        "validation": f"{base}/splits/validation",
        "start": start.rpartition("/")[0] + "/",
    }
    estimator.fit(channels, wait=True, logs="All")
    print(
        "metrics", [metric["MetricName"] for metric in estimator.latest_training_job.describe()["FinalMetricDataList"]]
    )

    tuner = HyperparameterTuner(
        estimator,
        "validation:accuracy",
        {"seed": IntegerParameter(1, 100)},
        metric_definitions=[ACCURACY],
        strategy="Random",
        max_jobs=2,
        max_parallel_jobs=2,
        base_tuning_job_name="jobs-sagemaker2",
        random_seed=7,
    )
    tuner.fit(channels, wait=True)
    print("tuned", tuner.best_training_job(), tuner.best_estimator().model_data)

    evaluate = FrameworkProcessor(
        estimator_cls=SKLearn,
        framework_version=SKLEARN,
        instance_type=INSTANCE,
        instance_count=1,
        role=role,
        sagemaker_session=session,
    )
    with tempfile.TemporaryDirectory() as source:
        copy(SCRIPTS / "evaluate.py", source)
        evaluate.run(
            code="evaluate.py",
            source_dir=source,
            inputs=[
                ProcessingInput(source=estimator.model_data, destination=f"{WORK}/input/model"),
                ProcessingInput(source=f"{base}/splits/test", destination=f"{WORK}/input/test"),
            ],
            outputs=[ProcessingOutput(source=f"{WORK}/output/evaluation", destination=f"{base}/evaluation")],
            wait=True,
            logs=True,
        )
    report = S3Downloader.read_file(f"{base}/evaluation/evaluation.json", sagemaker_session=session)
    print("accuracy", json.loads(report)["accuracy"])

    predictor = estimator.deploy(
        initial_instance_count=1,
        instance_type=INSTANCE,
        endpoint_name="jobs-sagemaker2",
        entry_point=str(SCRIPTS / "inference.py"),
        serializer=JSONSerializer(),
        deserializer=JSONDeserializer(),
    )
    print("answer", predictor.predict({"text": "Love this dress! Perfect fit, so comfortable."})["label"])
    predictor.delete_model()
    predictor.delete_endpoint()

    texts = ("Love this dress! Perfect fit, so comfortable.", "Very disappointed, cheap and scratchy. Returning it.")
    lines = "\n".join(json.dumps({"text": text}) for text in texts)
    asked = S3Uploader.upload_string_as_file_body(lines, f"{base}/asked/reviews.jsonl", sagemaker_session=session)
    transformer = estimator.transformer(
        instance_count=1,
        instance_type=INSTANCE,
        strategy="SingleRecord",
        assemble_with="Line",
        output_path=f"{base}/answers",
        model_name="jobs-sagemaker2",
        entry_point=str(SCRIPTS / "inference.py"),
    )
    transformer.transform(asked, content_type="application/json", split_type="Line", wait=True, logs=True)
    answers = S3Downloader.read_file(f"{base}/answers/reviews.jsonl.out", sagemaker_session=session)
    print("answers", [json.loads(line)["label"] for line in answers.splitlines()])
    transformer.delete_model()
    model = Model(
        image_uri=estimator.training_image_uri(), model_data=estimator.model_data, role=role, sagemaker_session=session
    )
    model.create(instance_type=INSTANCE)
    transformer = model.transformer(
        instance_count=1,
        instance_type=INSTANCE,
        strategy="MultiRecord",
        assemble_with="Line",
        accept="text/csv",
        output_path=f"{base}/labels",
    )
    texts = S3Uploader.upload_string_as_file_body(TEXTS, f"{base}/texts/new.csv", sagemaker_session=session)
    transformer.transform(
        texts,
        content_type="text/csv",
        split_type="Line",
        join_source="Input",
        output_filter="$[0,1]",
        wait=True,
        logs=True,
    )
    labels = S3Downloader.read_file(f"{base}/labels/new.csv.out", sagemaker_session=session)
    print("labels", [line.rpartition(",")[2] for line in labels.splitlines()])


if __name__ == "__main__":
    main()
