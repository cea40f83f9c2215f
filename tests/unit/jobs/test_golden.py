"""Every processing and training step that the SDKs emit can become a job."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from towpath.jobs import ImageMap, Interpreter, processing, training
from towpath.jobs.requests import ProcessingJobRequest, TrainingJobRequest
from towpath.kernel.resource import Document, view

GOLDEN = Path(__file__).parents[2] / "golden" / "definitions"
PLATFORM = Interpreter(python="/p", version="3.12.1")
#: The image that several of the documents made up is mapped, as a user would.
IMAGES = ImageMap(PLATFORM, {"*/x": Interpreter(python="/x", version="3.12.1", commands=("train",))})


def steps(items: list[Document]) -> Iterator[Document]:
    for item in items:
        yield item
        arguments = item.get("Arguments") or {}
        for branch in ("IfSteps", "ElseSteps", "ForEachBody"):
            yield from steps(arguments.get(branch) or [])


def resolved(value: Any) -> Any:
    """Return a document in which each expression is some text or number that may stand there."""
    if isinstance(value, list):
        return [resolved(item) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"Get"}:
        name = value["Get"]
        if "Count" in name:
            return 1
        return f"s3://bucket/{name.replace('.', '/')}" if name.startswith(("Steps.", "Parameters.Input")) else "1"
    if set(value) <= {"Std:Join", "Std:JsonGet"}:
        join = value.get("Std:Join")
        return join["On"].join(str(resolved(item)) for item in join["Values"]) if join else "1"
    return {name: resolved(item) for name, item in value.items()}


def golden() -> list[tuple[str, str, Document]]:
    found = []
    for path in sorted(GOLDEN.glob("*.json")):
        for step in steps(json.loads(path.read_text(encoding="utf-8"))["Steps"]):
            if step["Type"] in {"Processing", "Training"}:
                found.append((f"{path.stem}:{step['Name']}", step["Type"], resolved(step["Arguments"])))
    return found


CASES = golden()


@pytest.mark.parametrize(("kind", "arguments"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_step_of_the_sdks_can_run(kind: str, arguments: Document) -> None:
    if kind == "Processing":
        asked = view(ProcessingJobRequest, arguments)
        processing.check(asked)
        assert IMAGES.resolve(asked.app_specification.image_uri).python == "/p"
        assert len(processing.wanted_inputs(asked)) == len(arguments["ProcessingInputs"])
        assert len(processing.outputs(asked)) == len(arguments["ProcessingOutputConfig"]["Outputs"])
        return
    parameters = {key: str(value) for key, value in (arguments.get("HyperParameters") or {}).items()}
    request = view(TrainingJobRequest, arguments | {"HyperParameters": parameters})
    training.check(request)
    argv, _ = training.command(request, IMAGES.resolve(arguments["AlgorithmSpecification"]["TrainingImage"]))
    entrypoint = arguments["AlgorithmSpecification"].get("ContainerEntrypoint")
    if training.is_notebook(request):
        assert argv == ("{python}", "/opt/ml/input/config/towpath_notebook.py")
    elif entrypoint:
        assert list(argv[: len(entrypoint)]) == entrypoint
    elif "sagemaker_program" in parameters:
        assert argv[0] == "{python}"
    else:
        assert argv == ("train",)


def test_the_golden_documents_hold_steps_of_every_way_to_run() -> None:
    assert len(CASES) >= 13
