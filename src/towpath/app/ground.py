"""What everything else of an open home stands on: its store, its objects, where its jobs run."""

import logging
from dataclasses import dataclass
from functools import partial

from towpath.app.parts import object_store, process_backend, sessions, surroundings_of, sweep
from towpath.compute.interpreters import WatchedImages
from towpath.compute.process import ProcessBackend
from towpath.compute.process.capacity import capacity_of
from towpath.functions import FUNCTION_INVOCATION, CallIngredients
from towpath.gateway import ServiceModels
from towpath.home import HomeFolder
from towpath.hosting import served_model
from towpath.jobs.contract import Surroundings
from towpath.jobs.ingredients import JobIngredients
from towpath.jobs.instances import Capacity
from towpath.kernel.arns import Home
from towpath.kernel.clock import Clock, SystemClock
from towpath.kernel.objects import ObjectStore
from towpath.objects import create_default_bucket
from towpath.objects.code_trees import StoredCodeTrees
from towpath.settings import Settings
from towpath.store import FreeingStore, Reserve, SqliteStore
from towpath.tuning import TuningIngredients
from towpath.tuning.kinds import HYPER_PARAMETER_TUNING_JOB


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """The adapters behind the ports, opened as the settings say."""

    home: HomeFolder
    settings: Settings
    url: str  #: where clients reach the server
    clock: Clock
    store: SqliteStore
    freeing: FreeingStore  #: the same, for what makes room on a full disk
    objects: ObjectStore
    backend: ProcessBackend
    images: WatchedImages
    capacity: Capacity
    surroundings: Surroundings
    models: ServiceModels
    ingredients: JobIngredients

    @classmethod
    def open(
        cls, home: HomeFolder, settings: Settings, *, url: str, clock: Clock | None, backend: ProcessBackend | None
    ) -> "Ground":
        """Open the home, making it on first use; see `Platform.open`."""
        clock = clock or SystemClock()
        store = SqliteStore(home.database, home=Home(account=settings.account, region=settings.region), clock=clock)
        store.write(create_default_bucket)
        reserve = Reserve(home.reserve)
        if not reserve.fill():
            logging.getLogger(__name__).warning("there is too little room on the disk to keep a reserve for deletions")
        store.on_commit(reserve.refill)
        objects = object_store(home, settings, store)
        sweep(store, objects)
        images = WatchedImages(settings.images)
        capacity = capacity_of(settings.cores, settings.memory_gb)
        made_of = partial(
            JobIngredients,
            store=store,
            objects=objects,
            images=images,
            trees=StoredCodeTrees(objects),
            model_named=served_model,
        )
        return cls(
            home=home,
            settings=settings,
            url=url,
            clock=clock,
            store=store,
            freeing=FreeingStore(store, reserve),
            objects=objects,
            backend=backend or process_backend(home, settings, session=sessions(store)),
            images=images,
            capacity=capacity,
            surroundings=surroundings_of(settings, store.home, capacity, url),
            models=ServiceModels(),
            ingredients=made_of(
                others={
                    FUNCTION_INVOCATION.noun: CallIngredients(store, images),
                    HYPER_PARAMETER_TUNING_JOB.noun: TuningIngredients(store, made_of()),
                }
            ),
        )
