"""The parts that a home is run with, as its settings say: where bytes lie, where jobs run, what is removed when."""

import importlib.resources
import logging
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import towpath
from towpath.compute.process import Imports, ProcessBackend
from towpath.compute.process.capacity import host_capacity
from towpath.compute.process.leftovers import AttemptFolders, LayerFolders
from towpath.compute.secrets import SecretFile
from towpath.home import HomeFolder
from towpath.housekeeping import Collector, Retention
from towpath.identity.job_keys import begin_session
from towpath.jobs.contract import Surroundings
from towpath.jobs.instances import Capacity
from towpath.jobs.model import JobSpec
from towpath.kernel.arns import Home
from towpath.kernel.clock import Clock
from towpath.kernel.errors import Invalid
from towpath.kernel.objects import ObjectStore
from towpath.objects.folder import FolderObjects
from towpath.objects.location import FOLDER, S3Location, location_of
from towpath.settings import Settings, modules_in
from towpath.store import OBJECTS_LIE, FreeingStore, SqliteStore

if TYPE_CHECKING:
    from towpath.objects.s3 import S3Objects

ADMINISTRATOR = "admin"
SILENT_S = 5.0  #: after so long without news, whoever waits is told what for


def object_store(home: HomeFolder, settings: Settings, store: SqliteStore) -> "FolderObjects | S3Objects":
    """Return where the bytes of the home's objects lie. The caller holds its lock.

    Raises:
        Invalid: they lie elsewhere than the settings say, or the bucket cannot be used.
        Unavailable: the service with the bucket does not answer.
    """
    location = location_of(settings.objects)
    found = _opened(home, settings, location)
    wanted = FOLDER if location is None else location.uri
    # Written down once it could be opened: a mistake in a setting is not to be for ever. A home of an earlier release
    # wrote nothing down; what it has lies in its folder.
    settled = store.settle(OBJECTS_LIE, FOLDER if any((home.objects / "blobs").glob("*/*")) else wanted)
    if settled != wanted:
        raise Invalid(
            f"The objects of {home.path} lie in {settled}; the setting objects says {wanted}. Nothing moves them: set "
            "it back, or begin a new home there and copy what it is to hold with any S3 client."
        )
    return found


def _opened(home: HomeFolder, settings: Settings, location: S3Location | None) -> "FolderObjects | S3Objects":
    if location is None:
        return FolderObjects(home.objects)
    from towpath.objects.s3 import S3Objects

    return S3Objects(
        _client_of(settings, location), location, home.objects, cache_bytes=int(settings.objects_cache_gb * 1e9)
    )


def _client_of(settings: Settings, location: S3Location) -> Any:
    from towpath.objects.s3 import client_of

    return client_of(
        location,
        access_key=settings.objects_access_key,
        secret_key=settings.objects_secret_key,
        keys_of_instance=settings.objects_keys_of_instance,
    )


def missing_from_bucket(settings: Settings, lie: str, sizes: Mapping[str, int]) -> list[str]:
    """Return those of the blobs, given with their sizes in bytes, that are not in the bucket in which objects lie.

    Args:
        lie: bucket and prefix, as the store tells them.
    Raises:
        Invalid: the setting `objects` names another place.
        Unavailable: the service does not answer, or refuses.
    """
    from towpath.objects.s3 import missing

    location = location_of(settings.objects)
    if location is None or location.uri != lie:
        raise Invalid(
            f"The objects lie in {lie}; the setting objects says {settings.objects}. Set it to that place, with the "
            "endpoint of its service: TOWPATH_OBJECTS, or objects in towpath.toml."
        )
    return missing(_client_of(settings, location), location, sizes)


def sweep(store: SqliteStore, objects: "FolderObjects | S3Objects") -> None:
    """Remove the bytes that no row tells of: the process ended between writing and committing."""
    swept = objects.sweep(lambda names: store.read(lambda transaction: transaction.objects.known_blobs(names)))
    if swept:
        logging.getLogger(__name__).info("removed %d blobs that an interrupted upload left behind", swept)


def calls_at_a_time(settings: Settings, capacity: Capacity) -> Capacity:
    """Return how many calls of functions may run side by side, and how much memory they may have together."""
    most = settings.functions_at_a_time or max(4, 2 * int(capacity.cores))
    return Capacity(cores=float(most), memory_bytes=capacity.memory_bytes)


def surroundings_of(settings: Settings, home: Home, capacity: Capacity, url: str) -> Surroundings:
    """Return what jobs are told of the platform and of this host."""
    return Surroundings(
        home=home,
        host_cores=settings.cores or int(host_capacity().cores),
        host_memory_bytes=capacity.memory_bytes,
        host_gpus=capacity.gpus,
        job_limits=settings.job_limits,
        oversized_jobs=settings.oversized_jobs,
        toolkit_source=importlib.resources.files("towpath.runner").joinpath("toolkit.py").read_text("utf-8"),
        notebook_source=importlib.resources.files("towpath.runner").joinpath("notebook.py").read_text("utf-8"),
        lost_runner_restarts=settings.lost_runner_restarts,
        endpoint=url,
    )


def collector_of(
    home: HomeFolder,
    settings: Settings,
    store: SqliteStore | FreeingStore,
    objects: ObjectStore,
    backend: ProcessBackend,
    clock: Clock,
) -> Collector:
    """Return what removes, as the settings say, what nothing needs any more."""
    return Collector(
        store=store,
        blobs=objects,
        attempts=AttemptFolders(home.jobs, backend),
        layers=LayerFolders(home.layers),
        retention=Retention(
            attempts_days=settings.keep_attempts_days,
            logs_days=settings.keep_logs_days,
            versions_days=settings.keep_versions_days,
            deleted_days=settings.keep_deleted_days,
            layers_days=settings.keep_layers_days,
            uploads_days=settings.keep_uploads_days,
            accesses_days=settings.keep_accesses_days,
            limit_gb=settings.keep_limit_gb,
        ),
        clock=clock,
    )


def sessions(store: SqliteStore) -> Callable[[JobSpec], Mapping[str, str]]:
    """Return what gives a job keys of its own."""

    def begin(job: JobSpec) -> Mapping[str, str]:
        lasts = timedelta(seconds=job.limits.max_runtime_s or 0)
        return store.write(lambda transaction: begin_session(transaction, job.name, lasts))

    return begin


def process_backend(
    home: HomeFolder, settings: Settings, *, session: Callable[[JobSpec], Mapping[str, str]] = lambda job: {}
) -> ProcessBackend:
    """Return the back end of this host; jobs can read this environment wherever it lies.

    Args:
        session: makes keys for a job that asks for them; without it, none gets any.
    """
    needed = (sys.prefix, sys.base_prefix, str(Path(towpath.__file__).resolve().parent))
    return ProcessBackend(
        home.jobs,
        home=home.path,
        sandbox=settings.sandbox,
        needed=needed,
        log_bytes=int(settings.log_limit_mb * 2**20),
        secrets=SecretFile(home.secrets).values,
        session=session,
        imports=None
        if settings.warm_start == "off"
        else Imports(modules_in(settings.warm_imports), always=settings.warm_start == "always"),
    )


def stop_all(backend: ProcessBackend, say: Callable[[str], None]) -> list[str]:
    changed = threading.Event()
    backend.watch(lambda _: changed.set())
    running = backend.live()
    for job in running:
        backend.stop(job.key)
    while left := backend.live():
        # The runner kills the job's whole tree when its grace time is over, so this ends.
        if not changed.wait(SILENT_S):
            say(f"Waiting for {', '.join(job.name for job in left)} to end.")
        changed.clear()
    backend.stop_host()
    return [job.name for job in running]
