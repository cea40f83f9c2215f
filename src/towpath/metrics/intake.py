"""What becomes of values that come: they are kept, the oldest go, and the alarms on their metrics are looked at."""

from collections.abc import Container, Iterator, Mapping, Sequence
from datetime import timedelta

from towpath.kernel.ports import Datum, Filter, Query, SeriesKey, Transaction
from towpath.kernel.queries import every_in
from towpath.kernel.resource import Resource, view
from towpath.metrics.kinds import ALARM, METRIC
from towpath.metrics.model import AlarmSpec, digest
from towpath.metrics.statistics import beginning

_GO_AT_ONCE = 1000  #: old values that go when new ones come, at most; more than one request mostly brings


def take_in(
    transaction: Transaction,
    values: Mapping[SeriesKey, Sequence[Datum]],
    *,
    keep_days: float | None,
    watched: Container[SeriesKey] | None = None,
) -> None:
    """Keep values of metrics, in the transaction in which they came.

    Args:
        keep_days: values that are older go; None: none go this time.
        watched: the metrics on which there are alarms, where that is known.
    """
    now = transaction.now
    for key, data in values.items():
        transaction.series.put(key, data, now)
        if watched is not None and key not in watched:
            continue
        earliest = min(each.at for each in data)
        for alarm in watching(transaction, key):
            period_s = view(AlarmSpec, alarm.spec).period
            # Only whole periods are looked at.
            over = beginning(earliest, period_s) + timedelta(seconds=period_s)
            transaction.work.schedule(alarm.uid, max(now, over))
    if keep_days is not None:
        transaction.series.drop(now - timedelta(days=keep_days), _GO_AT_ONCE)


def watching(transaction: Transaction, key: SeriesKey) -> Iterator[Resource]:
    """Return the alarms on a metric, one by one."""
    return every_in(transaction, Query(kind=ALARM.noun, filters=(Filter(METRIC, "=", digest(key)),)))
