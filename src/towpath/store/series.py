"""The repository of CloudWatch's metrics: which there are, and their values."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import lru_cache

from sqlalchemy import Connection, bindparam, delete, select
from sqlalchemy.dialects.sqlite import insert

from towpath.kernel.ports import Datum, SeriesKey
from towpath.store.codec import from_epoch, from_json, to_epoch, to_json
from towpath.store.prepared import Prepared
from towpath.store.tables import metric_datum, metric_series

_ROWS_AT_A_TIME = 500

# Each step of a pipeline brings values: these run with every turn of the engine.
_KEY = ("namespace", "name", "dimensions")
_received = insert(metric_series).values({name: bindparam(name) for name in (*_KEY, "received_at")})
_RECEIVED = Prepared(
    _received.on_conflict_do_update(
        index_elements=list(_KEY), set_={"received_at": _received.excluded.received_at}
    ).returning(metric_series.c.id)
)
_VALUES = ("series", "at", "unit", "count", "total", "least", "greatest")
_ADD = Prepared(insert(metric_datum).values({name: bindparam(name) for name in _VALUES}))


class SeriesTable:
    """Implements `kernel.ports.SeriesRows`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, key: SeriesKey, data: Sequence[Datum], now: datetime) -> None:
        if not data:
            return
        series = _RECEIVED(
            self._connection,
            namespace=key.namespace,
            name=key.name,
            dimensions=_dimensions(key),
            received_at=to_epoch(now),
        ).scalar()
        for each in data:
            _ADD(
                self._connection,
                series=series,
                at=to_epoch(each.at),
                unit=each.unit,
                count=each.count,
                total=each.total,
                least=each.least,
                greatest=each.greatest,
            )

    def data(self, key: SeriesKey, start: datetime, end: datetime, unit: str | None = None) -> Iterator[Datum]:
        number = self._find(key)
        if number is None:
            return
        datum = metric_datum.c
        wanted = [datum.series == number, datum.at >= to_epoch(start), datum.at < to_epoch(end)]
        if unit is not None:
            wanted.append(datum.unit == unit)
        rows = self._connection.execute(select(metric_datum).where(*wanted).order_by(datum.at, datum.seq))
        for row in rows:
            yield Datum(
                at=from_epoch(row.at),
                count=row._mapping["count"],
                total=row.total,
                least=row.least,
                greatest=row.greatest,
                unit=row.unit,
            )

    def has_data(self, key: SeriesKey, start: datetime) -> bool:
        number, datum = self._find(key), metric_datum.c
        wanted = select(datum.seq).where(datum.series == number, datum.at >= to_epoch(start)).limit(1)
        return number is not None and self._connection.execute(wanted).first() is not None

    def keys(
        self, *, namespace: str | None, name: str | None, since: datetime | None, after: int
    ) -> Iterator[tuple[int, SeriesKey]]:
        series = metric_series.c
        wanted = []
        if namespace is not None:
            wanted.append(series.namespace == namespace)
        if name is not None:
            wanted.append(series.name == name)
        if since is not None:
            wanted.append(series.received_at >= to_epoch(since))
        while True:
            page = select(metric_series).where(series.id > after, *wanted).order_by(series.id).limit(_ROWS_AT_A_TIME)
            rows = self._connection.execute(page).all()
            for row in rows:
                yield row.id, _key(row.namespace, row.name, row.dimensions)
            if len(rows) < _ROWS_AT_A_TIME:
                return
            after = rows[-1].id

    def drop(self, before: datetime, most: int) -> int:
        datum, series = metric_datum.c, metric_series.c
        old = select(datum.seq).where(datum.at < to_epoch(before)).order_by(datum.at).limit(most)
        count = self._connection.execute(delete(metric_datum).where(datum.seq.in_(old))).rowcount
        if count:
            left = select(datum.seq).where(datum.series == series.id).exists()
            empty = delete(metric_series).where(series.received_at < to_epoch(before), ~left)
            self._connection.execute(empty)
        return count

    def _find(self, key: SeriesKey) -> int | None:
        series = metric_series.c
        wanted = select(series.id).where(
            series.namespace == key.namespace, series.name == key.name, series.dimensions == _dimensions(key)
        )
        return self._connection.execute(wanted).scalar_one_or_none()


@lru_cache(maxsize=4096)
def _dimensions(key: SeriesKey) -> str:
    return to_json([list(pair) for pair in key.dimensions]).decode()


def _key(namespace: str, name: str, dimensions: str) -> SeriesKey:
    pairs = from_json(dimensions.encode())
    return SeriesKey(namespace=namespace, name=name, dimensions=tuple((pair[0], pair[1]) for pair in pairs))
