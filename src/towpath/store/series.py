"""The repository of CloudWatch's metrics: which there are, and their values."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from towpath.kernel.ports import Datum, SeriesKey
from towpath.store.codec import from_epoch, from_json, to_epoch, to_json
from towpath.store.prepared import Prepared
from towpath.store.tables import metric_datum, metric_series

_ROWS_AT_A_TIME = 500

# What each execution and each value of a job runs in the transaction that tells of it.
_datum, _series = metric_datum.c, metric_series.c
_VALUES = ("series", "at", "unit", "count", "total", "least", "greatest")
_FIND = Prepared(
    select(_series.id).where(
        _series.namespace == bindparam("space"),
        _series.name == bindparam("named"),
        _series.dimensions == bindparam("of"),
    )
)
_MAKE = Prepared(
    insert(metric_series)
    .values({name: bindparam(name) for name in ("namespace", "name", "dimensions", "received_at")})
    .returning(_series.id)
)
_RECEIVED = Prepared(
    update(metric_series).where(_series.id == bindparam("number")).values(received_at=bindparam("received"))
)
_ADD = Prepared(insert(metric_datum).values({name: bindparam(name) for name in _VALUES}))
_DROP = Prepared(
    delete(metric_datum).where(
        _datum.seq.in_(
            select(_datum.seq).where(_datum.at < bindparam("before")).order_by(_datum.at).limit(bindparam("most"))
        )
    )
)


class SeriesTable:
    """Implements `kernel.ports.SeriesRows`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, key: SeriesKey, data: Sequence[Datum], now: datetime) -> None:
        if not data:
            return
        number, received_at = self._find(key), to_epoch(now)
        if number is None:
            row = {"namespace": key.namespace, "name": key.name, "dimensions": _dimensions(key)}
            number = _MAKE(self._connection, **row, received_at=received_at).scalar()
        else:
            _RECEIVED(self._connection, number=number, received=received_at)
        rows = [
            {
                "series": number,
                "at": to_epoch(each.at),
                "unit": each.unit,
                "count": each.count,
                "total": each.total,
                "least": each.least,
                "greatest": each.greatest,
            }
            for each in data
        ]
        _ADD.many(self._connection, rows)

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
        count = _DROP(self._connection, before=to_epoch(before), most=most).rowcount
        if count:
            left = select(datum.seq).where(datum.series == series.id).exists()
            empty = delete(metric_series).where(series.received_at < to_epoch(before), ~left)
            self._connection.execute(empty)
        return count

    def _find(self, key: SeriesKey) -> int | None:
        found: int | None = _FIND(self._connection, space=key.namespace, named=key.name, of=_dimensions(key)).scalar()
        return found


def _dimensions(key: SeriesKey) -> str:
    return to_json([list(pair) for pair in key.dimensions]).decode()


def _key(namespace: str, name: str, dimensions: str) -> SeriesKey:
    pairs = from_json(dimensions.encode())
    return SeriesKey(namespace=namespace, name=name, dimensions=tuple((pair[0], pair[1]) for pair in pairs))
