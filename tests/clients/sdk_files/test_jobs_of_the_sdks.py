"""Jobs that the SageMaker SDKs compose run with the SDKs' own files: the repack job, and the drivers of version 3."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from towpath.kernel.resource import Document

if TYPE_CHECKING:
    from tests.clients.sdk_files.conftest import RunningHome, SdkFiles

pytestmark = pytest.mark.slow

BUCKET = "s3://sagemaker-us-east-1-000000000000"
GOLDEN = Path(__file__).parents[2] / "golden" / "definitions"

TRAIN = b"""
import argparse, json, os, pathlib
parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int)
parser.add_argument("--lr", type=float)
parser.add_argument("--name")
parser.add_argument("--freeze")
asked = parser.parse_args()
rows = pathlib.Path(os.environ["SM_CHANNEL_TRAIN"], "part-0.csv").read_text().splitlines()
print("val_acc: 0.75")
pathlib.Path(os.environ["SM_MODEL_DIR"], "model.json").write_text(json.dumps(vars(asked) | {"rows": len(rows)}))
"""


def packed(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def unpacked(data: bytes) -> dict[str, bytes]:
    found = {}
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isfile() else None
            if content is not None:
                found[member.name.removeprefix("./")] = content.read()
    return found


def step(definition: str, name: str) -> Document:
    """Return the arguments of a step of a golden definition, as they are written."""
    document = json.loads((GOLDEN / definition).read_text(encoding="utf-8"))

    def search(steps: list[Document]) -> Document | None:
        for item in steps:
            if item["Name"] == name:
                return item
            for branch in ("IfSteps", "ElseSteps"):
                found = search(item["Arguments"].get(branch) or [])
                if found is not None:
                    return found
        return None

    found = search(document["Steps"])
    assert found is not None
    arguments: Document = found["Arguments"]
    return arguments


def with_references(value: Any, references: dict[str, str]) -> Any:
    """Return a document in which each reference is what it stands for."""
    if isinstance(value, list):
        return [with_references(item, references) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"Get"}:
        return references[value["Get"]]
    if set(value) == {"Std:Join"}:
        return value["Std:Join"]["On"].join(with_references(value["Std:Join"]["Values"], references))
    return {key: with_references(item, references) for key, item in value.items()}


def drivers(sdk_files: SdkFiles, *, requirements: str | None = None) -> dict[str, bytes]:
    """Return the channel `sm_drivers` as ModelTrainer composes it for an entry script."""
    train = sdk_files.v3 / "train"
    folder = train / "container_drivers"
    files = {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    installer = sdk_files.v3 / "core" / "utils" / "install_requirements.py"
    files["scripts/install_requirements.py"] = installer.read_bytes()

    def template(name: str) -> str:
        return sdk_files.constant(train / "templates.py", name)

    install = "" if requirements is None else template("INSTALL_REQUIREMENTS").format(requirements_file=requirements)
    script = template("TRAIN_SCRIPT_TEMPLATE").format(
        working_dir="cd /opt/ml/input/data/code \n",
        install_requirements=install,
        execute_driver=template("EXECUTE_BASIC_SCRIPT_DRIVER"),
    )
    files["sm_train.sh"] = script.encode()
    files["sourcecode.json"] = json.dumps({"source_dir": "src", "entry_script": "train.py"}).encode()
    files["distributed.json"] = b"{}"
    return files


def train_with_drivers(
    home: RunningHome, sdk_files: SdkFiles, code: dict[str, bytes], *, requirements: str | None = None
) -> Document:
    """Run the training step of the golden definition of version 3 and return how it ended."""
    arguments = with_references(
        step("v3_bert.json", "Train"),
        {
            "Parameters.Epochs": "2",
            "Steps.Processing.ProcessingOutputConfig.Outputs['train'].S3Output.S3Uri": f"{BUCKET}/o/train",
        },
    )
    home.put(f"{BUCKET}/o/train/part-0.csv", b"1,a\n2,b\n")
    home.put_folder(f"{BUCKET}/bert/bert-20261122090107/input/code", code)
    home.put_folder(
        f"{BUCKET}/bert/bert-20261122090107/input/sm_drivers", drivers(sdk_files, requirements=requirements)
    )
    home.call("CreateTrainingJob", {"TrainingJobName": "train-3", **arguments})
    return home.ended("train-3")


def test_the_repack_job_puts_code_beside_the_model(home: RunningHome, sdk_files: SdkFiles) -> None:
    workflow = sdk_files.v2 / "workflow"
    model = f"{BUCKET}/train-1/output/model.tar.gz"
    home.put(model, packed({"model.bin": b"weights", "tokenizer/vocab.txt": b"a b"}))
    arguments = with_references(
        step("v2_bert.json", "Register-RepackModel-0"), {"Steps.Train.ModelArtifacts.S3ModelArtifacts": model}
    )
    source = json.loads(arguments["HyperParameters"]["sagemaker_submit_directory"])
    launcher = sdk_files.constant(workflow / "_utils.py", "LAUNCH_REPACK_SCRIPT_CMD")
    home.put(
        source,
        packed(
            {
                "inference.py": b"def model_fn(folder): ...\n",
                # Not for the repack job itself, which must not ask for it.
                "requirements.txt": b"no-such-package-anywhere==1.0\n",
                "_repack_model.py": (workflow / "_repack_model.py").read_bytes(),
                "_repack_script_launcher.sh": launcher.encode(),
            }
        ),
    )
    home.call("CreateTrainingJob", {"TrainingJobName": "repack-1", **arguments})
    ended = home.ended("repack-1")
    assert ended["TrainingJobStatus"] == "Completed", ended["Log"]
    files = unpacked(home.get(ended["ModelArtifacts"]["S3ModelArtifacts"]))
    assert files["model.bin"] == b"weights"
    assert files["tokenizer/vocab.txt"] == b"a b"
    assert files["code/inference.py"] == b"def model_fn(folder): ...\n"
    assert files["code/requirements.txt"] == b"no-such-package-anywhere==1.0\n"


def test_the_drivers_of_version_3_train_a_model(home: RunningHome, sdk_files: SdkFiles) -> None:
    ended = train_with_drivers(home, sdk_files, {"train.py": TRAIN})
    assert ended["TrainingJobStatus"] == "Completed", ended["Log"]
    model = json.loads(unpacked(home.get(ended["ModelArtifacts"]["S3ModelArtifacts"]))["model.json"])
    assert model == {"epochs": 2, "lr": 1e-05, "name": "abc", "freeze": "false", "rows": 2}
    (metric,) = ended["FinalMetricDataList"]
    assert (metric["MetricName"], metric["Value"]) == ("validation:accuracy", 0.75)


def test_the_drivers_of_version_3_accept_requirements_that_are_met(
    home_with_pip: RunningHome, sdk_files: SdkFiles
) -> None:
    code = {"train.py": TRAIN, "requirements.txt": b"pip>=20\n"}
    ended = train_with_drivers(home_with_pip, sdk_files, code, requirements="requirements.txt")
    assert ended["TrainingJobStatus"] == "Completed", ended["Log"]
    assert "Requirement already satisfied: pip>=20" in ended["Log"]


def test_a_failure_under_the_drivers_of_version_3_names_the_error(home: RunningHome, sdk_files: SdkFiles) -> None:
    ended = train_with_drivers(home, sdk_files, {"train.py": b"raise ValueError('no such column: rating')\n"})
    assert ended["TrainingJobStatus"] == "Failed"
    assert "ValueError: no such column: rating" in ended["Log"]
    assert ended["FailureReason"].startswith("AlgorithmError: ExitCode 1: ")
    assert "ValueError: no such column: rating" in ended["FailureReason"]
    assert "train.py line 1" in ended["FailureReason"]


def test_script_mode_of_version_2_trains_the_same_model(home: RunningHome) -> None:
    arguments = with_references(
        step("v2_bert.json", "Train"),
        {
            "Parameters.Epochs": "2",
            "Parameters.LR": "1e-05",
            "Parameters.FreezeBert": "False",
            "Steps.Processing.ProcessingOutputConfig.Outputs['train'].S3Output.S3Uri": f"{BUCKET}/o/train",
            "Steps.Processing.ProcessingOutputConfig.Outputs['validation'].S3Output.S3Uri": f"{BUCKET}/o/train",
        },
    )
    home.put(f"{BUCKET}/o/train/part-0.csv", b"1,a\n2,b\n")
    source = json.loads(arguments["HyperParameters"]["sagemaker_submit_directory"])
    code = {"train.py": TRAIN.replace(b"--lr", b"--learning_rate"), "requirements.txt": b"msgspec>=0.18\n"}
    home.put(source, packed(code))
    home.call("CreateTrainingJob", {"TrainingJobName": "train-2", **arguments})
    ended = home.ended("train-2")
    assert ended["TrainingJobStatus"] == "Completed", ended["Log"]
    assert "ml.c5.9xlarge has 36 cores, this host 2" in ended["Log"]
    model = json.loads(unpacked(home.get(f"{BUCKET}/train-2/output/model.tar.gz"))["model.json"])
    assert model == {"epochs": 2, "learning_rate": 1e-05, "name": "abc", "freeze": "False", "rows": 2}


def test_a_requirement_that_is_not_met_is_the_reason_of_the_failure(home: RunningHome) -> None:
    home.put("s3://code/source.tar.gz", packed({"train.py": TRAIN, "requirements.txt": b"no-such-package==1.0\n"}))
    home.call(
        "CreateTrainingJob",
        {
            "TrainingJobName": "train-4",
            "AlgorithmSpecification": {"TrainingImage": "towpath", "TrainingInputMode": "File"},
            "HyperParameters": {
                "sagemaker_program": "train.py",
                "sagemaker_submit_directory": "s3://code/source.tar.gz",
            },
            "OutputDataConfig": {"S3OutputPath": "s3://models"},
        },
    )
    reason = home.ended("train-4")["FailureReason"]
    assert reason.startswith("ClientError: requirements.txt cannot be met beside the packages of ")
    assert "no-such-package" in reason
