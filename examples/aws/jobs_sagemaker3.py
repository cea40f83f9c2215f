"""Plain jobs with the SageMaker Python SDK 3, each waited for with its log; a transform job; then an endpoint.

`towpath exec -- python jobs_sagemaker3.py --reviews FOLDER`. The scripts are those of `examples/reviews`.
"""

import argparse
import json
import logging
import tempfile
import time
from pathlib import Path
from shutil import copy

from sagemaker.core import image_uris
from sagemaker.core.helper.session_helper import Session, get_execution_role
from sagemaker.core.parameter import IntegerParameter
from sagemaker.core.processing import FrameworkProcessor, ScriptProcessor
from sagemaker.core.resources import EndpointConfig, Model
from sagemaker.core.s3 import S3Downloader, S3Uploader
from sagemaker.core.shapes import (
    ContainerDefinition,
    MetricDefinition,
    OutputDataConfig,
    ProcessingInput,
    ProcessingOutput,
    ProcessingS3Input,
    ProcessingS3Output,
)
from sagemaker.core.training.configs import Compute, InputData, SourceCode
from sagemaker.core.transformer import Transformer
from sagemaker.serve.model_builder import ModelBuilder
from sagemaker.train.model_trainer import ModelTrainer
from sagemaker.train.tuner import HyperparameterTuner

SCRIPTS = Path(__file__).resolve().parents[1] / "reviews"
INSTANCE = "ml.m5.large"
REGION = "us-east-1"
WORK = "/opt/ml/processing"
ACCURACY = {"Name": "validation:accuracy", "Regex": "validation:accuracy=([0-9.]+)"}
#: One text a line, as CSV.
TEXTS = '"Love this dress! Perfect fit, so comfortable."\n"Poor quality, it fell apart, I returned it."\n'


def read(name: str, uri: str) -> ProcessingInput:
    """Return an input of a processing job."""
    source = ProcessingS3Input(
        s3_uri=uri, local_path=f"{WORK}/input/{name}", s3_data_type="S3Prefix", s3_input_mode="File"
    )
    return ProcessingInput(input_name=name, s3_input=source)


def written(name: str, uri: str) -> ProcessingOutput:
    """Return an output of a processing job."""
    target = ProcessingS3Output(s3_uri=uri, local_path=f"{WORK}/output/{name}", s3_upload_mode="EndOfJob")
    return ProcessingOutput(output_name=name, s3_output=target)


def main() -> None:
    """Run the four jobs."""
    parser = argparse.ArgumentParser(description="Run plain jobs with the SageMaker SDK 3.")
    parser.add_argument("--reviews", type=Path, required=True, help="folder of reviews.parquet")
    settings = parser.parse_args()

    logging.basicConfig(level=logging.INFO, format="%(message)s")  # the SDK logs what training jobs print
    session = Session()
    role = get_execution_role(session)
    base = f"s3://{session.default_bucket()}/jobs-sagemaker3"
    image = image_uris.retrieve("sklearn", REGION, version="1.2-1", py_version="py3", instance_type=INSTANCE)
    raw = S3Uploader.upload(str(settings.reviews), f"{base}/raw", sagemaker_session=session)
    S3Uploader.upload(str(SCRIPTS / "baseline.json"), f"{base}/start", sagemaker_session=session)
    resources = {"instance_count": 1, "instance_type": INSTANCE}

    prepare = ScriptProcessor(image_uri=image, command=["python3"], role=role, sagemaker_session=session, **resources)
    prepare.run(
        code=str(SCRIPTS / "prepare.py"),
        inputs=[read("raw", raw)],
        outputs=[written(name, f"{base}/splits/{name}") for name in ("train", "validation", "test")],
        arguments=["--rows", "900"],
        wait=True,
        logs=True,
    )

    trainer = ModelTrainer(
        training_image=image,
        source_code=SourceCode(
            source_dir=str(SCRIPTS), entry_script="train.py", ignore_patterns=[".data", "tests", "__pycache__"]
        ),
        compute=Compute(**resources),
        hyperparameters={"model": "baseline"},
        output_data_config=OutputDataConfig(s3_output_path=f"{base}/models"),
        base_job_name="jobs-sagemaker3",
        role=role,
        sagemaker_session=session,
    ).with_metric_definitions([MetricDefinition(name=ACCURACY["Name"], regex=ACCURACY["Regex"])])
    uris = {name: f"{base}/splits/{name}" for name in ("train", "validation")} | {"start": f"{base}/start"}
    channels = [InputData(channel_name=name, data_source=uri) for name, uri in uris.items()]
    trainer.train(input_data_config=channels, wait=True, logs=True)
    job = trainer._latest_training_job.refresh()
    print("metrics", [metric.metric_name for metric in job.final_metric_data_list])

    with tempfile.TemporaryDirectory() as source:
        for name in ("train.py", "inference.py"):  # the tuner packs the whole folder, whatever is to be ignored
            copy(SCRIPTS / name, source)
        trainer.source_code = SourceCode(source_dir=source, entry_script="train.py")
        tuner = HyperparameterTuner(
            trainer,
            "validation:accuracy",
            {"seed": IntegerParameter(1, 100)},
            metric_definitions=[ACCURACY],
            strategy="Random",
            max_jobs=2,
            max_parallel_jobs=2,
            random_seed=7,
        )
        tuner.tune(channels, job_name=f"jobs-sagemaker3-{int(time.time())}", wait=True)
    print("tuned", tuner.best_training_job())

    evaluate = FrameworkProcessor(
        image_uri=image, command=["python3"], role=role, sagemaker_session=session, **resources
    )
    with tempfile.TemporaryDirectory() as source:
        copy(SCRIPTS / "evaluate.py", source)
        evaluate.run(
            code="evaluate.py",
            source_dir=source,
            inputs=[
                read("model", job.model_artifacts.s3_model_artifacts),
                read("test", f"{base}/splits/test"),
            ],
            outputs=[written("evaluation", f"{base}/evaluation")],
            wait=True,
            logs=True,
        )
    report = S3Downloader.read_file(f"{base}/evaluation/evaluation.json", sagemaker_session=session)
    print("accuracy", json.loads(report)["accuracy"])

    archive = job.model_artifacts.s3_model_artifacts
    model = Model.create(
        model_name="jobs-sagemaker3-labels",
        primary_container=ContainerDefinition(image=image, model_data_url=archive),
        execution_role_arn=role,
        session=session.boto_session,
        region=REGION,
    )
    transformer = Transformer(
        model_name=model.model_name,
        strategy="MultiRecord",
        assemble_with="Line",
        accept="text/csv",
        output_path=f"{base}/labels",
        sagemaker_session=session,
        **resources,
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
    model.delete()

    deploy(archive, image, role, session)


def deploy(archive: str, image: str, role: str, session: Session) -> None:
    """Build a model of what was trained and of its code, ask it at an endpoint and in a batch, and take both down."""
    with tempfile.TemporaryDirectory() as source:
        copy(SCRIPTS / "inference.py", source)
        builder = ModelBuilder(
            s3_model_data_url=archive,
            image_uri=image,
            source_code=SourceCode(source_dir=source, entry_script="inference.py"),
            instance_type=INSTANCE,
            role_arn=role,
            sagemaker_session=session,
        )
        model = builder.build(model_name="jobs-sagemaker3")
    print("model", model.model_name, model.primary_container.environment["SAGEMAKER_PROGRAM"])
    endpoint = builder.deploy(endpoint_name="jobs-sagemaker3", initial_instance_count=1, instance_type=INSTANCE)
    answer = endpoint.invoke(
        body=json.dumps({"text": "Love this dress! Perfect fit, so comfortable."}), content_type="application/json"
    )
    print("answer", json.loads(answer.body.read())["label"])
    texts = ("Love this dress! Perfect fit, so comfortable.", "Very disappointed, cheap and scratchy. Returning it.")
    lines = "\n".join(json.dumps({"text": text}) for text in texts)
    base = f"s3://{session.default_bucket()}/jobs-sagemaker3"
    asked = S3Uploader.upload_string_as_file_body(lines, f"{base}/asked/reviews.jsonl", sagemaker_session=session)
    transformer = Transformer(
        model_name=model.model_name,
        instance_count=1,
        instance_type=INSTANCE,
        strategy="SingleRecord",
        assemble_with="Line",
        output_path=f"{base}/answers",
        sagemaker_session=session,
    )
    transformer.transform(asked, content_type="application/json", split_type="Line", wait=True, logs=True)
    answers = S3Downloader.read_file(f"{base}/answers/reviews.jsonl.out", sagemaker_session=session)
    print("answers", [json.loads(line)["label"] for line in answers.splitlines()])
    config = endpoint.endpoint_config_name
    endpoint.delete()
    endpoint.wait_for_delete()
    EndpointConfig.get(config, session=session.boto_session, region=REGION).delete()
    model.delete()


if __name__ == "__main__":
    main()
