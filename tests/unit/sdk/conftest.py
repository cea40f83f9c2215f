"""A small project whose pipeline uses every step."""

from pathlib import Path

import pytest

from towpath.sdk import (
    Condition,
    CreateModel,
    Fail,
    Pipeline,
    Processing,
    Register,
    Training,
    dataset,
    join,
    parameter,
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("prepare.py", "train.py", "evaluate.py", "inference.py"):
        (tmp_path / name).write_text(f"print({name!r})\n")
    return tmp_path


@pytest.fixture
def pipeline(project: Path) -> Pipeline:
    limit = parameter("MinAccuracy", 0.60)
    model = parameter("Model", "bert", enum=["bert", "baseline"])
    prepare = Processing(
        "Prepare",
        script="prepare.py",
        inputs={"raw": dataset("reviews")},
        outputs=["train", "test"],
        arguments={"rows_per_class": 1000},
    )
    train = Training(
        "Train",
        script="train.py",
        include=["inference.py"],
        channels={"train": prepare.output("train")},
        hyperparameters={"model": model, "epochs": 2, "lr": 3e-4, "freeze": True, "version": "1"},
        metrics={"validation:accuracy": r"accuracy=([0-9.]+)"},
    )
    evaluate = Processing(
        "Evaluate",
        script="evaluate.py",
        inputs={"model": train.model, "test": prepare.output("test")},
        outputs=["evaluation"],
    )
    accuracy = evaluate.json("evaluation", "accuracy")
    register = Register("Register", group="reviews", model=train.model, metrics=evaluate.file("evaluation"))
    gate = Condition(
        "AccuracyGate",
        if_=[accuracy >= limit],
        then=[register, CreateModel("CreateModel", model=train.model)],
        otherwise=[Fail("TooLow", message=join("accuracy ", accuracy, " is below ", limit))],
    )
    return Pipeline("reviews", steps=[prepare, train, evaluate, gate], root=project)
