"""The smoke test of a deployment, in two processing jobs: `ask` writes the questions, `check` judges the answers.

In between the platform has the model answer each line of the questions, and puts each answer to its question.
"""

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

LABELS = {"negative", "neutral", "positive"}
PLAIN = {"negative", "positive"}  #: of reviews that are meant so no usable model is wrong; neutral is a matter of taste
ANSWER = "SageMakerOutput"  #: where the platform puts the answer to a question
FOLDER = Path("/opt/ml/processing")
MESSAGE = Path("/opt/ml/output/message")  #: what is written here is why the job failed


def ask(samples: Path, output: Path) -> None:
    """Write the samples as JSON Lines, a record for each."""
    output.mkdir(parents=True, exist_ok=True)
    records = json.loads(samples.read_text(encoding="utf-8"))
    output.joinpath("questions.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))


def faults(answers: list[dict[str, Any]]) -> list[str]:
    """Return what is wrong with the answers, nothing when the model may serve."""
    if not answers:
        return ["the model was asked nothing"]
    return [f"{record['text'][:60]!r}: {fault}" for record in answers if (fault := fault_of(record))]


def fault_of(record: dict[str, Any]) -> str | None:
    """Return what is wrong with the answer to one question, None when nothing is."""
    answer = record.get(ANSWER)
    if not isinstance(answer, dict) or answer.get("label") not in LABELS:
        return f"the answer {json.dumps(answer)[:200]} has no label of {', '.join(sorted(LABELS))}"
    shares = answer.get("probabilities")
    if not isinstance(shares, dict) or not math.isclose(sum(shares.values()), 1.0, abs_tol=0.01):
        return f"the probabilities {json.dumps(shares)[:200]} do not add up to 1"
    meant = record["meant"]
    return (
        f"{meant} was meant, {answer['label']} is the answer" if meant in PLAIN and answer["label"] != meant else None
    )


def check(folder: Path, message: Path) -> int:
    """Print each answer and return the exit code: 1 when the model must not serve, with the reason in `message`."""
    lines = [line for file in sorted(folder.glob("*.out")) for line in file.read_text().splitlines() if line]
    answers = [json.loads(line) for line in lines]
    for record in answers:
        print(json.dumps(record))
    found = faults(answers)
    if found:
        message.parent.mkdir(parents=True, exist_ok=True)
        message.write_text("The model failed its smoke test: " + "; ".join(found))
    return 1 if found else 0


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Return the settings from the command line."""
    parser = argparse.ArgumentParser(description="Ask a model a few questions, and judge what it answered.")
    parser.add_argument("part", choices=["ask", "check"])
    parser.add_argument("--samples", type=Path, default=Path(__file__).with_name("samples.json"))
    parser.add_argument("--questions", type=Path, default=FOLDER / "output" / "questions")
    parser.add_argument("--answers", type=Path, default=FOLDER / "input" / "answers")
    parser.add_argument("--message", type=Path, default=MESSAGE)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run one of the two parts and return its exit code."""
    settings = parse(argv)
    if settings.part == "check":
        return check(settings.answers, settings.message)
    ask(settings.samples, settings.questions)
    return 0


if __name__ == "__main__":
    sys.exit(main())
