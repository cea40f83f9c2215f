"""Tells the log of a full disk: now and then, and not once for everything that waits for room."""

import logging
import threading
from datetime import datetime, timedelta

from towpath.kernel.errors import DiskFull

logger = logging.getLogger(__name__)

RETRY_S = 1.0  #: after which what found no room is tried again
_TOLD_EVERY = timedelta(minutes=1)  #: the log lies on the same disk


class FullDiskNotice:
    """What the log was told of the disk so far. Safe for use by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told_at: datetime | None = None

    def tell(self, error: DiskFull, now: datetime) -> None:
        """Say in the log that work waits for room, unless that was said a short while ago."""
        with self._lock:
            # A clock that was put back makes no silence longer than a clock that runs.
            if self._told_at is not None and abs(now - self._told_at) < _TOLD_EVERY:
                return
            self._told_at = now
        logger.warning("%s Jobs and pipelines wait for it, and go on by themselves.", error.message)
