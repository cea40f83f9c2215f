"""The pipeline as a document: its parameters, its gate, and that scripts and pipeline agree on names."""

import re
from typing import Any

import pytest

import evaluate
import pipeline
import prepare
import train


@pytest.fixture(scope="module")
def definition() -> dict[str, Any]:
    return pipeline.pipeline.definition()


def step(definition: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in definition["Steps"] if each["Name"] == name)
    return found


def test_the_defaults_are_those_of_the_readme(definition: dict[str, Any]) -> None:
    defaults = {each["Name"]: each["DefaultValue"] for each in definition["Parameters"]}
    assert defaults == {"Model": "bert", "MinAccuracy": 0.6, "Rows": 3000, "Epochs": 2, "Seed": 42}


def test_a_model_is_registered_only_behind_the_gate(definition: dict[str, Any]) -> None:
    assert [each["Name"] for each in definition["Steps"]] == ["Prepare", "Train", "Evaluate", "GoodEnough"]
    gate = step(definition, "GoodEnough")["Arguments"]
    assert [each["Type"] for each in gate["IfSteps"]] == ["RegisterModel", "Model"]
    assert [each["Type"] for each in gate["ElseSteps"]] == ["Fail"]
    assert gate["IfSteps"][0]["Arguments"]["ModelApprovalStatus"] == "PendingManualApproval"


def test_the_metrics_are_found_in_what_training_prints(
    definition: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    train.print_scores([0, 1, 2, 2], [0, 1, 2, 1])
    printed = "step 10/188 train:loss=0.9876 (9 s)\n" + capsys.readouterr().out
    wanted = step(definition, "Train")["Arguments"]["AlgorithmSpecification"]["MetricDefinitions"]
    found = {each["Name"]: re.search(each["Regex"], printed) for each in wanted}
    values = {name: float(match[1]) for name, match in found.items() if match}
    assert values == {
        "train:loss": 0.9876,
        "validation:accuracy": 0.75,
        "validation:f1": pytest.approx(0.7778, abs=1e-3),
    }


def test_scripts_write_and_read_where_the_pipeline_looks(definition: dict[str, Any]) -> None:
    prepared = {
        each["OutputName"]: each["S3Output"]["LocalPath"]
        for each in step(definition, "Prepare")["Arguments"]["ProcessingOutputConfig"]["Outputs"]
    }
    output = prepare.parse([]).output
    assert prepared == {name: str(output / name) for name in ("train", "validation", "test", "summary")}
    evaluation = step(definition, "Evaluate")["Arguments"]
    read = {each["InputName"]: each["S3Input"]["LocalPath"] for each in evaluation["ProcessingInputs"]}
    settings = evaluate.parse([])
    assert (read["model"], read["test"]) == (str(settings.model), str(settings.test))
    (written,) = evaluation["ProcessingOutputConfig"]["Outputs"]
    assert written["S3Output"]["LocalPath"] == str(settings.output)


def test_training_reads_the_channels_that_the_pipeline_fills(
    definition: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TRAIN", "VALIDATION", "START"):
        monkeypatch.delenv(f"SM_CHANNEL_{name}", raising=False)
    channels = [each["ChannelName"] for each in step(definition, "Train")["Arguments"]["InputDataConfig"]]
    settings = train.parse([])
    read = [settings.train, settings.validation, settings.start]
    assert [str(folder) for folder in read] == [f"/opt/ml/input/data/{name}" for name in channels]
