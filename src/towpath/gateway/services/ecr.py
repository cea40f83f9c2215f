"""ECR: there is no registry of container images here, and whoever asks for one is told what to do instead."""

from towpath.kernel.errors import Unsupported
from towpath.kernel.operations import Operation, Operations, Request
from towpath.kernel.ports import Transaction
from towpath.kernel.resource import Document


def get_authorization_token(_: Transaction, __: Request) -> Document:
    """Refuse GetAuthorizationToken: a token would lead to a registry that is not there.

    Raises:
        Unsupported: always; says what stands for images here.
    """
    raise Unsupported(
        "Towpath has no container registry to log in to: an image name stands for a Python environment of this host. "
        "Map the name to one under [images] in towpath.toml, see docs/operations.md; nothing has to be pushed."
    )


OPERATIONS: Operations = {
    "GetAuthorizationToken": Operation(name="GetAuthorizationToken", function=get_authorization_token, writes=False)
}
