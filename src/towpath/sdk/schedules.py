"""Schedules of EventBridge Scheduler, which AWS clients make, and when they and rules are due next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import quote

from towpath.sdk.errors import NotFound
from towpath.sdk.expressions import Document

if TYPE_CHECKING:
    from towpath.sdk.client import Client

_PATH = "/schedules"
_MOST_TIMES = 100  #: triggers of a DescribeTriggerTimes
#: What GetSchedule tells and UpdateSchedule, which writes all anew, does not take.
_TOLD_ALONE = frozenset({"Arn", "Name", "CreationDate", "LastModificationDate"})


class Schedules:
    """The schedules of a server."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def all(self) -> Iterator[Document]:
        """Yield each schedule as GetSchedule describes it, by name; one that goes meanwhile is left out."""
        token = ""
        while True:
            page = self._client.get_json(f"{_PATH}?NextToken={quote(token, safe='')}" if token else _PATH)
            for listed in page["Schedules"]:
                with suppress(NotFound):  # a schedule may delete itself when its last time has come
                    yield self.described(listed["Name"])
            token = page.get("NextToken") or ""
            if not token:
                return

    def described(self, name: str) -> Document:
        """Return what GetSchedule tells of a schedule.

        Raises:
            NotFound: there is none of that name.
        """
        return self._client.get_json(_path(name))

    def times(self, triggers: Sequence[str]) -> dict[str, float | None]:
        """Return when rules and schedules are due next, by their ARNs.

        In seconds since 1970, None where they never are again. One that is disabled waits for no time and is left out.
        """
        found: dict[str, float | None] = {}
        for first in range(0, len(triggers), _MOST_TIMES):
            asked = {"TriggerArns": list(triggers[first : first + _MOST_TIMES])}
            for told in self._client.call("Towpath.DescribeTriggerTimes", asked)["TriggerTimes"]:
                found[told["TriggerArn"]] = None if told["Status"] == "Ended" else float(told["NextTime"])
        return found

    def switch(self, name: str, state: str) -> None:
        """Write a schedule as it is, but ENABLED or DISABLED.

        Raises:
            NotFound: there is none of that name.
        """
        told = self.described(name)
        written = {member: value for member, value in told.items() if member not in _TOLD_ALONE}
        self._client.send_json("PUT", _path(name), {**written, "State": state})

    def rm(self, name: str) -> None:
        """Remove a schedule.

        Raises:
            NotFound: there is none of that name.
        """
        self._client.send("DELETE", _path(name), None)


def _path(name: str) -> str:
    return f"{_PATH}/{quote(name, safe='')}"
