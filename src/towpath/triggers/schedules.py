"""Schedule expressions: when something is due next. Pure.

Source: Amazon EventBridge Scheduler User Guide, "Schedule types in EventBridge Scheduler"; Amazon EventBridge User
Guide, "Cron expressions" and "Rate expressions".
"""

import calendar
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from towpath.kernel.errors import Invalid

_UNITS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}
_MONTHS = {name.upper(): number for number, name in enumerate(calendar.month_abbr) if name}
_DAYS = {name: number for number, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), 1)}
_YEARS = range(1970, 2200)
_LONGEST_RATE = timedelta(days=36_500)  #: nobody waits longer, and calendars end
_EXAMPLES = "rate(5 minutes), cron(0 12 * * ? *)"
_PART = re.compile(r"(?P<first>\*|[0-9A-Z]+)(?:-(?P<last>[0-9A-Z]+))?(?:/(?P<every>[0-9]+))?")


class Schedule(Protocol):
    """When something is due."""

    def after(self, moment: datetime, *, since: datetime) -> datetime | None:
        """Return the first time after `moment`, None when there is none.

        Args:
            moment: aware, UTC; so is what is returned.
            since: when the schedule began: rates count from there.
        """

    def until(self, moment: datetime, *, since: datetime) -> Iterator[datetime]:
        """Yield the times that are not after `moment`, the latest first."""

    def count(self, first: datetime, last: datetime, *, since: datetime) -> int:
        """Return how many times there are from `first` to `last`, both of them counted where they are times."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Every so often, from the beginning of the schedule on."""

    every: timedelta

    def after(self, moment: datetime, *, since: datetime) -> datetime | None:
        """See `Schedule`."""
        if moment < since:
            return since
        try:
            return since + ((moment - since) // self.every + 1) * self.every
        except OverflowError:
            return None  # after the year 9999

    def until(self, moment: datetime, *, since: datetime) -> Iterator[datetime]:
        """See `Schedule`."""
        for number in range((moment - since) // self.every, -1, -1):
            yield since + number * self.every

    def count(self, first: datetime, last: datetime, *, since: datetime) -> int:
        """See `Schedule`."""
        before = -((since - first) // self.every)  # number of the first time that is not before `first`
        return max((last - since) // self.every - max(before, 0) + 1, 0)


@dataclass(frozen=True, slots=True)
class Once:
    """One time."""

    at: datetime

    def after(self, moment: datetime, *, since: datetime) -> datetime | None:
        """See `Schedule`."""
        return self.at if self.at > moment else None

    def until(self, moment: datetime, *, since: datetime) -> Iterator[datetime]:
        """See `Schedule`."""
        if self.at <= moment:
            yield self.at

    def count(self, first: datetime, last: datetime, *, since: datetime) -> int:
        """See `Schedule`."""
        return int(first <= self.at <= last)


@dataclass(frozen=True, slots=True)
class Cron:
    """The minutes of a calendar that six fields describe, by the wall clock of a time zone.

    A time that the clocks skip in spring is left out, one that they repeat in autumn comes once.
    """

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: str  #: of the month
    months: tuple[int, ...]
    weekdays: str
    years: tuple[int, ...]
    zone: ZoneInfo

    def after(self, moment: datetime, *, since: datetime) -> datetime | None:
        """See `Schedule`."""
        local = moment.astimezone(self.zone)
        for year in (year for year in self.years if year >= local.year):
            for month in self.months:
                if (year, month) < (local.year, local.month):
                    continue
                for day in self._days_of(year, month):
                    if date(year, month, day) < local.date():
                        continue
                    found = self._on(date(year, month, day), moment)
                    if found is not None:
                        return found
        return None

    def until(self, moment: datetime, *, since: datetime) -> Iterator[datetime]:
        """See `Schedule`."""
        today = moment.astimezone(self.zone).date()
        for year in (year for year in reversed(self.years) if year <= today.year):
            for month in reversed(self.months):
                for day in reversed(self._days_of(year, month)):
                    if date(year, month, day) <= today:
                        times = tuple(self._times_of(date(year, month, day)))
                        yield from (time for time in reversed(times) if time <= moment)

    def count(self, first: datetime, last: datetime, *, since: datetime) -> int:
        """See `Schedule`. Whole days are not looked through, unless clocks are set in them."""
        begin, end = (moment.astimezone(self.zone).date() for moment in (first, last))
        found = 0
        for year in (year for year in self.years if begin.year <= year <= end.year):
            for month in self.months:
                for day in (date(year, month, number) for number in self._days_of(year, month)):
                    if begin < day < end and self._offset(day) == self._offset(day + timedelta(days=1)):
                        found += len(self.hours) * len(self.minutes)
                    elif begin <= day <= end:
                        found += sum(first <= time <= last for time in self._times_of(day))
        return found

    def _on(self, day: date, moment: datetime) -> datetime | None:
        return next((time for time in self._times_of(day) if time > moment), None)

    def _times_of(self, day: date) -> Iterator[datetime]:
        for hour in self.hours:
            for minute in self.minutes:
                wall = datetime(day.year, day.month, day.day, hour, minute, tzinfo=self.zone)
                found = wall.astimezone(UTC)
                if found.astimezone(self.zone).replace(fold=0) == wall:
                    yield found

    def _offset(self, day: date) -> timedelta | None:
        return datetime(day.year, day.month, day.day, tzinfo=self.zone).utcoffset()

    def _days_of(self, year: int, month: int) -> Sequence[int]:
        if self.days != "?":
            return _days_of_month(self.days, year, month)
        return _days_of_week(self.weekdays, year, month)


@lru_cache(maxsize=1024)
def parsed(expression: str, zone: str = "UTC", *, once: bool = True) -> Schedule:
    """Return the schedule that an expression stands for.

    Args:
        zone: name of a time zone of the IANA database, for example Europe/Berlin.
        once: whether at(…) is one; rules know it not.
    Raises:
        Invalid: it is no such expression, or there is no such time zone; says what was expected.
    """
    form = re.fullmatch(r"(rate|cron|at)\((.*)\)", expression)
    if form is None or (form[1] == "at" and not once):
        at = " or at(2027-01-31T12:00:00)" if once else "; at(…) is for schedules of EventBridge Scheduler alone"
        raise Invalid(f"ScheduleExpression {expression!r} is not valid; expected, for example, {_EXAMPLES}{at}")
    where = _zone(zone)
    match form[1]:
        case "rate":
            return _rate(form[2], expression)
        case "at":
            return _at(form[2], expression, where)
        case _:
            return _cron(form[2], expression, where)


def first_time(schedule: Schedule, now: datetime, begins_at: datetime | None = None) -> datetime | None:
    """Return when a schedule that is made now is due first, None when it never is.

    Args:
        begins_at: nothing is due before it, and a rate begins with it; None: now.
    """
    since = begins_at or now
    # A schedule with a beginning that is still to come is due then; a rate without one begins to count now.
    return schedule.after(since - timedelta(microseconds=1) if since > now else now, since=since)


def refuse_never_due(
    expression: str,
    schedule: Schedule,
    now: datetime,
    *,
    begins_at: datetime | None = None,
    ends_at: datetime | None = None,
) -> None:
    """Refuse a schedule that would wait for ever.

    Raises:
        Invalid: none of its times is still to come between its dates; says why.
    """
    first = first_time(schedule, now, begins_at)
    if first is not None and (ends_at is None or first <= ends_at):
        return
    told = f"ScheduleExpression {expression!r} is never due"
    if first is not None:
        raise Invalid(f"{told}: its first time is {first:%Y-%m-%dT%H:%M:%SZ}, after the EndDate")
    if first_time(schedule, now) is not None:
        raise Invalid(f"{told}: it has no time after the StartDate")
    if schedule.after(datetime(_YEARS.start, 1, 1, tzinfo=UTC), since=now) is not None:
        raise Invalid(f"{told}: {'it is' if isinstance(schedule, Once) else 'all its times are'} in the past")
    raise Invalid(f"{told}: no day of the years that it names is such a day")


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Invalid(f"There is no time zone {name!r}; expected a name like UTC or Europe/Berlin") from error


def _rate(text: str, expression: str) -> Rate:
    found = re.fullmatch(r"\s*([1-9][0-9]{0,8})\s+(minute|hour|day)(s?)\s*", text)
    if found is None or (int(found[1]) == 1) == bool(found[3]):
        raise Invalid(
            f"ScheduleExpression {expression!r} is not valid; expected rate(1 minute), rate(5 minutes), rate(1 hour), …"
        )
    every = _UNITS[found[2]] * int(found[1])
    if every > _LONGEST_RATE:
        raise Invalid(f"ScheduleExpression {expression!r} is not valid; expected at most {_LONGEST_RATE.days} days")
    return Rate(every)


def _at(text: str, expression: str, zone: ZoneInfo) -> Once:
    try:
        moment = datetime.strptime(text.strip() + "Z", "%Y-%m-%dT%H:%M:%S%z")
    except ValueError as error:
        raise Invalid(f"ScheduleExpression {expression!r} is not valid; expected at(yyyy-mm-ddThh:mm:ss)") from error
    return Once(moment.replace(tzinfo=zone).astimezone(UTC))


def _cron(text: str, expression: str, zone: ZoneInfo) -> Cron:
    fields = text.upper().split()
    if len(fields) != 6:
        raise Invalid(
            f"ScheduleExpression {expression!r} has {len(fields)} fields; expected six: minutes hours day-of-month "
            "month day-of-week year, for example cron(0 12 * * ? *)"
        )
    minutes, hours, days, months, weekdays, years = fields
    if (days == "?") == (weekdays == "?"):
        raise Invalid(
            f"ScheduleExpression {expression!r}: day-of-month and day-of-week exclude each other; one of them has to "
            "be ?"
        )
    try:
        found = Cron(
            minutes=_field("minutes", minutes, range(60)),
            hours=_field("hours", hours, range(24)),
            days=days,
            months=_field("month", months, range(1, 13), _MONTHS),
            weekdays=weekdays,
            years=_field("year", years, _YEARS),
            zone=zone,
        )
        with _naming("day-of-week" if days == "?" else "day-of-month"):
            found._days_of(2024, 1)  # a field that is wrong fails now and not at midnight
    except ValueError as error:
        raise Invalid(f"ScheduleExpression {expression!r} is not valid: {error}") from error
    return found


@contextmanager
def _naming(field: str) -> Iterator[None]:
    """Say of what is wrong which field of a cron expression it is in."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"its {field}: {error}") from error


def _field(name: str, text: str, allowed: range, names: Mapping[str, int] | None = None) -> tuple[int, ...]:
    with _naming(name):
        return _numbers(text, allowed, names)


def _numbers(field: str, allowed: range, names: Mapping[str, int] | None = None) -> tuple[int, ...]:
    """Return the numbers that a field of a cron expression stands for, in order.

    Raises:
        ValueError: it stands for none.
    """
    found: set[int] = set()
    for part in field.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(f"{part!r} is not one of *, a number, first-last, first/every or a list of them")
        first = allowed.start if match["first"] == "*" else _number(match["first"], allowed, names or {})
        if match["last"] is not None:
            last = _number(match["last"], allowed, names or {})
        else:
            last = allowed.stop - 1 if match["first"] == "*" or match["every"] else first
        every = int(match["every"] or 1)
        if every == 0:
            raise ValueError(f"{part!r} counts in steps of 0")
        if first > last:
            # From Friday to Monday, over the end of the range.
            found |= {*range(first, allowed.stop, every), *range(allowed.start, last + 1, every)}
        else:
            found |= set(range(first, last + 1, every))
    return tuple(sorted(found))


def _number(text: str, allowed: range, names: Mapping[str, int]) -> int:
    number = names.get(text, int(text) if text.isdecimal() else None)
    if number is None or number not in allowed:
        among = f", nor one of {', '.join(names)}" if names else ""
        raise ValueError(f"{text!r} is not between {allowed.start} and {allowed.stop - 1}{among}")
    return number


def _days_of_month(field: str, year: int, month: int) -> Sequence[int]:
    length = calendar.monthrange(year, month)[1]
    if field == "L":
        return (length,)
    nearest = re.fullmatch(r"(L|[0-9]{1,2})W", field)
    if nearest is not None:
        day = length if nearest[1] == "L" else _number(nearest[1], range(1, 32), {})
        return (_nearest_weekday(year, month, min(day, length), length),)
    return tuple(day for day in _numbers(field, range(1, 32)) if day <= length)


def _nearest_weekday(year: int, month: int, day: int, length: int) -> int:
    """Return the day from Monday to Friday that is nearest to a day, within its month."""
    weekday = date(year, month, day).weekday()
    if weekday == calendar.SATURDAY:
        return day - 1 if day > 1 else day + 2
    if weekday == calendar.SUNDAY:
        return day + 1 if day < length else day - 2
    return day


def _days_of_week(field: str, year: int, month: int) -> Sequence[int]:
    length = calendar.monthrange(year, month)[1]
    #: Sunday is 1, as in the expressions.
    numbers = {day: date(year, month, day).isoweekday() % 7 + 1 for day in range(1, length + 1)}
    if field == "L":
        field = "SAT"
    last = re.fullmatch(r"([0-9A-Z]+)L", field)
    if last is not None:
        wanted = _number(last[1], range(1, 8), _DAYS)
        return (max(day for day, number in numbers.items() if number == wanted),)
    nth = re.fullmatch(r"([0-9A-Z]+)#([1-5])", field)
    if nth is not None:
        wanted = _number(nth[1], range(1, 8), _DAYS)
        days = [day for day, number in numbers.items() if number == wanted]
        return days[int(nth[2]) - 1 : int(nth[2])]
    among = set(_numbers(field, range(1, 8), _DAYS))
    return tuple(day for day, number in numbers.items() if number in among)
