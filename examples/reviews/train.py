"""Trains a sentiment model on the prepared splits. Runs as a training job, in script mode.

`--model bert` fine-tunes the pretrained MiniLM that the channel `start` brings; `--model baseline` fits TF-IDF and
logistic regression with the settings that the same channel brings. Both leave the same kind of folder in the model
directory, with the code that answers requests inside, and both print the lines that the pipeline reads metrics from:
`train:loss=…` and `validation:accuracy=… validation:f1=…`.
"""

import argparse
import csv
import json
import os
import random
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before any numerical library is loaded, see inference.py

from inference import LABELS

if TYPE_CHECKING:
    import torch

BATCH = 32
HEAD_LEARNING_RATE = 1e-3  #: for the new classification layer, which starts from nothing
LEARNING_RATE = 3e-4  #: for the pretrained layers
WARM_UP_SHARE = 0.1  #: of all steps, with the learning rate rising from 0


@dataclass(frozen=True)
class Examples:
    """Texts and the index of each one's label."""

    texts: list[str]
    labels: list[int]


def read_split(folder: Path) -> Examples:
    """Return what the CSV files of a channel hold.

    Raises:
        FileNotFoundError: there is no CSV file.
    """
    files = sorted(folder.glob("*.csv"))
    if not files:
        raise FileNotFoundError(f"no CSV file in {folder}")
    rows = []
    for path in files:
        with path.open(newline="", encoding="utf-8") as file:
            rows += list(csv.DictReader(file))
    # Sentiments are -1, 0 and 1; classes count from 0.
    return Examples([row["text"] for row in rows], [int(row["sentiment"]) + 1 for row in rows])


def train_baseline(train: Examples, validation: Examples, folder: Path, *, start: Path, seed: int) -> None:
    """Fit TF-IDF with logistic regression, by the settings in `start/baseline.json`, and store it."""
    import joblib
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss
    from sklearn.pipeline import make_pipeline

    settings = json.loads((start / "baseline.json").read_text())
    model = make_pipeline(
        TfidfVectorizer(ngram_range=tuple(settings["ngram_range"]), min_df=settings["min_df"], sublinear_tf=True),
        LogisticRegression(C=settings["C"], solver="newton-cg", max_iter=1000, random_state=seed),
    )
    model.fit(train.texts, train.labels)
    print(f"train:loss={log_loss(train.labels, model.predict_proba(train.texts)):.4f}", flush=True)
    print_scores(validation.labels, model.predict(validation.texts).tolist())
    joblib.dump(model, folder / "model.joblib")
    describe(folder, model="baseline")


def train_bert(
    train: Examples,
    validation: Examples,
    folder: Path,
    *,
    start: Path,
    epochs: int,
    max_length: int,
    frozen_layers: int,
    seed: int,
) -> None:
    """Fine-tune the pretrained encoder with a new classification layer, and store it with its tokenizer."""
    import torch
    import transformers
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    transformers.logging.set_verbosity_error()  # that the classification layer is new is the point
    transformers.logging.disable_progress_bar()
    torch.manual_seed(seed)
    torch.set_num_threads(int(os.environ.get("SM_NUM_CPUS", 0)) or len(os.sched_getaffinity(0)))
    tokenizer = AutoTokenizer.from_pretrained(start, local_files_only=True)
    model = AutoModelForSequenceClassification.from_pretrained(
        start,
        local_files_only=True,
        id2label=dict(enumerate(LABELS)),
        label2id={label: i for i, label in enumerate(LABELS)},
    )
    for part in (model.bert.embeddings, *model.bert.encoder.layer[:frozen_layers]):
        part.requires_grad_(False)
    encoder = [p for p in model.bert.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        [
            {"params": encoder, "lr": LEARNING_RATE},
            {"params": model.classifier.parameters(), "lr": HEAD_LEARNING_RATE},
        ],
        weight_decay=0.01,
        fused=True,
    )
    steps = epochs * -(-len(train.texts) // BATCH)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate_share(step, steps))
    tokens = tokenizer(train.texts, truncation=True, max_length=max_length)["input_ids"]
    held_out = tokenizer(validation.texts, truncation=True, max_length=max_length)["input_ids"]
    order, step, since = random.Random(seed), 0, time.monotonic()
    print(f"{len(train.texts)} examples, {steps} steps, {torch.get_num_threads()} threads", flush=True)
    for epoch in range(1, epochs + 1):
        model.train()
        losses: list[float] = []
        for batch in batches([len(ids) for ids in tokens], order):
            inputs = padded([tokens[i] for i in batch])
            answer = model(**inputs, labels=torch.tensor([train.labels[i] for i in batch]))
            answer.loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad(set_to_none=True)
            losses.append(answer.loss.item())
            step += 1
            if step % 10 == 0 or step == steps:
                recent = losses[-10:]
                seconds = time.monotonic() - since
                print(f"step {step}/{steps} train:loss={sum(recent) / len(recent):.4f} ({seconds:.0f} s)", flush=True)
        print(f"epoch {epoch} of {epochs}", flush=True)
        print_scores(validation.labels, predictions(model, held_out))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    describe(folder, model="bert", max_length=max_length)


def learning_rate_share(step: int, steps: int) -> float:
    """Return the share of the full learning rate at a step: rising at first, then falling to 0 in a straight line."""
    rising = max(1, round(steps * WARM_UP_SHARE))
    return (step + 1) / rising if step < rising else max(0.0, (steps - step) / max(1, steps - rising))


def batches(lengths: Sequence[int], order: random.Random) -> Iterator[list[int]]:
    """Yield the indices of each batch in a random order, texts of like length together to save padding.

    Only neighbours of about fifty batches are sorted, so which texts meet in a batch still changes every time.
    """
    shuffled = list(range(len(lengths)))
    order.shuffle(shuffled)
    window = 50 * BATCH
    made = []
    for start in range(0, len(shuffled), window):
        by_length = sorted(shuffled[start : start + window], key=lambda i: lengths[i])
        made += [by_length[i : i + BATCH] for i in range(0, len(by_length), BATCH)]
    order.shuffle(made)
    yield from made


def padded(rows: Sequence[Sequence[int]]) -> dict[str, "torch.Tensor"]:
    """Return token ids and their mask as rectangles as wide as the longest row."""
    import torch

    width = max(len(row) for row in rows)
    ids = torch.tensor([[*row, *[0] * (width - len(row))] for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    return {"input_ids": ids, "attention_mask": mask}


def predictions(model: Any, tokens: Sequence[Sequence[int]]) -> list[int]:
    """Return the most probable class of each row of token ids."""
    import torch

    model.eval()
    order = sorted(range(len(tokens)), key=lambda i: len(tokens[i]))
    classes = [0] * len(tokens)
    with torch.inference_mode():
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            best = model(**padded([tokens[i] for i in batch])).logits.argmax(dim=-1).tolist()
            for i, found in zip(batch, best, strict=True):
                classes[i] = found
    return classes


def print_scores(truth: Sequence[int], found: Sequence[int]) -> None:
    """Print accuracy and macro-F1 in the form that the pipeline's metric definitions read."""
    from sklearn.metrics import accuracy_score, f1_score

    accuracy, f1 = accuracy_score(truth, found), f1_score(truth, found, average="macro")
    print(f"validation:accuracy={accuracy:.4f} validation:f1={f1:.4f}", flush=True)


def describe(folder: Path, **about: Any) -> None:
    """Write what `inference.model_fn` has to know, and put that code beside the model."""
    folder.joinpath("about.json").write_text(json.dumps({**about, "labels": LABELS}, indent=2))
    code = folder / "code"
    code.mkdir(exist_ok=True)
    shutil.copyfile(Path(__file__).with_name("inference.py"), code / "inference.py")


def channel(name: str) -> Path:
    """Return the folder of an input channel; a shell that is not a job may name it in SM_CHANNEL_<NAME>."""
    return Path(os.environ.get(f"SM_CHANNEL_{name.upper()}", f"/opt/ml/input/data/{name}"))


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Return the settings from the command line, which script mode makes of the hyperparameters."""
    parser = argparse.ArgumentParser(description="Train a sentiment model.")
    parser.add_argument("--model", choices=["bert", "baseline"], default="bert")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--max-length", type=int, default=64, help="tokens of a text that are read")
    parser.add_argument("--frozen-layers", type=int, default=3, help="lowest encoder layers that keep their weights")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--train", type=Path, default=channel("train"))
    parser.add_argument("--validation", type=Path, default=channel("validation"))
    parser.add_argument("--start", type=Path, default=channel("start"), help="weights, or settings of the baseline")
    parser.add_argument("--model-dir", type=Path, default=Path(os.environ.get("SM_MODEL_DIR", "/opt/ml/model")))
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Train what the settings name and leave it in the model directory."""
    settings = parse(argv)
    train, validation = read_split(settings.train), read_split(settings.validation)
    settings.model_dir.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    if settings.model == "bert":
        train_bert(
            train,
            validation,
            settings.model_dir,
            start=settings.start,
            epochs=settings.epochs,
            max_length=settings.max_length,
            frozen_layers=settings.frozen_layers,
            seed=settings.seed,
        )
    else:
        train_baseline(train, validation, settings.model_dir, start=settings.start, seed=settings.seed)
    print(f"train:seconds={time.monotonic() - began:.1f}", flush=True)


if __name__ == "__main__":
    main()
