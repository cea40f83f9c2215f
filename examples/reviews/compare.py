"""Trains both models over several seeds, without the platform, and prints accuracy, macro-F1 and time as a table.

    python compare.py --seeds 1 2 3

The seed decides the split, the order of the training rows and the first weights of the classification layer; both
models get the same rows.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import data


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one model reached with one seed."""

    model: str
    seed: int
    accuracy: float
    macro_f1: float
    train_s: float  #: wall time of the training script, imports included
    train_cpu_s: float  #: processor time of the same


def measure(model: str, seed: int, folders: dict[str, Path], *, rows: int) -> Result:
    """Return what a model reaches with a seed, by the very scripts that the pipeline runs."""
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        run("prepare.py", "--input", folders["reviews"], "--output", work, "--seed", seed, "--rows", rows)
        began, cpu = time.monotonic(), children_cpu_s()
        inputs = ["--train", work / "train", "--validation", work / "validation"]
        start = folders["starting-points"] / model
        run("train.py", "--model", model, *inputs, "--start", start, "--model-dir", work / "model", "--seed", seed)
        train_s, train_cpu_s = time.monotonic() - began, children_cpu_s() - cpu
        archive = work / "archive"
        archive.mkdir()
        with tarfile.open(archive / "model.tar.gz", "w:gz", compresslevel=1) as tar:
            tar.add(work / "model", arcname=".")
        run("evaluate.py", "--model", archive, "--test", work / "test", "--output", work / "evaluation")
        found = json.loads((work / "evaluation" / "evaluation.json").read_text())
    return Result(
        model=model,
        seed=seed,
        accuracy=found["accuracy"],
        macro_f1=found["macro_f1"],
        train_s=train_s,
        train_cpu_s=train_cpu_s,
    )


def run(script: str, *arguments: object) -> None:
    """Run one of the pipeline's scripts; what it prints goes to standard error."""
    command = [sys.executable, str(data.HERE / script), *(str(each) for each in arguments)]
    subprocess.run(command, check=True, stdout=sys.stderr, env={**os.environ, "HF_HUB_OFFLINE": "1"})


def children_cpu_s() -> float:
    """Return the processor time of all child processes that have ended, in seconds."""
    times = os.times()
    return times.children_user + times.children_system


def table(results: list[Result]) -> str:
    """Return the results as a Markdown table, with mean and range of each model."""
    lines = ["| model | seed | accuracy | macro-F1 | training, s | processor, s |", "|---|---|---|---|---|---|"]
    for each in results:
        figures = f"{each.accuracy:.3f} | {each.macro_f1:.3f} | {each.train_s:.0f} | {each.train_cpu_s:.0f}"
        lines.append(f"| {each.model} | {each.seed} | {figures} |")
    for model in dict.fromkeys(each.model for each in results):
        own = [each for each in results if each.model == model]
        accuracy, f1 = [each.accuracy for each in own], [each.macro_f1 for each in own]
        means = f"{statistics.mean(accuracy):.3f} | {statistics.mean(f1):.3f}"
        lines.append(f"| **{model}** | mean of {len(own)} | {means} | | |")
        lines.append(f"| {model} | range | {min(accuracy):.3f}-{max(accuracy):.3f} | {min(f1):.3f}-{max(f1):.3f} | | |")
    return "\n".join(lines)


def main() -> None:
    """Measure what the command line asks for and print the table."""
    parser = argparse.ArgumentParser(description="Compare the two models over several seeds.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--models", nargs="+", choices=["bert", "baseline"], default=["bert", "baseline"])
    parser.add_argument("--rows", type=int, default=3000)
    settings = parser.parse_args()
    folders = {name: folder for model in settings.models for name, folder in data.datasets(model).items()}
    results = [
        measure(model, seed, folders, rows=settings.rows) for model in settings.models for seed in settings.seeds
    ]
    print(table(results))


if __name__ == "__main__":
    main()
