"""Which operations a front door offers, by service."""

from collections.abc import Mapping

from towpath.gateway.gateway import SERVICES, Gateway
from towpath.gateway.services.s3 import OPERATIONS
from towpath.kernel.operations import Operation

#: Operations that no table holds: they leave the chain before it.
_STREAMED: Mapping[str, tuple[str, ...]] = {
    "s3": tuple(sorted(name for name, _ in OPERATIONS.values())),
    "sagemaker-runtime": ("InvokeEndpoint",),
}


def offered(gateway: Gateway) -> dict[str, dict[str, Operation | None]]:
    """Return the operations of each service by name; what is streamed is no `Operation`."""
    found: dict[str, dict[str, Operation | None]] = {}
    for service in SERVICES:
        if service in _STREAMED:
            found[service] = dict.fromkeys(_STREAMED[service])
            continue
        names = set(gateway.models.service(service).operation_names)
        table = gateway.services.get(service, gateway.operations)
        found[service] = {name: operation for name, operation in sorted(table.items()) if name in names}
    return found
