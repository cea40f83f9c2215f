"""A home, opened: picks implementations and wires them."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from towpath.app.parts import (
    ADMINISTRATOR,
    calls_at_a_time,
    collector_of,
    object_store,
    process_backend,
    sessions,
    stop_all,
    surroundings_of,
    sweep,
)
from towpath.app.tables import KINDS, OperationShapes, operations_of
from towpath.compute.interpreters import WatchedImages
from towpath.compute.process import ProcessBackend
from towpath.compute.process.capacity import capacity_of
from towpath.compute.secrets import SecretFile
from towpath.engine import Engine
from towpath.functions import FUNCTION_INVOCATION, CallIngredients, Functions, InvocationController
from towpath.gateway import Gateway, KeyRing, ServiceModels, application, log_operations
from towpath.gateway.gateway import ASGIApp
from towpath.gateway.invocations import Invocations
from towpath.gateway.model_client import ping
from towpath.gateway.news import News
from towpath.gateway.services import ecr
from towpath.gateway.services.s3 import S3Service
from towpath.home import Credentials, HomeFolder
from towpath.hosting import EndpointController, Routes, served_model
from towpath.identity import iam_operations, make_administrator, sts_operations, with_roles
from towpath.jobs.admission import Ledger
from towpath.jobs.controller import JobController
from towpath.jobs.ingredients import JobIngredients
from towpath.jobs.strategies import STRATEGIES
from towpath.kernel.arns import Home
from towpath.kernel.clock import Clock, SystemClock
from towpath.kernel.decisions import Controller
from towpath.kernel.objects import ObjectStore
from towpath.kernel.operations import Operation, Operations
from towpath.kernel.principals import AccessKey
from towpath.kernel.resource import Uid
from towpath.metrics import ALARM, AlarmController, InvocationMetrics, OwnMetrics
from towpath.metrics import operations as metric_operations
from towpath.objects import create_default_bucket
from towpath.objects.check_outs import check_out_inputs
from towpath.objects.code_trees import StoredCodeTrees
from towpath.objects.documents import StoredDocuments
from towpath.objects.lookups import lookup_operations
from towpath.objects.reads import Reads
from towpath.outbound import Sender
from towpath.pipelines.controller import ExecutionController
from towpath.pipelines.results import Results
from towpath.pipelines.waiting import CallbackController
from towpath.queues import QUEUE_MESSAGE, Queues, RetentionController
from towpath.settings import Settings
from towpath.store import FreeingStore, Reserve, SqliteStore
from towpath.triggers import (
    RULE,
    DeliveryController,
    Rules,
    event_operations,
    is_pending,
    scheduler_operations,
    timing_controllers,
)
from towpath.tuning import OptunaSearch, TuningController, TuningIngredients
from towpath.tuning import kinds as tuning_kinds
from towpath.tuning import yielded as tuning_yielded


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
    invoked: InvocationMetrics
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
        sweep(store, objects)
        backend = backend or process_backend(home, settings, session=sessions(store))
        images = WatchedImages(settings.images)
        capacity = capacity_of(settings.cores, settings.memory_gb)
        surroundings = surroundings_of(settings, store.home, capacity, url)
        models = ServiceModels()
        trees = StoredCodeTrees(objects)
        made_of = partial(
            JobIngredients, store=store, objects=objects, images=images, trees=trees, model_named=served_model
        )
        ingredients = made_of(
            others={
                FUNCTION_INVOCATION.noun: CallIngredients(store, images),
                tuning_kinds.HYPER_PARAMETER_TUNING_JOB.noun: TuningIngredients(store, made_of()),
            }
        )
        collector = collector_of(home, settings, freeing, objects, backend, clock)
        reads = Reads(store, clock=clock)
        invoked = InvocationMetrics(store, settings.keep_metrics_days)
        operations = operations_of(
            store, objects, images, models, collector, SecretFile(home.secrets), ingredients, reads.flush
        )
        routes = Routes(drained=lambda uid: engine.wake(uid))
        queue = Ledger(capacity, wake=lambda uid: engine.wake(uid))
        calls = Ledger(calls_at_a_time(settings, capacity), wake=lambda uid: engine.wake(uid))
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
            DeliveryController(
                operations, sender, wake=lambda uid: engine.wake(uid), keep_lines_days=settings.keep_logs_days
            ),
            CallbackController(store, timeout_days=settings.callback_timeout_days),
            RetentionController(store),
            AlarmController(store),
        ]
        rules = Rules()
        own_metrics = OwnMetrics(settings.keep_metrics_days)
        store.subscribe(rules, own_metrics)
        store.on_kind(ALARM.noun, own_metrics.forget)
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
        gateway = cls._front_door(
            home, settings, url, store, freeing, objects, backend, operations, models, routes, clock, reads, invoked
        )
        return cls(
            store=store,
            backend=backend,
            engine=engine,
            sender=sender,
            operations=operations,
            gateway=gateway,
            reads=reads,
            invoked=invoked,
            application=application(gateway),
            unfinished=tuple(unfinished),
        )

    @staticmethod
    def _front_door(
        home: HomeFolder,
        settings: Settings,
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
        invoked: InvocationMetrics,
    ) -> Gateway:
        """Return what answers the requests of clients, with the administrator made on first start."""
        invocations = Invocations(routes, store.home, note=invoked.note)
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
                "cloudwatch": metric_operations(settings.keep_metrics_days, invoked.flush),
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
        stop_all(self.backend, logging.getLogger(__name__).info)

    def close(self) -> None:
        """Stop working; jobs and model servers go on."""
        self.backend.close()
        self.engine.stop()
        self.sender.stop()
        self.reads.close()
        self.invoked.close()
        self.store.close()


def _administrator(store: SqliteStore, home: HomeFolder) -> AccessKey:
    """Return the administrator's own key, made on first start, and keep the home's credentials file at it."""
    key = store.write(lambda transaction: make_administrator(transaction, ADMINISTRATOR))
    credentials = Credentials(
        principal=key.principal, access_key=key.access_key, secret_key=key.secret_key, token=key.token
    )
    if home.credentials() != credentials:
        home.write_credentials(credentials)
    return key
