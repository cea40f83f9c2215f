"""The steps that decide how a pipeline goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

from towpath.sdk.build import Build
from towpath.sdk.errors import DefinitionError
from towpath.sdk.expressions import Document, Expression, Predicate, as_text
from towpath.sdk.steps.step import Step, StepResult, steps_of


@dataclass(eq=False)
class Condition(Step):
    """Goes on with one of two lists of steps.

    Example:
        Condition("AccuracyGate", if_=evaluate.json("evaluation", "accuracy") >= min_accuracy,
                  then=[register, create], otherwise=[too_low])
    """

    _: KW_ONLY
    if_: Predicate | Sequence[Predicate]  #: of a list, all must hold
    then: Sequence[Step | StepResult] = ()
    otherwise: Sequence[Step | StepResult] = ()

    type: ClassVar[str] = "Condition"

    def __post_init__(self) -> None:
        super().__post_init__()
        conditions = list(self.if_) if isinstance(self.if_, list | tuple) else [self.if_]
        for condition in conditions:
            if not isinstance(condition, Predicate):
                raise DefinitionError(
                    f"step {self.name}: {condition!r} is no condition; compare a value that is known while the "
                    'pipeline runs, as in evaluate.json("evaluation", "accuracy") >= 0.6'
                )
        if not conditions:
            raise DefinitionError(f"step {self.name} has no condition")
        if not self.then and not self.otherwise:
            raise DefinitionError(f"step {self.name} decides nothing; give steps in then, otherwise, or both")
        self.branches()

    @property
    def nested(self) -> Sequence[Step]:
        return tuple(step for _, steps in self.branches() for step in steps)

    def branches(self) -> tuple[tuple[str, tuple[Step, ...]], ...]:
        return tuple(
            (name, steps_of(getattr(self, name), f"step {self.name}, {name}")) for name in ("then", "otherwise")
        )

    @property
    def conditions(self) -> tuple[Predicate, ...]:
        """What must hold, all of it."""
        given = (self.if_,) if isinstance(self.if_, Predicate) else tuple(self.if_)
        return tuple(condition for each in given for condition in each.all_of())

    def request(self, build: Build) -> Document:
        (_, then), (_, otherwise) = self.branches()
        return {
            "Conditions": list(self.conditions),
            "IfSteps": [step.document(build) for step in then],
            "ElseSteps": [step.document(build) for step in otherwise],
        }


@dataclass(eq=False)
class Fail(Step):
    """Ends the execution as Failed, with a message.

    Example:
        Fail("AccuracyTooLow", message=join("accuracy ", evaluate.json("evaluation", "accuracy"), " is too low"))
    """

    _: KW_ONLY
    message: str | Expression

    type: ClassVar[str] = "Fail"

    def request(self, build: Build) -> Document:
        return {"ErrorMessage": as_text(self.message)}
