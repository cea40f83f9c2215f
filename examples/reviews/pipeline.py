"""The pipeline: raw reviews become a registered sentiment model, or a clear refusal.

    Prepare ─► Train ─► Evaluate ─► good enough? ─┬─ yes ─► Register, CreateModel
                                                  └─ no ──► TooInaccurate

Run it with `towpath run pipeline.py`, another model with `-p Model=baseline`, another threshold with
`-p MinAccuracy=0.7`. `python data.py` fetches the two datasets that it reads, see README.md.
"""

from towpath import Condition, CreateModel, Fail, Pipeline, Processing, Register, Training, dataset, join, parameter

model = parameter("Model", "bert", enum=["bert", "baseline"])
min_accuracy = parameter("MinAccuracy", 0.60)  # chance is a third
rows = parameter("Rows", 3000)
epochs = parameter("Epochs", 2)
seed = parameter("Seed", 42)

prepare = Processing(
    "Prepare",
    script="prepare.py",
    inputs={"raw": dataset("reviews")},
    outputs=["train", "validation", "test", "summary"],
    arguments={"rows": rows, "seed": seed},
    cache="P30D",
    description="Balance the reviews and split them",
)

train = Training(
    "Train",
    script="train.py",
    include=["inference.py"],
    channels={
        "train": prepare.output("train"),
        "validation": prepare.output("validation"),
        # Pretrained weights or the baseline's settings: what training starts from comes out of the lake as well, so
        # that the lineage of a model names it.
        "start": join(dataset("starting-points").uri, model, "/"),
    },
    hyperparameters={"model": model, "epochs": epochs, "seed": seed},
    metrics={
        "train:loss": r"train:loss=([0-9.]+)",
        "validation:accuracy": r"validation:accuracy=([0-9.]+)",
        "validation:f1": r"validation:f1=([0-9.]+)",
    },
    cache="P30D",
    description="Fine-tune MiniLM, or fit the baseline",
)

evaluate = Processing(
    "Evaluate",
    script="evaluate.py",
    inputs={"model": train.model, "test": prepare.output("test")},
    outputs=["evaluation"],
    cache="P30D",
    description="Measure the model on reviews that it has not seen",
)
accuracy = evaluate.json("evaluation", "accuracy")

register = Register(
    "Register",
    group="reviews",
    model=train.model,
    metrics=evaluate.file("evaluation"),
    content_types=["application/json", "text/csv", "text/plain"],
    response_types=["application/json", "text/csv"],
    properties={"model": model, "accuracy": accuracy, "macro_f1": evaluate.json("evaluation", "macro_f1")},
    description="Sentiment of clothing reviews",
)
create = CreateModel("CreateModel", model=train.model)

too_inaccurate = Fail(
    "TooInaccurate",
    message=join("accuracy ", accuracy, " on the test set is below MinAccuracy ", min_accuracy),
)

pipeline = Pipeline(
    "reviews",
    description="From raw clothing reviews to a registered sentiment model",
    parameters=[model, min_accuracy, rows, epochs, seed],
    steps=[
        prepare,
        train,
        evaluate,
        Condition("GoodEnough", if_=accuracy >= min_accuracy, then=[register, create], otherwise=[too_inaccurate]),
    ],
)
