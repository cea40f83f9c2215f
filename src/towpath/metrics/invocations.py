"""Metrics of endpoints: what invocations come to is gathered in memory, and kept as values a few times a minute.

An invocation pays for two looks at a clock and a few sums. What a process that is killed had gathered is lost: at most
what came within the window. Names and units are AWS's. Source: Amazon SageMaker AI Developer Guide, "Amazon SageMaker
AI metrics in Amazon CloudWatch", endpoint invocation metrics.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from towpath.kernel.errors import TowpathError
from towpath.kernel.ports import Datum, SeriesKey, Store
from towpath.metrics.intake import take_in
from towpath.metrics.model import series_key

logger = logging.getLogger(__name__)

NAMESPACE = "AWS/SageMaker"
WINDOW_S = 10  #: what came within one becomes one value; periods of alarms are multiples of it
_MOST = 10_000  #: windows of variants that are held while the store takes none
_AGAIN_S = 5.0  #: after the store has refused


class _Sums:
    """What the invocations of one variant within one window come to."""

    __slots__ = ("answered", "count", "greatest_us", "least_us", "of_4xx", "of_5xx", "total_us")

    def __init__(self) -> None:
        self.count = 0
        self.of_4xx = 0
        self.of_5xx = 0
        self.answered = 0  #: by the model: these have a latency
        self.total_us = 0.0
        self.least_us = float("inf")
        self.greatest_us = 0.0


_Place = tuple[str, str, int]  #: endpoint, variant, number of the window since 1970


class InvocationMetrics:
    """Gathers what invocations of endpoints come to."""

    def __init__(self, store: Store, keep_days: float, *, moment: Callable[[], float] = time.time) -> None:
        """
        Args:
            keep_days: values of metrics that are older go.
            moment: tells the time in seconds since 1970; the clock's port makes a date of it, which takes longer.
        """
        self._store = store
        self._keep_days = keep_days
        self._moment = moment
        self._gathered: dict[_Place, _Sums] = {}
        self._lock = threading.Lock()
        self._recording = threading.Lock()  #: held while values are on their way
        self._left_out = 0
        self._wanted = threading.Event()  #: there is something to keep
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def note(self, endpoint: str, variant: str, status: int, model_s: float | None) -> None:
        """Count one invocation that was sent to an instance.

        Args:
            status: of the model's answer, 500 and above where there was none.
            model_s: how long the model took; None: it did not answer.
        """
        place = endpoint, variant, int(self._moment()) // WINDOW_S
        with self._lock:
            sums = self._gathered.get(place)
            if sums is None:
                sums = self._first(place)
                if sums is None:
                    return
            sums.count += 1
            if status >= 500:
                sums.of_5xx += 1
            elif status >= 400:
                sums.of_4xx += 1
            if model_s is not None:
                us = model_s * 1e6
                sums.answered += 1
                sums.total_us += us
                if us < sums.least_us:
                    sums.least_us = us
                if us > sums.greatest_us:
                    sums.greatest_us = us

    def flush(self) -> None:
        """Keep what has come so far. Where the store refuses that it is kept for later, and the log says why."""
        self._record()

    def close(self) -> None:
        """Keep what has come so far, and stop."""
        self._closing.set()
        self._wanted.set()
        if self._thread is not None:
            self._thread.join()
        self._record()

    def _first(self, place: _Place) -> _Sums | None:
        """Return the sums of a window in which nothing came yet; None where too many wait."""
        if len(self._gathered) >= _MOST:
            self._left_out += 1
            return None
        sums = self._gathered[place] = _Sums()
        self._wanted.set()
        if self._thread is None and not self._closing.is_set():
            self._thread = threading.Thread(target=self._run, name="invocation-metrics", daemon=True)
            self._thread.start()
        return sums

    def _run(self) -> None:
        taken = True
        while True:
            self._wanted.wait()
            if self._closing.wait(WINDOW_S if taken else _AGAIN_S):
                return
            taken = self._record()

    def _record(self) -> bool:
        """Keep what is gathered; return whether the store took it."""
        with self._recording:
            with self._lock:
                waiting, self._gathered = self._gathered, {}
                left_out, self._left_out = self._left_out, 0
                self._wanted.clear()
            if left_out:
                logger.error("%d invocations are in no metric: the store takes none, and too many wait", left_out)
            if not waiting:
                return True
            try:
                self._store.write(
                    lambda transaction: take_in(transaction, _values(waiting.items()), keep_days=self._keep_days)
                )
            except Exception as error:  # noqa: BLE001 - endpoints answer on whatever the store says
                told = error.message if isinstance(error, TowpathError) else repr(error)
                logger.warning("metrics of endpoints are kept to be recorded later: %s", told)
                with self._lock:
                    self._gathered = {**waiting, **{place: _both(waiting.get(place), sums)
                                                    for place, sums in self._gathered.items()}}  # fmt: skip
                    self._wanted.set()
                return False
        return True


def _both(before: _Sums | None, sums: _Sums) -> _Sums:
    """Return what came before a window was asked for, and after, together."""
    if before is None:
        return sums
    both = _Sums()
    for name in ("count", "of_4xx", "of_5xx", "answered", "total_us"):
        setattr(both, name, getattr(before, name) + getattr(sums, name))
    both.least_us = min(before.least_us, sums.least_us)
    both.greatest_us = max(before.greatest_us, sums.greatest_us)
    return both


def _values(gathered: Iterable[tuple[_Place, _Sums]]) -> dict[SeriesKey, list[Datum]]:
    """Return the values that windows come to. An error is 0 or 1 for each invocation: the average is a share."""
    found: dict[SeriesKey, list[Datum]] = {}
    for (endpoint, variant, window), sums in gathered:
        at = datetime.fromtimestamp(window * WINDOW_S, UTC)
        dimensions = {"EndpointName": endpoint, "VariantName": variant}
        values = {"Invocations": Datum(at=at, count=sums.count, total=sums.count, least=1, greatest=1)}
        for name, errors in (("Invocation4XXErrors", sums.of_4xx), ("Invocation5XXErrors", sums.of_5xx)):
            least, greatest = float(errors == sums.count), float(errors > 0)
            values[name] = Datum(at=at, count=sums.count, total=errors, least=least, greatest=greatest)
        if sums.answered:
            values["ModelLatency"] = Datum(
                at=at,
                count=sums.answered,
                total=sums.total_us,
                least=sums.least_us,
                greatest=sums.greatest_us,
                unit="Microseconds",
            )
        for name, value in values.items():
            found.setdefault(series_key(NAMESPACE, name, dimensions.items()), []).append(value)
    return found
