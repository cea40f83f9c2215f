"""A home, opened: picks implementations and wires them."""

import logging
from dataclasses import dataclass

from towpath.app.door import front_door
from towpath.app.ground import Ground
from towpath.app.parts import collector_of, stop_all
from towpath.app.tables import KINDS, operations_of
from towpath.app.work import Work
from towpath.compute.process import ProcessBackend
from towpath.compute.secrets import SecretFile
from towpath.engine import Engine
from towpath.gateway import Gateway, application
from towpath.gateway.gateway import ASGIApp
from towpath.home import HomeFolder
from towpath.hosting import Routes
from towpath.jobs.admission import Ledger
from towpath.kernel.clock import Clock
from towpath.kernel.operations import Operations
from towpath.kernel.principals import AccessKey
from towpath.kernel.resource import Uid
from towpath.metrics import ALARM, InvocationMetrics, OwnMetrics
from towpath.objects.reads import Reads
from towpath.outbound import Sender
from towpath.settings import Settings
from towpath.store import SqliteStore
from towpath.triggers import RULE, Rules, is_pending


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
        ground = Ground.open(home, settings, url=url, clock=clock, backend=backend)
        store = ground.store
        reads = Reads(store, clock=ground.clock)
        invoked = InvocationMetrics(store, settings.keep_metrics_days)
        sender = Sender(is_wanted=lambda uid: store.read(lambda transaction: is_pending(transaction, uid)))

        def wake(uid: Uid) -> None:
            engine.wake(uid)  # which is made of those who call this

        queue = Ledger(ground.capacity, wake=wake)
        operations = _operations(ground, reads, queue)
        routes = Routes(drained=wake)
        work = Work.of(ground, operations, sender, routes, wake, queue)
        _subscribe(store, settings)
        engine = Engine(
            store,
            work.controllers(),
            clock=ground.clock,
            kinds=KINDS,
            threads=settings.engine_threads,
            lease_s=settings.engine_lease_s,
        )
        unfinished = work.restore()
        gateway = front_door(ground, operations, routes, reads, invoked)
        return cls(
            store=store,
            backend=ground.backend,
            engine=engine,
            sender=sender,
            operations=operations,
            gateway=gateway,
            reads=reads,
            invoked=invoked,
            application=application(gateway),
            unfinished=unfinished,
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


def _operations(ground: Ground, reads: Reads, queue: Ledger) -> Operations:
    """Return the operations of the SageMaker API and of ours."""
    home, settings, store, objects = ground.home, ground.settings, ground.store, ground.objects
    collector = collector_of(home, settings, ground.freeing, objects, ground.backend, ground.clock)
    secrets = SecretFile(home.secrets)
    return operations_of(
        store,
        objects,
        ground.images,
        ground.models,
        collector,
        secrets,
        ground.ingredients,
        reads.flush,
        settings,
        queue.what_for,
    )


def _subscribe(store: SqliteStore, settings: Settings) -> None:
    """Have rules and the platform's own metrics see every change."""
    rules, own_metrics = Rules(), OwnMetrics(settings.keep_metrics_days)
    store.subscribe(rules, own_metrics)
    store.on_kind(ALARM.noun, own_metrics.forget)
    store.on_kind(RULE.noun, rules.forget)
