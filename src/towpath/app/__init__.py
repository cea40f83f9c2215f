"""The composition root: the one place that picks implementations and wires them."""

from towpath.app.logs import configure_logging
from towpath.app.offline import collect_garbage, running_without_server, stop_everything
from towpath.app.parts import missing_from_bucket, object_store
from towpath.app.platform import Platform
from towpath.app.tables import KINDS, SHOWN_BY, OperationShapes

__all__ = [
    "KINDS",
    "SHOWN_BY",
    "OperationShapes",
    "Platform",
    "collect_garbage",
    "configure_logging",
    "missing_from_bucket",
    "object_store",
    "running_without_server",
    "stop_everything",
]
