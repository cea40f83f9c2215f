"""What the requests of processing jobs are made of, whichever step describes one: folders, inputs and outputs."""

from __future__ import annotations

from towpath.sdk.build import Build
from towpath.sdk.expressions import Document, Expression
from towpath.sdk.steps.sources import s3_input

FOLDER = "/opt/ml/processing"


def job_input(name: str, uri: str | Expression) -> Document:
    """Return an input of the job, which finds its files below `input/<name>/`."""
    local = {"LocalPath": f"{FOLDER}/input/{name}", "S3InputMode": "File", "S3CompressionType": "None"}
    return {"InputName": name, "S3Input": {**s3_input(uri), **local}}


def job_output(step: str, name: str, build: Build) -> Document:
    """Return an output of the job, which writes its files below `output/<name>/`."""
    return {
        "OutputName": name,
        "S3Output": {
            "S3Uri": build.location(step, name),
            "LocalPath": f"{FOLDER}/output/{name}",
            "S3UploadMode": "EndOfJob",
        },
    }
