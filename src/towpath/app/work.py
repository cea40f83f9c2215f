"""Who looks after which kind of resource: the controllers of an open home, and the queues before what they start."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from towpath.app.ground import Ground
from towpath.app.parts import calls_at_a_time
from towpath.app.tables import KINDS, OperationShapes
from towpath.functions import InvocationController
from towpath.gateway.model_client import ping
from towpath.hosting import EndpointController, Routes
from towpath.jobs.admission import Ledger
from towpath.jobs.controller import JobController
from towpath.jobs.strategies import STRATEGIES
from towpath.kernel.decisions import Controller
from towpath.kernel.operations import Operations
from towpath.kernel.resource import Uid
from towpath.metrics import AlarmController
from towpath.objects.check_outs import check_out_inputs
from towpath.objects.documents import StoredDocuments
from towpath.outbound import Sender
from towpath.pipelines.controller import ExecutionController
from towpath.pipelines.results import Results
from towpath.pipelines.waiting import CallbackController
from towpath.queues import RetentionController
from towpath.triggers import DeliveryController, timing_controllers
from towpath.tuning import OptunaSearch, TuningController
from towpath.tuning import kinds as tuning_kinds
from towpath.tuning import yielded as tuning_yielded

Wake = Callable[[Uid], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """All controllers."""

    jobs: tuple[JobController, ...]
    endpoints: EndpointController
    functions: InvocationController
    others: tuple[Controller[Any], ...]
    queue: Ledger  #: of jobs and model servers
    calls: Ledger  #: of calls of functions

    @classmethod
    def of(
        cls, ground: Ground, operations: Operations, sender: Sender, routes: Routes, wake: Wake, queue: Ledger
    ) -> "Work":
        """Make them.

        Args:
            operations: by which executions, tuners and rules act.
            sender: of what goes to webhooks.
            routes: from endpoints to their model servers.
            wake: has the engine look at a resource soon.
            queue: in which jobs and model servers wait for room on the host.
        """
        calls = Ledger(calls_at_a_time(ground.settings, ground.capacity), wake=wake)
        return cls(
            jobs=_jobs(ground, queue),
            endpoints=_endpoints(ground, queue, routes),
            functions=_functions(ground, calls),
            others=_others(ground, operations, sender, wake),
            queue=queue,
            calls=calls,
        )

    def controllers(self) -> dict[str, Controller[Any]]:
        """Return them by the noun of what they look after."""
        every: tuple[Controller[Any], ...] = (*self.jobs, self.endpoints, self.functions, *self.others)
        return {controller.kind: controller for controller in every}

    def restore(self) -> tuple[Uid, ...]:
        """Tell the queues who held what when the last server ended; return what had begun, and the endpoints."""
        standing = [controller.standing() for controller in self.jobs]
        begun = [demand for held, _ in standing for demand in held]
        self.queue.restore(begun, [demand for _, waiting in standing for demand in waiting])
        called, waiting_calls = self.functions.standing()
        self.calls.restore(called, waiting_calls)
        jobs = [Uid(demand.key) for demand in (*begun, *called, *waiting_calls)]
        return (*self.endpoints.restore_routes(), *jobs)


def _jobs(ground: Ground, queue: Ledger) -> tuple[JobController, ...]:
    return tuple(
        JobController(
            strategy,
            store=ground.store,
            objects=ground.objects,
            backend=ground.backend,
            images=ground.images,
            surroundings=ground.surroundings,
            admission=queue,
            check_out=check_out_inputs,
        )
        for strategy in STRATEGIES
    )


def _endpoints(ground: Ground, queue: Ledger, routes: Routes) -> EndpointController:
    return EndpointController(
        store=ground.store,
        path_of=ground.objects.path,
        backend=ground.backend,
        routes=routes,
        resolve=ground.images.resolve,
        ping=ping,
        surroundings=ground.surroundings,
        admission=queue,
    )


def _functions(ground: Ground, calls: Ledger) -> InvocationController:
    return InvocationController(
        store=ground.store,
        objects=ground.objects,
        backend=ground.backend,
        images=ground.images,
        surroundings=ground.surroundings,
        admission=calls,
        clock=ground.clock,
        read=lambda staged: Path(staged.path).read_bytes(),
        keep_days=ground.settings.keep_logs_days,
    )


def _others(ground: Ground, operations: Operations, sender: Sender, wake: Wake) -> tuple[Controller[Any], ...]:
    settings, store = ground.settings, ground.store
    return (
        ExecutionController(
            store=store,
            operations=operations,
            kinds=KINDS,
            documents=StoredDocuments(store, ground.objects),
            shapes=OperationShapes(ground.models),
            results=Results(store, ground.ingredients),
            extras={tuning_kinds.HYPER_PARAMETER_TUNING_JOB.noun: tuning_yielded},
        ),
        TuningController(store=store, operations=operations, search=OptunaSearch()),
        *timing_controllers(settings.missed_schedules),
        DeliveryController(operations, sender, wake=wake, keep_lines_days=settings.keep_logs_days),
        CallbackController(store, timeout_days=settings.callback_timeout_days),
        RetentionController(store),
        AlarmController(store),
    )
