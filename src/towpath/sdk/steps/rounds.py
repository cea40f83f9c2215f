"""The step that runs others once for each item of a list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, ClassVar

from towpath.sdk.build import Build
from towpath.sdk.errors import DefinitionError
from towpath.sdk.expressions import Document, Expression, Get
from towpath.sdk.steps.step import Step, StepResult, name_of, steps_of


@dataclass(eq=False)
class ForEach(Step):
    """Runs steps once for each item, side by side.

    Example:
        train = Training("Train", script="train.py", hyperparameters={"epochs": ForEach.item})
        tries = ForEach("Tries", items=[1, 2, 5], steps=[train], highest=train.property("FinalMetricDataList[0].Value"))
        Register("Register", group="reviews", model=tries.selected("ModelArtifacts.S3ModelArtifacts"))
    """

    _: KW_ONLY
    items: Sequence[Any] | Expression  #: a list without repetitions, or a value that is one while the pipeline runs
    steps: Sequence[Step | StepResult]
    at_once: int | Expression | None = None  #: rounds that run at one time, None: all
    highest: Get | None = None  #: select the round in which this property of one of the steps is largest
    lowest: Get | None = None  #: or smallest

    type: ClassVar[str] = "ForEach"
    item: ClassVar[Get] = Get("ForEach.CurrentItem")  #: the item of the round, for values of the steps

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_items()
        if not self.steps:
            raise DefinitionError(f"step {self.name} has no steps to run for each item")
        if any(isinstance(step, ForEach) for step in self.nested):
            raise DefinitionError(f"step {self.name}: a ForEach cannot stand inside another one")
        if self.highest is not None and self.lowest is not None:
            raise DefinitionError(f"step {self.name}: give highest or lowest, one of them")
        judged = self.lowest if self.highest is None else self.highest
        if judged is not None and not isinstance(judged, Get):
            raise DefinitionError(
                f"step {self.name} selects by {judged!r}; expected a property of one of its steps, something like "
                'train.metric("accuracy") or train.property("…")'
                + ("; what a function returns cannot be selected by" if isinstance(judged, StepResult) else "")
            )
        if judged is not None and not {*judged.steps} & {step.name for step in self.nested}:
            raise DefinitionError(
                f"step {self.name} selects by {judged.path}, which is no property of one of its steps; expected "
                'something like train.property("…")'
            )

    def _check_items(self) -> None:
        if isinstance(self.items, Expression):
            return
        if isinstance(self.items, str) or not isinstance(self.items, Sequence):
            raise DefinitionError(
                f"step {self.name}: items is {self.items!r}; expected a list, or a value that is one while the "
                "pipeline runs"
            )
        # What a round writes lies below the text of its item.
        texts = [str(item) for item in self.items if not isinstance(item, Expression)]
        twice = next((text for text in texts if texts.count(text) > 1), None)
        if twice is not None:
            raise DefinitionError(
                f"step {self.name}: {twice} is twice among the items, so that two rounds would write to one place; "
                "give each round an item of its own"
            )

    @property
    def nested(self) -> Sequence[Step]:
        return tuple(step for _, steps in self.branches() for step in steps)

    def branches(self) -> tuple[tuple[str, tuple[Step, ...]], ...]:
        return (("steps", steps_of(self.steps, f"step {self.name}, steps")),)

    def selected(self, path: str) -> Get:
        """Return a reference to a member of what the step that is compared found in the selected round."""
        return Get(f"Steps.{self.name}.Selected.{path}")

    def output(self, number: int, step: Step | StepResult | str, path: str) -> Get:
        """Return a reference to a member of what a step found in a round, counted from 0."""
        return Get(f"Steps.{self.name}.IterationOutputs[{number}].{name_of(step)}.{path}")

    def request(self, build: Build) -> Document:
        inside = replace(build, round=self.item)
        request: Document = {
            "IterableItems": self.items if isinstance(self.items, Expression) else list(self.items),
            "ForEachBody": [step.document(inside) for step in self.nested],
        }
        if self.at_once is not None:
            request["MaxConcurrency"] = self.at_once
        for pick, judged in (("MaxBy", self.highest), ("MinBy", self.lowest)):
            if judged is not None:
                field = Get(f"IterationOutput.{judged.path.partition('.')[2]}")
                request["Selector"] = {"Pick": pick, "Field": field}
        return request
