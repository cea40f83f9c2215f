"""When schedules are due: by the examples of AWS's documentation, and by a slow reckoning minute by minute."""

from datetime import UTC, datetime, timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.kernel.errors import Invalid
from towpath.triggers.schedules import Cron, parsed

BEGIN = datetime(2026, 11, 28, 5, 0, tzinfo=UTC)  #: a Saturday


def times(expression: str, zone: str = "UTC", count: int = 3, begin: datetime = BEGIN) -> list[str]:
    """Return the first times of a schedule, in UTC."""
    schedule, found, moment = parsed(expression, zone), [], begin
    for _ in range(count):
        following = schedule.after(moment, since=begin)
        if following is None:
            break
        assert following > moment
        found.append(f"{following:%Y-%m-%d %H:%M}")
        moment = following
    return found


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("rate(5 minutes)", ["2026-11-28 05:05", "2026-11-28 05:10", "2026-11-28 05:15"]),
        ("rate(1 hour)", ["2026-11-28 06:00", "2026-11-28 07:00", "2026-11-28 08:00"]),
        ("rate(7 days)", ["2026-12-05 05:00", "2026-12-12 05:00", "2026-12-19 05:00"]),
        ("cron(0 12 * * ? *)", ["2026-11-28 12:00", "2026-11-29 12:00", "2026-11-30 12:00"]),
        ("cron(0 18 ? * MON-FRI *)", ["2026-11-30 18:00", "2026-12-01 18:00", "2026-12-02 18:00"]),
        ("cron(0 8 1 * ? *)", ["2026-12-01 08:00", "2027-01-01 08:00", "2027-02-01 08:00"]),
        ("cron(0/15 * * * ? *)", ["2026-11-28 05:15", "2026-11-28 05:30", "2026-11-28 05:45"]),
        ("cron(0/10 * ? * MON-FRI *)", ["2026-11-30 00:00", "2026-11-30 00:10", "2026-11-30 00:20"]),
        ("cron(0 10 L * ? *)", ["2026-11-30 10:00", "2026-12-31 10:00", "2027-01-31 10:00"]),
        ("cron(0 10 15W * ? *)", ["2026-12-15 10:00", "2027-01-15 10:00", "2027-02-15 10:00"]),
        ("cron(0 10 1W 5 ? 2027)", ["2027-05-03 10:00"]),
        ("cron(0 10 ? * 6L *)", ["2026-12-25 10:00", "2027-01-29 10:00", "2027-02-26 10:00"]),
        ("cron(0 10 ? * 2#1 *)", ["2026-12-07 10:00", "2027-01-04 10:00", "2027-02-01 10:00"]),
        ("cron(0 9 ? * FRI-MON 2026)", ["2026-11-28 09:00", "2026-11-29 09:00", "2026-11-30 09:00"]),
        ("cron(0 0 29 FEB ? *)", ["2028-02-29 00:00", "2032-02-29 00:00", "2036-02-29 00:00"]),
        ("cron(0 0 31 2 ? *)", []),
        ("cron(30 4 28 11 ? 2026)", []),
        ("at(2026-11-28T06:30:00)", ["2026-11-28 06:30"]),
        ("at(2026-11-28T04:30:00)", []),
    ],
)
def test_a_schedule_is_due_when_its_expression_says(expression: str, expected: list[str]) -> None:
    assert times(expression) == expected


def test_a_time_zone_moves_the_wall_clock() -> None:
    assert times("cron(0 12 * * ? *)", "Europe/Berlin", 1) == ["2026-11-28 11:00"]
    assert times("at(2026-11-28T12:00:00)", "America/New_York") == ["2026-11-28 17:00"]


def test_clocks_that_are_set_leave_a_time_out_and_repeat_none() -> None:
    spring = datetime(2027, 3, 27, 12, tzinfo=UTC)  # at 02:00 of the 28th clocks go to 03:00
    assert times("cron(30 2 * * ? *)", "Europe/Berlin", 2, spring) == ["2027-03-29 00:30", "2027-03-30 00:30"]
    autumn = datetime(2027, 10, 30, 12, tzinfo=UTC)  # at 03:00 of the 31st clocks go back to 02:00
    assert times("cron(30 2 * * ? *)", "Europe/Berlin", 2, autumn) == ["2027-10-31 00:30", "2027-11-01 01:30"]


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("every day", "is not valid; expected"),
        ("rate(1 minutes)", "rate\\(1 minute\\)"),
        ("rate(5 minute)", "rate\\(1 minute\\)"),
        ("rate(0 minutes)", "rate\\(1 minute\\)"),
        ("cron(0 12 * * ?)", "5 fields; expected six"),
        ("cron(0 12 * * * *)", "exclude each other"),
        ("cron(0 12 ? * ? *)", "exclude each other"),
        ("cron(60 12 * * ? *)", "is not valid: its minutes: '60' is not between 0 and 59"),
        ("cron(0 12 ? * MUN *)", "its day-of-week: 'MUN' is not between 1 and 7, nor one of SUN, MON, TUE"),
        ("cron(0 12 32 * ? *)", "its day-of-month: '32' is not between 1 and 31"),
        ("cron(*/0 12 * * ? *)", "steps of 0"),
        ("at(tomorrow)", "at\\(yyyy-mm-ddThh:mm:ss\\)"),
    ],
)
def test_what_is_no_expression_is_refused(expression: str, told: str) -> None:
    with pytest.raises(Invalid, match=told):
        parsed(expression)


def test_rules_know_no_single_times_and_nobody_knows_that_zone() -> None:
    with pytest.raises(Invalid, match=r"is not valid.*; at\(…\) is for schedules of EventBridge Scheduler alone$"):
        parsed("at(2027-01-01T00:00:00)", once=False)
    with pytest.raises(Invalid, match="no time zone 'Mars/Olympus'"):
        parsed("rate(1 hour)", "Mars/Olympus")


_FIELD = st.sampled_from(["*", "0", "3", "7-9", "0/20", "5,17"])
_DAY = st.sampled_from(["*", "1", "15", "L", "28W", "10-12"])


@given(
    _FIELD,
    st.sampled_from(["*", "0", "3", "7-9", "0/6", "5,17"]),
    st.tuples(_DAY, st.just("?")) | st.tuples(st.just("?"), st.sampled_from(["MON", "SUN-TUE", "6L", "3#2"])),
    st.integers(0, 60 * 24 * 40),
    st.sampled_from(["UTC", "Europe/Berlin"]),
)
def test_no_time_is_left_out(minutes: str, hours: str, days: tuple[str, str], offset: int, zone: str) -> None:
    """The next time is the first minute that the fields describe."""
    schedule = parsed(f"cron({minutes} {hours} {days[0]} * {days[1]} *)", zone)
    assert isinstance(schedule, Cron)
    moment = BEGIN + timedelta(minutes=offset)
    following = schedule.after(moment, since=BEGIN)
    assert following is not None
    local = following.astimezone(ZoneInfo(zone))
    assert local.minute in schedule.minutes
    assert local.hour in schedule.hours
    assert local.day in schedule._days_of(local.year, local.month)
    probe = moment + timedelta(minutes=1)
    while probe < min(following, moment + timedelta(hours=6)):
        wall = probe.astimezone(ZoneInfo(zone))
        described = wall.minute in schedule.minutes and wall.hour in schedule.hours
        assert not described or wall.day not in schedule._days_of(wall.year, wall.month) or wall.fold
        probe += timedelta(minutes=1)


def test_a_rate_ends_with_the_calendar() -> None:
    since = datetime(9999, 12, 31, 12, tzinfo=UTC)
    rate = parsed("rate(1 day)")
    assert rate.after(since - timedelta(days=1), since=since) == since
    assert rate.after(since, since=since) is None


@pytest.mark.parametrize(
    ("expression", "zone"),
    [
        ("rate(7 hours)", "UTC"),
        ("cron(0/20 1-3 * * ? *)", "Europe/Berlin"),
        ("cron(30 0,23 ? * SUN *)", "Africa/Cairo"),
        ("cron(15 2 L * ? *)", "UTC"),
        ("at(2026-06-01T12:00:00)", "UTC"),
    ],
)
def test_times_are_the_same_backwards_and_counted(expression: str, zone: str) -> None:
    schedule = parsed(expression, zone)
    begin, end = datetime(2025, 12, 31, 22, 5, tzinfo=UTC), datetime(2026, 12, 31, 3, 7, tzinfo=UTC)
    forwards: list[datetime] = []
    following = schedule.after(begin, since=begin)
    while following is not None and following <= end:
        forwards.append(following)
        following = schedule.after(following, since=begin)
    backwards = takewhile(lambda time: time > begin, schedule.until(end, since=begin))
    assert list(backwards) == forwards[::-1]
    for first, last in ((0, len(forwards) - 1), (len(forwards) // 3, len(forwards) // 2)):
        assert schedule.count(forwards[first], forwards[last], since=begin) == last - first + 1
