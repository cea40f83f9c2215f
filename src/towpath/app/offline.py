"""What is done with a home that no server runs on."""

from collections.abc import Callable

from towpath.app.parts import ADMINISTRATOR, collector_of, object_store, process_backend, stop_all
from towpath.compute.process import ProcessBackend
from towpath.home import HomeFolder
from towpath.housekeeping import Outcome
from towpath.kernel.clock import SystemClock
from towpath.settings import Settings
from towpath.store import Reserve, SqliteStore


def stop_everything(home: HomeFolder, settings: Settings, *, say: Callable[[str], None]) -> list[str]:
    """Stop every job and model server of a home and end its runner host; return what ran. The caller holds its lock.

    Args:
        say: told what is waited for when that takes long.
    """
    backend = process_backend(home, settings)
    try:
        return stop_all(backend, say)
    finally:
        backend.close()


def running_without_server(home: HomeFolder) -> list[str]:
    """Return the names of the jobs and model servers of a home that run although its server has ended."""
    if not home.jobs.is_dir():
        return []
    backend = ProcessBackend(home.jobs, home=home.path)  # to look needs no settings, which may be broken
    try:
        return [job.name for job in backend.live()]
    finally:
        backend.close()


def collect_garbage(home: HomeFolder, settings: Settings, *, dry_run: bool) -> Outcome:
    """Remove what nothing needs any more from a home that no server runs on, or tell what would go.

    The caller holds its lock.
    """
    with Reserve(home.reserve).lent():  # even to open the store takes a little room
        clock = SystemClock()
        store = SqliteStore(home.database, clock=clock)
        backend = process_backend(home, settings)
        try:
            collector = collector_of(home, settings, store, object_store(home, settings, store), backend, clock)
            return collector.dry_run() if dry_run else collector.collect(principal=ADMINISTRATOR)
        finally:
            backend.close()
            store.close()
