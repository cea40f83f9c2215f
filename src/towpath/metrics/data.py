"""The operations of CloudWatch on metrics: values in, and what they come to out.

Source: Amazon CloudWatch API Reference.
"""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from towpath.kernel import paging
from towpath.kernel.errors import Invalid, Unsupported
from towpath.kernel.operations import Request
from towpath.kernel.ports import Datum, SeriesKey, Transaction
from towpath.kernel.resource import Document
from towpath.metrics.intake import take_in
from towpath.metrics.model import key_of
from towpath.metrics.statistics import SIMPLE, check_period, in_periods, series, statistic

_LARGEST = 2.0**360  #: of a value
_MOST_METRICS = 1000  #: of one PutMetricData
_MOST_VALUES = 150  #: of one metric in it
_EARLIEST, _LATEST = timedelta(days=14), timedelta(hours=2)  #: of a time, seen from now
_MOST_POINTS = 100_800  #: of one GetMetricData
_MOST_STATISTICS = 1440  #: data points of one GetMetricStatistics
_MOST_QUERIES = 500
_PAGE = 500  #: metrics of one ListMetrics
_RECENT = timedelta(hours=3)  #: RecentlyActive
_VALUE, _COMBINATION, _MISSING = (
    "InvalidParameterValueException",
    "InvalidParameterCombinationException",
    "MissingRequiredParameterException",
)


class MetricData:
    """PutMetricData."""

    def __init__(self, keep_days: float) -> None:
        self._keep_days = keep_days

    def put(self, transaction: Transaction, request: Request) -> Document:
        """Carry out PutMetricData: all values are taken, or none."""
        asked = request.input
        if asked["Namespace"].startswith("AWS/"):
            raise Invalid(
                "The value AWS/ for parameter Namespace is invalid: namespaces that begin so are the platform's own.",
                code=_VALUE,
            )
        if asked.get("EntityMetricData"):
            raise Unsupported("EntityMetricData: metrics have no entities here; give MetricData", code=_VALUE)
        items = asked.get("MetricData") or []
        if not items:
            raise Invalid("The parameter MetricData is required.", code=_MISSING)
        if len(items) > _MOST_METRICS:
            raise Invalid(f"MetricData has {len(items)} metrics; expected at most {_MOST_METRICS}", code=_VALUE)
        values: dict[SeriesKey, list[Datum]] = {}
        for number, item in enumerate(items, 1):
            place = f"MetricData.member.{number}"
            _check_dimensions(item, place)
            key = key_of({"Namespace": asked["Namespace"], **item})
            values.setdefault(key, []).extend(_data(item, place, transaction.now))
        take_in(transaction, values, keep_days=self._keep_days)
        return {}


def get_metric_data(transaction: Transaction, request: Request) -> Document:
    """Carry out GetMetricData: data points of the queries, one after the other, in pages."""
    asked = request.input
    start, end = _window(asked)
    queries = asked["MetricDataQueries"]
    if not queries or len(queries) > _MOST_QUERIES:
        raise Invalid(f"MetricDataQueries: expected 1 to {_MOST_QUERIES} queries", code="ValidationException")
    ids = [query["Id"] for query in queries]
    if len(set(ids)) != len(ids):
        raise Invalid("MetricDataQueries: two queries have the same Id", code="ValidationException")
    most = min(asked.get("MaxDatapoints") or _MOST_POINTS, _MOST_POINTS)
    first = paging.position(asked.get("NextToken")) or 0
    results: list[Document] = []
    seen, end_of_page = 0, first + most
    ascending = asked.get("ScanBy") == "TimestampAscending"
    for query in queries:
        stat = _stat_of(query)
        if query.get("ReturnData") is False:
            continue
        points = list(_points(transaction, stat, start, end))
        if not ascending:
            points.reverse()
        begin, stop = max(0, first - seen), max(0, end_of_page - seen)
        shown, seen = points[begin:stop], seen + len(points)
        if begin and not shown:
            continue  # a page before this one has told all of it
        results.append(
            {
                "Id": query["Id"],
                "Label": query.get("Label") or stat["Metric"]["MetricName"],
                "Timestamps": [at.timestamp() for at, _ in shown],
                "Values": [value for _, value in shown],
                "StatusCode": "Complete" if stop >= len(points) else "PartialData",
            }
        )
    answer: Document = {"MetricDataResults": results, "Messages": []}
    return answer if seen <= end_of_page else {**answer, "NextToken": str(end_of_page)}


def get_metric_statistics(transaction: Transaction, request: Request) -> Document:
    """Carry out GetMetricStatistics: a data point of each period and unit, the earliest first."""
    asked = request.input
    start, end = _window(asked)
    period_s = asked["Period"]
    check_period(period_s)
    simple, percentiles = asked.get("Statistics") or [], asked.get("ExtendedStatistics") or []
    if not simple and not percentiles:
        raise Invalid("Must specify either Statistics or ExtendedStatistics", code=_MISSING)
    wanted = math.ceil((end - start).total_seconds() / period_s)
    if wanted > _MOST_STATISTICS:
        raise Invalid(
            f"You have requested up to {wanted} datapoints, which exceeds the limit of {_MOST_STATISTICS}. You may "
            "reduce the datapoints requested by increasing Period, or decreasing the time range.",
            code=_COMBINATION,
        )
    tell = {name: statistic(name) for name in percentiles}
    _check_dimensions(asked, "Dimensions")
    shown: list[Document] = []
    for begun, data in in_periods(transaction.series.data(key_of(asked), start, end, asked.get("Unit")), period_s):
        for unit in sorted({each.unit for each in data}):
            of_unit = [each for each in data if each.unit == unit]
            told = {name: value for name, stat in tell.items() if (value := stat(of_unit)) is not None}
            point: Document = {"Timestamp": begun.timestamp(), "Unit": unit}
            point |= {name: SIMPLE[name](of_unit) for name in simple}
            shown.append({**point, "ExtendedStatistics": told} if percentiles else point)
    return {"Label": asked["MetricName"], "Datapoints": shown}


def list_metrics(transaction: Transaction, request: Request) -> Document:
    """Carry out ListMetrics, those that came first before others."""
    asked = request.input
    since = None
    if asked.get("RecentlyActive") is not None:
        since = transaction.now - _RECENT
    if asked.get("OwningAccount") not in {None, transaction.home.account}:
        return {"Metrics": []}
    filters = asked.get("Dimensions") or []
    found: list[Document] = []
    last = 0
    after = paging.position(asked.get("NextToken")) or 0
    for number, key in transaction.series.keys(
        namespace=asked.get("Namespace"), name=asked.get("MetricName"), since=since, after=after
    ):
        if not all(_has(key, each) for each in filters):
            continue
        if len(found) == _PAGE:
            return {"Metrics": found, "NextToken": str(last)}
        last = number
        found.append(
            {
                "Namespace": key.namespace,
                "MetricName": key.name,
                "Dimensions": [{"Name": name, "Value": value} for name, value in key.dimensions],
            }
        )
    return {"Metrics": found}


def _has(key: SeriesKey, wanted: Document) -> bool:
    return any(name == wanted["Name"] and wanted.get("Value") in {None, value} for name, value in key.dimensions)


def _data(item: Document, place: str, now: datetime) -> Iterator[Datum]:
    """Yield the values of one metric.

    Raises:
        Invalid: they are not told in one way, or not such as CloudWatch takes.
    """
    at = now if item.get("Timestamp") is None else datetime.fromtimestamp(item["Timestamp"], UTC)
    if not now - _EARLIEST <= at <= now + _LATEST:
        raise Invalid(
            f"The parameter {place}.Timestamp must specify a time no more than two weeks in the past and no more than "
            f"two hours in the future; it is {at:%Y-%m-%dT%H:%M:%SZ}",
            code=_VALUE,
        )
    if item.get("StorageResolution") not in {None, 1, 60}:
        raise Invalid(f"The parameter {place}.StorageResolution must be 1 or 60", code=_VALUE)
    ways = [name for name in ("Value", "Values", "StatisticValues") if item.get(name) is not None]
    if len(ways) != 1:
        raise Invalid(
            f"{place}: give one of Value, Values and StatisticValues; there "
            f"{'are ' + ' and '.join(ways) if ways else 'is none'}",
            code=_COMBINATION if ways else _MISSING,
        )
    unit = item.get("Unit", "None")
    if ways == ["StatisticValues"]:
        told = item["StatisticValues"]
        count, total, least, most = (told[name] for name in ("SampleCount", "Sum", "Minimum", "Maximum"))
        for name in ("Sum", "Minimum", "Maximum"):
            _check_value(told[name], f"{place}.StatisticValues.{name}")
        if not 0 < count <= _LARGEST or least > most:
            raise Invalid(
                f"{place}.StatisticValues: expected a SampleCount above 0 and a Minimum of at most the Maximum",
                code=_VALUE,
            )
        yield Datum(at=at, count=count, total=total, least=least, greatest=most, unit=unit)
        return
    values = [item["Value"]] if ways == ["Value"] else item["Values"]
    counts = item.get("Counts") or [1.0] * len(values)
    if not 1 <= len(values) <= _MOST_VALUES or len(values) != len(counts):
        raise Invalid(
            f"{place}: expected 1 to {_MOST_VALUES} Values and as many Counts; there are {len(values)} and "
            f"{len(counts)}",
            code=_VALUE,
        )
    for value, count in zip(values, counts, strict=True):
        _check_value(value, f"{place}.Value")
        if not 0 < count <= _LARGEST:
            raise Invalid(f"{place}.Counts: a count is {count}; expected more than 0", code=_VALUE)
        yield Datum(at=at, count=count, total=value * count, least=value, greatest=value, unit=unit)


def _check_value(value: float, place: str) -> None:
    if not abs(value) <= _LARGEST:
        raise Invalid(f"{place} is {value}; expected -2^360 to 2^360", code=_VALUE)


def _check_dimensions(item: Document, place: str) -> None:
    names = [each["Name"] for each in item.get("Dimensions") or ()]
    for name in {name for name in names if names.count(name) > 1}:
        raise Invalid(f"{place}: the dimension {name!r} is given twice", code=_VALUE)


def _window(asked: Document) -> tuple[datetime, datetime]:
    start, end = (datetime.fromtimestamp(asked[name], UTC) for name in ("StartTime", "EndTime"))
    if start >= end:
        raise Invalid("The parameter StartTime must be less than the parameter EndTime.", code=_VALUE)
    return start, end


def _stat_of(query: Document) -> Document:
    """Return the MetricStat of a query.

    Raises:
        Unsupported: it is a math expression or another account's.
        Invalid: it is neither.
    """
    if query.get("Expression") is not None:
        raise Unsupported(
            f"The query {query['Id']!r} has the Expression {query['Expression']!r}: expressions are not evaluated "
            "here; ask for the metrics by MetricStat and work it out from them",
            code="ValidationException",
        )
    stat: Document | None = query.get("MetricStat")
    if stat is None:
        raise Invalid(f"The query {query['Id']!r} needs MetricStat", code="ValidationException")
    for name in ("Namespace", "MetricName"):
        if not stat["Metric"].get(name):
            raise Invalid(f"The query {query['Id']!r} needs MetricStat.Metric.{name}", code="ValidationException")
    check_period(stat["Period"], f"The Period of the query {query['Id']!r}")
    return stat


def _points(
    transaction: Transaction, stat: Document, start: datetime, end: datetime
) -> Iterator[tuple[datetime, float]]:
    tell = statistic(stat["Stat"])
    data = transaction.series.data(key_of(stat["Metric"]), start, end, stat.get("Unit"))
    return series(data, stat["Period"], tell)
