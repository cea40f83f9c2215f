"""ISO 8601 durations, as CacheConfig writes them: `PT1H`, `P30D`, also in lower case."""

import re
from datetime import timedelta

from towpath.kernel.errors import Invalid

_DURATION = re.compile(
    r"P(?=.)(?:(?P<years>\d+)Y)?(?:(?P<months>\d+)M)?(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?=.)(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?",
    re.ASCII,
)


def parse_duration(text: str) -> timedelta:
    """Return the length of an ISO 8601 duration; a month counts 30 days and a year 365.

    Raises:
        Invalid: it is not a duration, or one too long to count.
    """
    found = _DURATION.fullmatch(text.strip().upper())
    if found is None:
        raise Invalid(f"{text!r} is not an ISO 8601 duration; expected something like PT1H or P30D")
    part = {name: float(value or 0) for name, value in found.groupdict().items()}
    try:
        return timedelta(
            days=365 * part["years"] + 30 * part["months"] + 7 * part["weeks"] + part["days"],
            hours=part["hours"],
            minutes=part["minutes"],
            seconds=part["seconds"],
        )
    except OverflowError as error:
        raise Invalid(f"{text!r} is longer than can be counted") from error
