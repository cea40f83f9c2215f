"""The composition root: the one place that picks implementations and wires them."""

import importlib.resources
import logging
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from towpath.compute.interpreters import WatchedImages
from towpath.compute.process import ProcessBackend
from towpath.compute.process.capacity import capacity_of, host_capacity
from towpath.compute.process.leftovers import AttemptFolders, LayerFolders
from towpath.compute.secrets import SecretFile
from towpath.engine import Engine
from towpath.experiments import Components, Experiments, trial_shown
from towpath.experiments import kinds as experiment_kinds
from towpath.experiments.record import component_name
from towpath.functions import FUNCTION_INVOCATION, CallIngredients, Functions, InvocationController
from towpath.functions import kinds as function_kinds
from towpath.functions import step_operations as function_operations
from towpath.gateway import Gateway, KeyRing, ServiceModels, application, log_operations
from towpath.gateway.gateway import ASGIApp
from towpath.gateway.invocations import Invocations
from towpath.gateway.model_client import ping
from towpath.gateway.news import News
from towpath.gateway.services import ecr
from towpath.gateway.services.s3 import S3Service
from towpath.home import Credentials, HomeFolder
from towpath.hosting import EndpointController, Routes, served_model
from towpath.hosting import kinds as hosting_kinds
from towpath.hosting import operations as hosting_operations
from towpath.hosting.dashboard import dashboard_entry
from towpath.housekeeping import Collector, Outcome, Retention
from towpath.housekeeping import operations as housekeeping_operations
from towpath.identity import iam_operations, make_administrator, sts_operations, with_roles
from towpath.identity import kinds as identity_kinds
from towpath.identity.job_keys import begin_session
from towpath.jobs import kinds as job_kinds
from towpath.jobs.admission import Ledger
from towpath.jobs.components import JOBS_TELL
from towpath.jobs.contract import Surroundings
from towpath.jobs.controller import JobController
from towpath.jobs.images import Images
from towpath.jobs.ingredients import JobIngredients
from towpath.jobs.instances import Capacity
from towpath.jobs.model import JobSpec
from towpath.jobs.ports import SecretStore
from towpath.jobs.secrets import Secrets
from towpath.jobs.service import Jobs
from towpath.jobs.strategies import STRATEGIES
from towpath.kernel.arns import Home
from towpath.kernel.clock import Clock, SystemClock
from towpath.kernel.decisions import Controller
from towpath.kernel.errors import Invalid
from towpath.kernel.generic import TAG_OPERATIONS
from towpath.kernel.kinds import Kind
from towpath.kernel.objects import ObjectStore
from towpath.kernel.operations import Operation, Operations
from towpath.kernel.principals import AccessKey
from towpath.kernel.resource import Uid
from towpath.lineage import kinds as lineage_kinds
from towpath.lineage.query import operations as lineage_operations
from towpath.lineage.service import Lineage
from towpath.objects import create_default_bucket
from towpath.objects import kinds as object_kinds
from towpath.objects.check_outs import check_out_inputs
from towpath.objects.code_trees import StoredCodeTrees
from towpath.objects.datasets import operations as dataset_operations
from towpath.objects.documents import StoredDocuments, StoredTexts
from towpath.objects.folder import FolderObjects
from towpath.objects.location import FOLDER, S3Location, location_of
from towpath.objects.lookups import lookup_operations
from towpath.objects.reads import Reads
from towpath.outbound import Sender
from towpath.pipelines import kinds as pipeline_kinds
from towpath.pipelines.controller import ExecutionController
from towpath.pipelines.explaining import Explaining
from towpath.pipelines.results import Results
from towpath.pipelines.service import operations as pipeline_operations
from towpath.pipelines.waiting import CallbackController
from towpath.queues import QUEUE_MESSAGE, Queues, RetentionController
from towpath.queues import kinds as queue_kinds
from towpath.registry import kinds as registry_kinds
from towpath.registry import operations as registry_operations
from towpath.search import Search
from towpath.search.records import ShownBy
from towpath.settings import Settings
from towpath.store import OBJECTS_LIE, FreeingStore, Reserve, SqliteStore
from towpath.triggers import (
    RULE,
    DeliveryController,
    Rules,
    event_operations,
    is_pending,
    scheduler_operations,
    timing_controllers,
)
from towpath.triggers import kinds as trigger_kinds
from towpath.triggers import operations as trigger_operations
from towpath.tuning import OptunaSearch, Tuning, TuningController
from towpath.tuning import kinds as tuning_kinds
from towpath.tuning import yielded as tuning_yielded

if TYPE_CHECKING:
    from botocore.model import Shape

    from towpath.objects.s3 import S3Objects

ADMINISTRATOR = "admin"
SILENT_S = 5.0  #: after so long without news, whoever waits is told what for

#: Every kind of resource, by its noun.
KINDS: Mapping[str, Kind] = {
    kind.noun: kind
    for module in (
        experiment_kinds,
        function_kinds,
        identity_kinds,
        lineage_kinds,
        job_kinds,
        hosting_kinds,
        object_kinds,
        pipeline_kinds,
        queue_kinds,
        registry_kinds,
        trigger_kinds,
        tuning_kinds,
    )
    for kind in module.KINDS
}


#: What shows kinds in the results of a search, where their documents take more than the resource itself.
COMPONENTS = Components(JOBS_TELL)
SHOWN_BY: Mapping[str, ShownBy] = {
    "Model": dashboard_entry,
    "Trial": trial_shown,
    "TrialComponent": COMPONENTS.shown,
}


class OperationShapes:
    """Implements `pipelines.ports.Shapes` from the service model of SageMaker."""

    def __init__(self, models: ServiceModels) -> None:
        self._models = models

    def input(self, operation: str) -> "Shape | None":
        """Return the input shape of an operation, None when it is not known."""
        model = self._models.operation("sagemaker", operation)
        return None if model is None else model.input_shape

    def output(self, operation: str) -> "Shape | None":
        """Return the output shape of an operation, None when it is not known."""
        model = self._models.operation("sagemaker", operation)
        return None if model is None else model.output_shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """A home, opened: everything that one server process runs."""

    store: SqliteStore
    backend: ProcessBackend
    engine: Engine
    sender: Sender
    operations: Operations
    gateway: Gateway
    reads: Reads
    application: ASGIApp
    unfinished: tuple[Uid, ...] = ()  #: the jobs that had begun and the endpoints, when the home was opened

    @classmethod
    def open(
        cls,
        home: HomeFolder,
        settings: Settings,
        *,
        url: str,
        clock: Clock | None = None,
        backend: ProcessBackend | None = None,
    ) -> "Platform":
        """Open the home, making it on first use. The caller holds its lock.

        Args:
            url: where clients reach the server.
            backend: where jobs run, instead of on this host as the settings say.
        Raises:
            Invalid: the store is of a newer release, or a setting cannot be carried out.
        """
        clock = clock or SystemClock()
        store = SqliteStore(home.database, home=Home(account=settings.account, region=settings.region), clock=clock)
        store.write(create_default_bucket)
        reserve = Reserve(home.reserve)
        if not reserve.fill():
            logging.getLogger(__name__).warning("there is too little room on the disk to keep a reserve for deletions")
        store.on_commit(reserve.refill)
        freeing = FreeingStore(store, reserve)
        objects = object_store(home, settings, store)
        _sweep(store, objects)
        backend = backend or process_backend(home, settings, session=_sessions(store))
        images = WatchedImages(settings.images)
        capacity = capacity_of(settings.cores, settings.memory_gb)
        surroundings = _surroundings(settings, store.home, capacity, url)
        models = ServiceModels()
        trees = StoredCodeTrees(objects)
        ingredients = JobIngredients(
            store=store,
            objects=objects,
            images=images,
            trees=trees,
            model_named=served_model,
            others={FUNCTION_INVOCATION.noun: CallIngredients(store, images)},
        )
        collector = _collector(home, settings, freeing, objects, backend, clock)
        reads = Reads(store, clock=clock)
        operations = _operations(
            store, objects, images, models, collector, SecretFile(home.secrets), ingredients, reads.flush
        )
        routes = Routes(drained=lambda uid: engine.wake(uid))
        queue = Ledger(capacity, wake=lambda uid: engine.wake(uid))
        calls = Ledger(_calls_at_a_time(settings, capacity), wake=lambda uid: engine.wake(uid))
        sender = Sender(is_wanted=lambda uid: store.read(lambda transaction: is_pending(transaction, uid)))
        jobs: dict[str, Any] = {
            "store": store,
            "objects": objects,
            "backend": backend,
            "images": images,
            "surroundings": surroundings,
            "admission": queue,
        }
        endpoints = EndpointController(
            store=store,
            path_of=objects.path,
            backend=backend,
            routes=routes,
            resolve=images.resolve,
            ping=ping,
            surroundings=surroundings,
            admission=queue,
        )
        unfinished = endpoints.restore_routes()
        job_controllers = [JobController(strategy, **jobs, check_out=check_out_inputs) for strategy in STRATEGIES]
        functions = InvocationController(
            store=store,
            objects=objects,
            backend=backend,
            images=images,
            surroundings=surroundings,
            admission=calls,
            clock=clock,
            read=lambda staged: Path(staged.path).read_bytes(),
            keep_days=settings.keep_logs_days,
        )
        controllers: list[Controller[Any]] = [
            *job_controllers,
            endpoints,
            functions,
            ExecutionController(
                store=store,
                operations=operations,
                kinds=KINDS,
                documents=StoredDocuments(store, objects),
                shapes=OperationShapes(models),
                results=Results(store, ingredients),
                extras={tuning_kinds.HYPER_PARAMETER_TUNING_JOB.noun: tuning_yielded},
            ),
            TuningController(store=store, operations=operations, search=OptunaSearch()),
            *timing_controllers(settings.missed_schedules),
            DeliveryController(operations, sender, wake=lambda uid: engine.wake(uid)),
            CallbackController(store, timeout_days=settings.callback_timeout_days),
            RetentionController(store),
        ]
        rules = Rules()
        store.subscribe(rules)
        store.on_kind(RULE.noun, rules.forget)
        engine = Engine(
            store,
            {controller.kind: controller for controller in controllers},
            clock=clock,
            kinds=KINDS,
            threads=settings.engine_threads,
            lease_s=settings.engine_lease_s,
        )
        standing = [controller.standing() for controller in job_controllers]
        begun = [demand for held, _ in standing for demand in held]
        queue.restore(begun, [demand for _, waiting in standing for demand in waiting])
        called, waiting_calls = functions.standing()
        calls.restore(called, waiting_calls)
        unfinished += [Uid(demand.key) for demand in (*begun, *called, *waiting_calls)]
        gateway = cls._front_door(home, url, store, freeing, objects, backend, operations, models, routes, clock, reads)
        return cls(
            store=store,
            backend=backend,
            engine=engine,
            sender=sender,
            operations=operations,
            gateway=gateway,
            reads=reads,
            application=application(gateway),
            unfinished=tuple(unfinished),
        )

    @staticmethod
    def _front_door(
        home: HomeFolder,
        url: str,
        store: SqliteStore,
        freeing: FreeingStore,
        objects: ObjectStore,
        backend: ProcessBackend,
        operations: Mapping[str, Operation],
        models: ServiceModels,
        routes: Routes,
        clock: Clock,
        reads: Reads,
    ) -> Gateway:
        """Return what answers the requests of clients, with the administrator made on first start."""
        invocations = Invocations(routes, store.home)
        own = _administrator(store, home)
        keys = KeyRing(lambda: store.read(with_roles))
        store.on_keys(keys.reload)
        news = News()
        for noun in (QUEUE_MESSAGE.noun, FUNCTION_INVOCATION.noun):
            store.on_kind(noun, partial(news.tell, noun))
        return Gateway(
            store=store,
            freeing=freeing,
            operations=operations,
            keys=keys,
            own_key=own.access_key,
            home=store.home,
            home_id=store.home_id,
            clock=clock,
            models=models,
            services={
                "cloudtrail": lookup_operations(reads.flush),
                "ecr": ecr.OPERATIONS,
                "events": event_operations(),
                "iam": iam_operations(),
                "lambda": Functions(store, objects, backend).operations(),
                "logs": log_operations(backend),
                "scheduler": scheduler_operations(),
                "sqs": Queues(url).operations(),
                "sts": sts_operations(),
            },
            s3=S3Service(store, objects, store.home, freeing=freeing, readers=reads),
            invocations=invocations,
            news=news,
            on_shutdown=(invocations.close,),
        )

    def start(self) -> None:
        """Begin to work: adopt what runs, take up what was left."""
        self.engine.start()
        # The back end wakes what it finds. What it ought to run and knows nothing of (the home comes from a backup, a
        # folder was removed) nobody else would look at.
        for uid in self.unfinished:
            self.engine.wake(uid)
        self.backend.watch(lambda key: self.engine.wake(Uid(key.partition("-")[0])))

    def keys(self) -> list[AccessKey]:
        """Return every access key of the home."""
        return self.store.read(lambda transaction: transaction.keys.all())

    def live(self) -> list[str]:
        """Return the names of the jobs and model servers that run now."""
        return [job.name for job in self.backend.live()]

    def stop_everything(self) -> None:
        """Stop every job and model server and end the runner host."""
        _stop_all(self.backend, logging.getLogger(__name__).info)

    def close(self) -> None:
        """Stop working; jobs and model servers go on."""
        self.backend.close()
        self.engine.stop()
        self.sender.stop()
        self.reads.close()
        self.store.close()


def stop_everything(home: HomeFolder, settings: Settings, *, say: Callable[[str], None]) -> list[str]:
    """Stop every job and model server of a home and end its runner host; return what ran. The caller holds its lock.

    Args:
        say: told what is waited for when that takes long.
    """
    backend = process_backend(home, settings)
    try:
        return _stop_all(backend, say)
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
            collector = _collector(home, settings, store, object_store(home, settings, store), backend, clock)
            return collector.dry_run() if dry_run else collector.collect(principal=ADMINISTRATOR)
        finally:
            backend.close()
            store.close()


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


def _sweep(store: SqliteStore, objects: "FolderObjects | S3Objects") -> None:
    """Remove the bytes that no row tells of: the process ended between writing and committing."""
    swept = objects.sweep(lambda names: store.read(lambda transaction: transaction.objects.known_blobs(names)))
    if swept:
        logging.getLogger(__name__).info("removed %d blobs that an interrupted upload left behind", swept)


def _calls_at_a_time(settings: Settings, capacity: Capacity) -> Capacity:
    """Return how many calls of functions may run side by side, and how much memory they may have together."""
    most = settings.functions_at_a_time or max(4, 2 * int(capacity.cores))
    return Capacity(cores=float(most), memory_bytes=capacity.memory_bytes)


def _surroundings(settings: Settings, home: Home, capacity: Capacity, url: str) -> Surroundings:
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


def _collector(
    home: HomeFolder,
    settings: Settings,
    store: SqliteStore | FreeingStore,
    objects: ObjectStore,
    backend: ProcessBackend,
    clock: Clock,
) -> Collector:
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


def _sessions(store: SqliteStore) -> Callable[[JobSpec], Mapping[str, str]]:
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
    needed = (sys.prefix, sys.base_prefix, str(Path(__file__).resolve().parent))
    return ProcessBackend(
        home.jobs,
        home=home.path,
        sandbox=settings.sandbox,
        needed=needed,
        log_bytes=int(settings.log_limit_mb * 2**20),
        secrets=SecretFile(home.secrets).values,
        session=session,
    )


def _stop_all(backend: ProcessBackend, say: Callable[[str], None]) -> list[str]:
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


def configure_logging(settings: Settings) -> None:
    """Write the server's own log to standard error, one line each, with times in UTC."""
    import time

    formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)


def _operations(
    store: SqliteStore,
    objects: ObjectStore,
    images: Images,
    models: ServiceModels,
    collector: Collector,
    secrets: SecretStore,
    ingredients: JobIngredients,
    flush_reads: Callable[[], None],
) -> Mapping[str, Operation]:
    """Return every operation, by name. The engine and the front door share this table."""
    jobs = Jobs(images, served_model)
    found = [
        *TAG_OPERATIONS,
        *jobs.operations(),
        *Tuning(jobs.check_training_job).operations(),
        *Secrets(secrets).operations(),
        *registry_operations(images.resolve),
        *hosting_operations(images.resolve),
        *dataset_operations(flush_reads),
        *lineage_operations(),
        *Lineage(component_name).operations(),
        *housekeeping_operations(KINDS, collector),
        *trigger_operations(),
        *Experiments(COMPONENTS).operations(),
        *Search(KINDS, OperationShapes(models), SHOWN_BY).operations(),
        *pipeline_operations(
            definitions=StoredTexts(store, objects),
            check_arguments=lambda step: jobs.check_step_arguments(step.type, step.arguments),
            shapes=OperationShapes(models),
        ),
        *Explaining(ingredients).operations(),
        *function_operations(),
    ]
    table = {operation.name: operation for operation in found}
    assert len(table) == len(found), "an operation is there twice"
    return table


def _administrator(store: SqliteStore, home: HomeFolder) -> AccessKey:
    """Return the administrator's own key, made on first start, and keep the home's credentials file at it."""
    key = store.write(lambda transaction: make_administrator(transaction, ADMINISTRATOR))
    credentials = Credentials(
        principal=key.principal, access_key=key.access_key, secret_key=key.secret_key, token=key.token
    )
    if home.credentials() != credentials:
        home.write_credentials(credentials)
    return key
