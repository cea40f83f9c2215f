"""The repository of metrics: the values, and what they come to."""

from collections.abc import Callable, Iterator, Sequence

from sqlalchemy import Connection, and_, func, insert, select

from towpath.kernel.ports import Measured, MetricSummary
from towpath.kernel.resource import Uid
from towpath.store.codec import from_epoch, to_epoch
from towpath.store.tables import metric_point

_ROWS_AT_A_TIME = 500


class MetricTable:
    """Implements `kernel.ports.MetricRows`."""

    def __init__(self, connection: Connection, measured: Callable[[Uid, Sequence[Measured]], None]) -> None:
        self._connection = connection
        self._measured = measured  # tells those who wait for them, in this same transaction

    def put(self, subject: Uid, values: Sequence[Measured]) -> None:
        rows = [
            {"subject": subject, "name": item.name, "at": to_epoch(item.at), "step": item.step, "value": item.value}
            for item in values
        ]
        if rows:
            self._connection.execute(insert(metric_point), rows)
            self._measured(subject, values)

    def summaries(self, subjects: Sequence[Uid]) -> list[MetricSummary]:
        point = metric_point.c
        short = (
            select(
                point.subject,
                point.name,
                func.count().label("count"),
                func.min(point.value).label("least"),
                func.max(point.value).label("greatest"),
                func.avg(point.value).label("mean"),
                func.max(point.at).label("at"),
            )
            .where(point.subject.in_(subjects))
            .group_by(point.subject, point.name)
            .subquery()
        )
        # In two passes: the mean of the squares less the square of the mean loses its digits where values are close.
        joined = metric_point.join(short, and_(short.c.subject == point.subject, short.c.name == point.name))
        off = point.value - short.c.mean
        squares = (
            select(*short.c, func.avg(off * off).label("variance"))
            .select_from(joined)
            .group_by(*short.c)
            .order_by(short.c.name, short.c.subject)
        )
        return [
            MetricSummary(
                subject=Uid(row.subject),
                name=row.name,
                count=row._mapping["count"],
                least=row.least,
                greatest=row.greatest,
                mean=row.mean,
                deviation=max(row.variance, 0.0) ** 0.5,
                last=self._last(row.subject, row.name),
                at=from_epoch(row.at),
            )
            for row in self._connection.execute(squares).all()
        ]

    def _last(self, subject: str, name: str) -> float:
        point = metric_point.c
        latest = (
            select(point.value)
            .where(point.subject == subject, point.name == name)
            .order_by(point.at.desc(), point.seq.desc())
            .limit(1)
        )
        return float(self._connection.execute(latest).scalar_one())

    def values(self, subject: Uid, name: str) -> Iterator[Measured]:
        point = metric_point.c
        at, seq = -1e300, 0
        while True:
            rows = self._connection.execute(
                select(point.at, point.seq, point.step, point.value)
                .where(
                    point.subject == subject,
                    point.name == name,
                    (point.at > at) | and_(point.at == at, point.seq > seq),
                )
                .order_by(point.at, point.seq)
                .limit(_ROWS_AT_A_TIME)
            ).all()
            for row in rows:
                yield Measured(name=name, value=row.value, at=from_epoch(row.at), step=row.step)
            if len(rows) < _ROWS_AT_A_TIME:
                return
            at, seq = rows[-1].at, rows[-1].seq
