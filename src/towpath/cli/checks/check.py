"""One thing that `towpath doctor` looked at."""

from __future__ import annotations

from dataclasses import dataclass

OK, WARNING, WRONG = "ok", "warning", "wrong"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was looked at."""

    name: str
    state: str  #: OK, WARNING (it works, with less than there could be) or WRONG
    detail: str
