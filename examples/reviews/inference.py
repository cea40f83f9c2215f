"""Answers requests with either model. Travels in the model archive: evaluation and the endpoint run the same code.

In:  JSON `{"text": "…"}`, a string, a list of either, or `{"instances": [...]}`; CSV with the text in the first
     column; or plain text.
Out: for one text `{"label": "positive", "probabilities": {"negative": 0.01, …}}`; for several
     `{"predictions": [...]}` in the order of the request; as CSV one line `label,negative,neutral,positive` a text.
"""

import csv
import io
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

# Before any numerical library is loaded: threads that wait for work must not burn the cores others need.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

LABELS = ("negative", "neutral", "positive")
BATCH = 32

Answer = dict[str, Any]  #: `label`, and `probabilities` by label
Prediction = Answer | list[Answer]


class Classifier(Protocol):
    """A model that gives each text a probability for each label."""

    def probabilities(self, texts: Sequence[str]) -> list[list[float]]:
        """Return one row a text, in the order of `LABELS`, each summing to 1."""


@dataclass(frozen=True)
class Texts:
    """The texts of one request."""

    texts: list[str]
    single: bool  #: the request was one text, not a list: the answer is then one object


class Baseline:
    """TF-IDF and logistic regression, as scikit-learn stored them."""

    def __init__(self, folder: Path) -> None:
        import joblib

        self._pipeline = joblib.load(folder / "model.joblib")

    def probabilities(self, texts: Sequence[str]) -> list[list[float]]:
        rows: list[list[float]] = self._pipeline.predict_proba(list(texts)).tolist()
        return rows


class Bert:
    """A fine-tuned BERT-family classifier."""

    def __init__(self, folder: Path, *, max_length: int) -> None:
        import torch
        import transformers
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        transformers.logging.disable_progress_bar()
        torch.set_num_threads(int(os.environ.get("SM_NUM_CPUS", 0)) or len(os.sched_getaffinity(0)))
        self._torch = torch
        self._max_length = max_length
        self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self._model = AutoModelForSequenceClassification.from_pretrained(folder, local_files_only=True).eval()

    def probabilities(self, texts: Sequence[str]) -> list[list[float]]:
        torch = self._torch
        # Texts of like length share a batch, so that little is computed on padding.
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        rows: list[list[float]] = [[]] * len(texts)
        with torch.inference_mode():
            for start in range(0, len(order), BATCH):
                batch = order[start : start + BATCH]
                tokens = self._tokenizer(
                    [texts[i] for i in batch],
                    truncation=True,
                    max_length=self._max_length,
                    padding=True,
                    return_tensors="pt",
                )
                answer = torch.softmax(self._model(**tokens).logits, dim=-1).tolist()
                for i, row in zip(batch, answer, strict=True):
                    rows[i] = row
        return rows


def model_fn(model_dir: str) -> Classifier:
    """Return the model stored in a folder, whichever of the two it is."""
    folder = Path(model_dir)
    about = json.loads((folder / "about.json").read_text())
    if about["model"] == "bert":
        return Bert(folder, max_length=about["max_length"])
    return Baseline(folder)


def input_fn(body: str | bytes, content_type: str) -> Texts:
    """Return the texts of a request.

    Raises:
        ValueError: the body cannot be read, says what was expected.
    """
    text = body.decode() if isinstance(body, bytes) else body
    kind = content_type.split(";")[0].strip().lower()
    if kind == "application/json":
        return _from_json(json.loads(text))
    if kind == "text/csv":
        return Texts([row[0] for row in csv.reader(io.StringIO(text)) if row], single=False)
    if kind == "text/plain":
        return Texts([text], single=True)
    raise ValueError(f"content type {content_type!r} is not known: send application/json, text/csv or text/plain")


def predict_fn(data: Texts, model: Classifier) -> Prediction:
    """Return label and probabilities of each text; one alone for a request that held one text."""
    answers = [describe(row) for row in model.probabilities(data.texts)]
    return answers[0] if data.single else answers


def output_fn(prediction: Prediction, accept: str) -> tuple[str, str]:
    """Return the answer and its content type."""
    if accept.split(";")[0].strip().lower() == "text/csv":
        answers = [prediction] if isinstance(prediction, dict) else prediction
        lines = io.StringIO()
        csv.writer(lines).writerows([a["label"], *a["probabilities"].values()] for a in answers)
        return lines.getvalue(), "text/csv"
    document = prediction if isinstance(prediction, dict) else {"predictions": prediction}
    return json.dumps(document), "application/json"


def describe(probabilities: Sequence[float]) -> Answer:
    """Return the most probable label and all probabilities by name."""
    best = max(range(len(LABELS)), key=lambda i: probabilities[i])
    return {
        "label": LABELS[best],
        "probabilities": {name: round(share, 4) for name, share in zip(LABELS, probabilities, strict=True)},
    }


def _from_json(document: Any) -> Texts:
    if isinstance(document, dict) and "instances" in document:
        document = document["instances"]
    if isinstance(document, list):
        return Texts([_one(item) for item in document], single=False)
    if isinstance(document, dict) and isinstance(document.get("text"), list):
        return Texts([_one(item) for item in document["text"]], single=False)
    return Texts([_one(document)], single=True)


def _one(item: Any) -> str:
    text = item.get("text") if isinstance(item, dict) else item
    if not isinstance(text, str):
        raise ValueError(f'expected a text or {{"text": "…"}}, got {json.dumps(item)[:200]}')
    return text
