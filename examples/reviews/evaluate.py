"""Measures a trained model on the test split and writes `evaluation.json`. Runs as a processing job.

The model is asked through the very code that will answer requests at the endpoint, taken out of its own archive.
"""

import argparse
import csv
import importlib.util
import json
import sys
import tarfile
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

from sklearn.metrics import classification_report, confusion_matrix


def unpack(folder: Path, target: Path) -> None:
    """Unpack the model archive of a folder, or of its only one of several levels, into another.

    Raises:
        FileNotFoundError: there is no archive.
    """
    archives = sorted(folder.rglob("model.tar.gz"))
    if not archives:
        raise FileNotFoundError(f"no model.tar.gz in {folder}")
    with tarfile.open(archives[0]) as archive:
        # The filter came with Python 3.11.4; before, an archive is unpacked as it is. A training step wrote this one.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(target)


def load_code(folder: Path) -> ModuleType:
    """Return the module that answers requests for the model in a folder."""
    spec = importlib.util.spec_from_file_location("inference", folder / "code" / "inference.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(f"no code/inference.py in {folder}")
    module = importlib.util.module_from_spec(spec)
    sys.modules["inference"] = module  # dataclasses look their module up by name
    spec.loader.exec_module(module)
    return module


def read_test(folder: Path) -> tuple[list[str], list[int]]:
    """Return texts and class indices of the test split."""
    rows = []
    for path in sorted(folder.glob("*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            rows += list(csv.DictReader(file))
    return [row["text"] for row in rows], [int(row["sentiment"]) + 1 for row in rows]


def evaluate(truth: list[int], found: list[int], labels: tuple[str, ...]) -> dict[str, Any]:
    """Return the document that is stored: the two figures that decide on top, all others below `report`."""
    classes = list(range(len(labels)))
    report = classification_report(
        truth, found, labels=classes, target_names=labels, output_dict=True, zero_division=0.0
    )
    return {
        # Four digits: with a thousand rows the fifth means nothing, and people read these in messages.
        "accuracy": round(report["accuracy"], 4),
        "macro_f1": round(report["macro avg"]["f1-score"], 4),
        "rows": len(truth),
        "report": report,
        "confusion_matrix": {
            "labels": labels,
            "rows_true_columns_predicted": confusion_matrix(truth, found, labels=classes).tolist(),
        },
    }


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Return the settings from the command line."""
    root = Path("/opt/ml/processing")
    parser = argparse.ArgumentParser(description="Evaluate a trained model on the test split.")
    parser.add_argument("--model", type=Path, default=root / "input" / "model", help="folder that holds model.tar.gz")
    parser.add_argument("--test", type=Path, default=root / "input" / "test")
    parser.add_argument("--output", type=Path, default=root / "output" / "evaluation")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Write `evaluation.json` and print the report."""
    settings = parse(argv)
    texts, truth = read_test(settings.test)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        unpack(settings.model, folder)
        code = load_code(folder)
        probabilities = code.model_fn(scratch).probabilities(texts)
    found = [max(range(len(row)), key=row.__getitem__) for row in probabilities]
    document = evaluate(truth, found, code.LABELS)
    settings.output.mkdir(parents=True, exist_ok=True)
    settings.output.joinpath("evaluation.json").write_text(json.dumps(document, indent=2))
    print(classification_report(truth, found, target_names=code.LABELS, digits=3, zero_division=0.0))
    print(f"test:accuracy={document['accuracy']:.4f} test:f1={document['macro_f1']:.4f}")


if __name__ == "__main__":
    main()
