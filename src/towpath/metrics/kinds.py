"""The kind Alarm."""

from towpath.kernel.errors import NotFound
from towpath.kernel.kinds import Kind
from towpath.kernel.resource import Resource, view
from towpath.metrics.model import AlarmSpec, digest

METRIC = "Metric"  #: indexed member of an alarm: stands for its metric


def _missing(_: str, name: str) -> NotFound:
    return NotFound(f"There is no alarm {name!r}.", code="ResourceNotFound")


def _indexed(alarm: Resource) -> dict[str, str | float | None]:
    return {METRIC: digest(view(AlarmSpec, alarm.spec).key)}


ALARM = Kind(
    noun="Alarm",
    arn_type="alarm",
    name_member="AlarmName",
    arn_member="AlarmArn",
    status_member="StateValue",
    missing=_missing,
    indexed=_indexed,
    controlled=True,
)

KINDS = (ALARM,)
