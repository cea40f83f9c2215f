"""The front door of an open home: what answers the requests of clients."""

from functools import partial

from towpath.app.ground import Ground
from towpath.app.parts import ADMINISTRATOR
from towpath.functions import FUNCTION_INVOCATION, Functions
from towpath.gateway import Gateway, KeyRing, log_operations, step_log_operations
from towpath.gateway.invocations import Invocations
from towpath.gateway.news import News
from towpath.gateway.services import ecr
from towpath.gateway.services.s3 import S3Service
from towpath.home import Credentials, HomeFolder
from towpath.hosting import Routes
from towpath.identity import iam_operations, make_administrator, sts_operations, with_roles
from towpath.kernel.operations import Operations
from towpath.kernel.principals import AccessKey
from towpath.metrics import InvocationMetrics
from towpath.metrics import operations as metric_operations
from towpath.objects.lookups import lookup_operations
from towpath.objects.reads import Reads
from towpath.queues import QUEUE_MESSAGE, Queues
from towpath.store import SqliteStore
from towpath.triggers import event_operations, scheduler_operations


def front_door(
    ground: Ground, operations: Operations, routes: Routes, reads: Reads, invoked: InvocationMetrics
) -> Gateway:
    """Return what answers the requests of clients, with the administrator made on first start.

    Args:
        operations: of the SageMaker API and of ours.
        routes: from endpoints to their model servers.
        reads: who has read which object.
        invoked: counts invocations of endpoints.
    """
    store, objects = ground.store, ground.objects
    invocations = Invocations(routes, store.home, note=invoked.note)
    own = _administrator(store, ground.home)
    keys = KeyRing(lambda: store.read(with_roles))
    store.on_keys(keys.reload)
    news = News()
    for noun in (QUEUE_MESSAGE.noun, FUNCTION_INVOCATION.noun):
        store.on_kind(noun, partial(news.tell, noun))
    return Gateway(
        store=store,
        freeing=ground.freeing,
        operations={**operations, **step_log_operations()},
        keys=keys,
        own_key=own.access_key,
        home=store.home,
        home_id=store.home_id,
        clock=ground.clock,
        models=ground.models,
        services={
            "cloudwatch": metric_operations(ground.settings.keep_metrics_days, invoked.flush),
            "cloudtrail": lookup_operations(reads.flush),
            "ecr": ecr.OPERATIONS,
            "events": event_operations(),
            "iam": iam_operations(),
            "lambda": Functions(store, objects, ground.backend).operations(),
            "logs": log_operations(ground.backend),
            "scheduler": scheduler_operations(),
            "sqs": Queues(ground.url).operations(),
            "sts": sts_operations(),
        },
        s3=S3Service(store, objects, store.home, freeing=ground.freeing, readers=reads),
        invocations=invocations,
        news=news,
        on_shutdown=(invocations.close,),
    )


def _administrator(store: SqliteStore, home: HomeFolder) -> AccessKey:
    """Return the administrator's own key, made on first start, and keep the home's credentials file at it."""
    key = store.write(lambda transaction: make_administrator(transaction, ADMINISTRATOR))
    credentials = Credentials(
        principal=key.principal, access_key=key.access_key, secret_key=key.secret_key, token=key.token
    )
    if home.credentials() != credentials:
        home.write_credentials(credentials)
    return key
