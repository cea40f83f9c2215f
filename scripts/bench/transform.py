"""What a transform job adds to calling the handler: the job on a server, beside the handler in a loop over the file."""

import io
import json
import random
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from measuring import Row, alternate, home_with_server

from towpath import Client

INFERENCE = """
import joblib, numpy

def model_fn(folder):
    return joblib.load(folder + "/model.joblib")

def predict_fn(rows, model):
    return model.predict_proba(numpy.asarray(rows))
"""
#: Trains the model, once.
TRAIN = """
import sys, joblib, numpy
from sklearn.linear_model import LogisticRegression
rows = numpy.random.default_rng(0).normal(size=(500, 8))
joblib.dump(LogisticRegression().fit(rows, rows.sum(axis=1) > 0), sys.argv[1])
"""
#: The floor: the same handlers over the same file, as a user would call them in a loop.
LOOP = """
import pathlib, sys, time
from towpath.serving.handlers import load, load_script
folder, batch = pathlib.Path(sys.argv[1]), int(sys.argv[2])
handlers = load(load_script(folder / "code", "inference.py"), folder)
began = time.perf_counter()
with (folder / "rows.csv").open("rb") as rows, (folder / "answers").open("wb") as answers:
    if batch:
        while lines := rows.readlines(batch):
            answers.write(handlers.answer(b"".join(lines), "text/csv", "text/csv")[0])
    else:
        for line in rows:
            answers.write(handlers.answer(line, "text/csv", "text/csv")[0])
print(time.perf_counter() - began)
"""
BUCKET = "sagemaker-us-east-1-000000000000"
SINGLE, MANY = 10_000, 300_000  #: records of a job
BATCH_BYTES = 6 << 20


def transform(repeat: int) -> Iterator[Row]:
    """Measure a small model of scikit-learn, record by record and in batches."""
    with tempfile.TemporaryDirectory(prefix="towpath-bench-") as scratch, home_with_server() as (home, _):
        folder, client = Path(scratch), Client(home=home)
        (folder / "code").mkdir()
        (folder / "code/inference.py").write_text(INFERENCE)
        subprocess.run([sys.executable, "-c", TRAIN, str(folder / "model.joblib")], check=True)
        _make_model(folder, client)
        for strategy, count, batch in (("SingleRecord", SINGLE, 0), ("MultiRecord", MANY, BATCH_BYTES)):
            chance = random.Random(0)
            rows = "".join(",".join(f"{chance.gauss(0, 1):.6f}" for _ in range(8)) + "\n" for _ in range(count))
            (folder / "rows.csv").write_text(rows)
            client.lake.put_file(f"s3://{BUCKET}/{strategy}/rows.csv", folder / "rows.csv")
            scale = 1_000_000 / count
            floor, measured = alternate(
                max(3, repeat // 5),
                lambda batch=batch: _loop_s(folder, batch),  # type: ignore[misc]
                lambda strategy=strategy: _job_s(client, strategy),  # type: ignore[misc]
            )
            yield Row(
                what=f"transform job, {strategy}, a record",
                measured=measured * scale,
                floor=floor * scale,
                unit="µs",
                floor_is="the handler in a loop",
                target="1.1 (0.9 of its throughput)",
                beside=f"{count / measured:,.0f} a second",
            )


def _make_model(folder: Path, client: Client) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name in ("code/inference.py", "model.joblib"):
            archive.add(folder / name, name)
    (folder / "model.tar.gz").write_bytes(stream.getvalue())
    client.lake.put_file(f"s3://{BUCKET}/model.tar.gz", folder / "model.tar.gz")
    container = {"Image": "towpath", "ModelDataUrl": f"s3://{BUCKET}/model.tar.gz"}
    client.call("SageMaker.CreateModel", {"ModelName": "bench", "PrimaryContainer": container})


def _loop_s(folder: Path, batch: int) -> float:
    command = [sys.executable, "-c", LOOP, str(folder), str(batch)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _job_s(client: Client, strategy: str) -> float:
    """Run a job; return how long it says that it transformed, without the start of its processes."""
    name = f"{strategy}-{time.time_ns()}"
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/{strategy}/"}}
    client.call(
        "SageMaker.CreateTransformJob",
        {
            "TransformJobName": name,
            "ModelName": "bench",
            "BatchStrategy": strategy,
            "TransformInput": {"DataSource": source, "ContentType": "text/csv", "SplitType": "Line"},
            "TransformOutput": {"S3OutputPath": f"s3://{BUCKET}/out", "Accept": "text/csv", "AssembleWith": "Line"},
            "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
        },
    )
    for line in client.logs("TransformJob", name, follow=True):
        if line.text.startswith("Transformed "):
            return float(line.text.rpartition(" in ")[2].removesuffix(" s"))
    told = client.call("SageMaker.DescribeTransformJob", {"TransformJobName": name})
    raise RuntimeError(json.dumps(told))
