"""When a step that has failed is tried again, by the names of the SageMaker SDK.

Retry policies look at what the platform or its host did wrong. Nothing tries a script again that raises an exception.
Source of names, defaults and limits: SageMaker Python SDK 2, sagemaker.workflow.retry.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from towpath.sdk.errors import DefinitionError
from towpath.sdk.expressions import Document

_MOST_ATTEMPTS = 20
_LONGEST_MIN = 14_400


class StepExceptionTypeEnum(StrEnum):
    """What may go wrong when a step of any type begins."""

    SERVICE_FAULT = "Step.SERVICE_FAULT"
    THROTTLING = "Step.THROTTLING"


class SageMakerJobExceptionTypeEnum(StrEnum):
    """What may go wrong with the job of a step."""

    INTERNAL_ERROR = "SageMaker.JOB_INTERNAL_ERROR"  #: what runs the job vanished; not that a script was killed
    CAPACITY_ERROR = "SageMaker.CAPACITY_ERROR"
    RESOURCE_LIMIT = "SageMaker.RESOURCE_LIMIT"


_Kind = TypeVar("_Kind", StepExceptionTypeEnum, SageMakerJobExceptionTypeEnum)


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how long something is tried again. Made as one of the two classes below."""

    backoff_rate: float = 2.0  #: by which the wait grows from one retry to the next
    interval_seconds: int = 1  #: before the first retry
    max_attempts: int | None = None  #: retries at most, 1 to 20; 5 where neither end is given
    expire_after_mins: int | None = None  #: since the first failure, after which there is no retry; up to 14400

    def __post_init__(self) -> None:
        if self.max_attempts is not None and self.expire_after_mins is not None:
            raise DefinitionError("a retry policy ends by max_attempts or by expire_after_mins; give one of them")
        _within("backoff_rate", self.backoff_rate, 0, None)
        _within("interval_seconds", self.interval_seconds, 0, None)
        _within("max_attempts", self.max_attempts, 1, _MOST_ATTEMPTS)
        _within("expire_after_mins", self.expire_after_mins, 1, _LONGEST_MIN)

    @property
    def names(self) -> tuple[str, ...]:
        """The exception types, in the definition's words."""
        return ()

    def to_request(self) -> Document:
        """Return the policy as it stands in the definition."""
        ends = {"MaxAttempts": self.max_attempts, "ExpireAfterMin": self.expire_after_mins}
        return {
            "ExceptionType": list(self.names),
            "IntervalSeconds": self.interval_seconds,
            "BackoffRate": float(self.backoff_rate),
            **{name: value for name, value in ends.items() if value is not None},
        }


@dataclass(frozen=True, init=False)
class StepRetryPolicy(RetryPolicy):
    """Tries a step again that could not begin.

    Example:
        StepRetryPolicy([StepExceptionTypeEnum.SERVICE_FAULT], max_attempts=3)
    """

    exception_types: tuple[StepExceptionTypeEnum, ...] = ()

    def __init__(
        self,
        exception_types: Iterable[StepExceptionTypeEnum | str],
        backoff_rate: float = 2.0,
        interval_seconds: int = 1,
        max_attempts: int | None = None,
        expire_after_mins: int | None = None,
    ) -> None:
        super().__init__(backoff_rate, interval_seconds, max_attempts, expire_after_mins)
        object.__setattr__(self, "exception_types", _known(exception_types, StepExceptionTypeEnum))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(each.value for each in self.exception_types)


@dataclass(frozen=True, init=False)
class SageMakerJobStepRetryPolicy(RetryPolicy):
    """Tries a step again whose job could not be created, or has failed by no fault of its script.

    Example:
        SageMakerJobStepRetryPolicy(failure_reason_types=[SageMakerJobExceptionTypeEnum.INTERNAL_ERROR], max_attempts=2)
    """

    exception_type_list: tuple[SageMakerJobExceptionTypeEnum, ...] = ()

    def __init__(
        self,
        exception_types: Iterable[SageMakerJobExceptionTypeEnum | str] | None = None,
        failure_reason_types: Iterable[SageMakerJobExceptionTypeEnum | str] | None = None,
        backoff_rate: float = 2.0,
        interval_seconds: int = 1,
        max_attempts: int | None = None,
        expire_after_mins: int | None = None,
    ) -> None:
        super().__init__(backoff_rate, interval_seconds, max_attempts, expire_after_mins)
        given = dict.fromkeys([*(exception_types or ()), *(failure_reason_types or ())])
        object.__setattr__(self, "exception_type_list", _known(given, SageMakerJobExceptionTypeEnum))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(each.value for each in self.exception_type_list)


def policies_of(given: Sequence[RetryPolicy], where: str) -> list[Document]:
    """Return the policies of a step as they stand in its definition.

    Raises:
        DefinitionError: something in it is none, or two of them are for the same.
    """
    if isinstance(given, RetryPolicy):
        raise DefinitionError(f"{where}: retry_policies expects a list of policies; put brackets around the one")
    seen: set[str] = set()
    for each in given:
        if not isinstance(each, StepRetryPolicy | SageMakerJobStepRetryPolicy):
            raise DefinitionError(
                f"{where}: {each!r} is no retry policy; expected StepRetryPolicy(…) or SageMakerJobStepRetryPolicy(…)"
            )
        for name in each.names:
            if name in seen:
                raise DefinitionError(f"{where}: two retry policies are for {name}, and the second would never be used")
            seen.add(name)
    return [each.to_request() for each in given]


def _known(given: Iterable[_Kind | str], kind: type[_Kind]) -> tuple[_Kind, ...]:
    if isinstance(given, str):
        raise DefinitionError(f"exception types are a list; put brackets around {str(given)!r}")
    found = []
    for each in given:
        try:
            found.append(kind(each))
        except ValueError:
            expected = ", ".join(f"{kind.__name__}.{member.name}" for member in kind)
            raise DefinitionError(f"{each!r} is no exception type of this policy; expected {expected}") from None
    if not found:
        raise DefinitionError(f"a retry policy names what it is for; expected a list of {kind.__name__}")
    return tuple(found)


def _within(name: str, value: float | None, least: int, most: int | None) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or value < least or (most and value > most):
        expected = f"{least} to {most}" if most else f"at least {least}"
        raise DefinitionError(f"{name} of a retry policy is {value!r}; expected {expected}")
