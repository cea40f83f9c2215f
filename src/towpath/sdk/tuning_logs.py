"""The log of a tuning job: what its training jobs print, those that begin while somebody follows it among them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from towpath.sdk.errors import NotFound
from towpath.sdk.expressions import Document
from towpath.sdk.logs import Labelled, Log, LogLine, LogReader, last_lines, merged
from towpath.sdk.step_runs import moment

if TYPE_CHECKING:
    from towpath.sdk.client import Client

_LISTING = "SageMaker.ListTrainingJobsForHyperParameterTuningJob"
_PAGE = 100  #: training jobs that one request lists at most
#: TUNING-JOB-NUMBER-DIGEST, the name that a tuning job gives to a training job.
TRIAL = re.compile(r"(.+)-(\d{3,})-[0-9a-f]+")
_ENDED = frozenset({"Completed", "Failed", "Stopped"})


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """A training job of a tuning job."""

    name: str
    has_ended: bool
    ended_at: datetime | None

    @property
    def number(self) -> str:
        """Its number as its name has it, `001` for the first one; the whole name where that has none."""
        named = TRIAL.fullmatch(self.name)
        return named[2] if named else self.name


class TunedJobs:
    """The training jobs of a tuning job that goes on, for somebody who looks at them again and again.

    They are listed in the order in which they were made, so a page whose jobs have all ended is asked for once.
    """

    def __init__(self, client: Client, tuning: str) -> None:
        self._client = client
        self._asked: Document = {
            "HyperParameterTuningJobName": tuning,
            "SortBy": "CreationTime",
            "SortOrder": "Ascending",
            "MaxResults": _PAGE,
        }
        self._token: str | None = None  #: of the first page that may change

    def look(self) -> list[Tuned]:
        """Return the training jobs as they stand, without those that had ended in earlier looks at their pages."""
        found: list[Tuned] = []
        settled, token = True, self._token
        while True:
            try:
                answer = self._client.call(
                    _LISTING, self._asked if token is None else {**self._asked, "NextToken": token}
                )
            except NotFound:
                return found  # the tuning job was deleted, and its training jobs are looked for by it
            page = [_tuned(shown) for shown in answer.get("TrainingJobSummaries") or ()]
            found += page
            token = answer.get("NextToken") or None
            settled = settled and all(job.has_ended for job in page)
            if token is None:
                return found
            if settled:
                self._token = token


class TuningReader:
    """Reads the logs of all training jobs of a tuning job on from where they were read to."""

    def __init__(self, client: Client, tuning: str) -> None:
        self._client = client
        self._jobs = TunedJobs(client, tuning)
        self._logs: dict[str, Log] = {}  #: by training job, of those that have not been read to their end
        self._read: set[str] = set()  #: training jobs that have been

    def new(self) -> Iterator[LogLine]:
        """Yield what has been written since the last time.

        Of training jobs that have ended one after the other, of those that run side by side in the order of time.
        """
        jobs = self._unread()
        logs = [(job, self._log(job).new()) for job in jobs]
        yield from itertools.chain(*(log for job, log in logs if job.has_ended))
        yield from merged(*(log for job, log in logs if not job.has_ended))
        self._settle(jobs)

    def last(self, count: int) -> list[LogLine]:
        """Return the last lines of all training jobs in the order of their times, and go on behind them."""
        jobs = self._unread()
        last = last_lines(((job.ended_at, self._log(job)) for job in jobs), count)
        self._settle(jobs)
        return last

    def _unread(self) -> list[Tuned]:
        return [job for job in self._jobs.look() if job.name not in self._read]

    def _log(self, job: Tuned) -> Log:
        reader = LogReader.of(self._client, "TrainingJob", job.name)
        return self._logs.setdefault(job.name, Labelled(reader, part=job.number))

    def _settle(self, jobs: Iterable[Tuned]) -> None:
        """Forget what needs no further look: jobs that had ended before their logs were read."""
        for job in jobs:
            if job.has_ended:
                self._read.add(job.name)
                self._logs.pop(job.name, None)


def find_tuned(client: Client, tuning: str, number: int) -> Tuned | None:
    """Return the training job of a tuning job that has a number, from 1 on; None where there is none."""
    return next((job for job in TunedJobs(client, tuning).look() if job.number.lstrip("0") == str(number)), None)


def _tuned(shown: Document) -> Tuned:
    return Tuned(
        name=str(shown["TrainingJobName"]),
        has_ended=shown.get("TrainingJobStatus") in _ENDED,
        ended_at=moment(shown.get("TrainingEndTime")),
    )
