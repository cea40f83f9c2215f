"""Plain jobs with the SageMaker Python SDK 3: prepare, train, tune, evaluate, each waited for.

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
from sagemaker.core.s3 import S3Downloader, S3Uploader
from sagemaker.core.shapes import (
    MetricDefinition,
    OutputDataConfig,
    ProcessingInput,
    ProcessingOutput,
    ProcessingS3Input,
    ProcessingS3Output,
)
from sagemaker.core.training.configs import Compute, InputData, SourceCode
from sagemaker.train.model_trainer import ModelTrainer
from sagemaker.train.tuner import HyperparameterTuner

SCRIPTS = Path(__file__).resolve().parents[1] / "reviews"
INSTANCE = "ml.m5.large"
REGION = "us-east-1"
WORK = "/opt/ml/processing"
ACCURACY = {"Name": "validation:accuracy", "Regex": "validation:accuracy=([0-9.]+)"}


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
    """Run the three jobs."""
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


if __name__ == "__main__":
    main()
