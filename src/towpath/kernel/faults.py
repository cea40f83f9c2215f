"""Faults of the platform that hold a resource up, and how they are told. Pure."""

from datetime import datetime

import msgspec

#: Tries in a row from which on people are told: what is gone after the second one was a moment's trouble.
SEEN_AFTER = 3
LONGEST = 500  #: characters that are kept of an exception


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """Why nothing can be decided about a resource now."""

    tries: int  #: in a row that have ended in an exception
    since: datetime  #: when the first of these was made
    said: str  #: the exception
    next_try_at: datetime


def said_by(error: BaseException) -> str:
    """Return an exception in words: its type, and what it says."""
    text = " ".join(str(error).encode("utf-8", "backslashreplace").decode().split())  # names of files may be any bytes
    return f"{type(error).__name__}: {text}"[:LONGEST] if text else type(error).__name__


def sentence(fault: Fault) -> str:
    """Return what people are told who ask why nothing happens."""
    return (
        f"Held up by a fault of the platform, not of what was asked for: what comes next could not be decided "
        f"{fault.tries} times in a row since {fault.since:%Y-%m-%d %H:%M:%S} UTC ({fault.said}). What runs goes on. "
        f"The next try is at {fault.next_try_at:%H:%M:%S} UTC; the log of the server has the trace."
    )
