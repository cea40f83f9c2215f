"""ECR: there is no registry of container images here, and whoever asks for one is told what to do instead."""

from towpath.kernel.operations import Operations, refusing

OPERATIONS: Operations = {
    "GetAuthorizationToken": refusing(
        "GetAuthorizationToken",
        "Towpath has no container registry to log in to: an image name stands for a Python environment of this host. "
        "Map the name to one under [images] in towpath.toml, see docs/operations.md; nothing has to be pushed.",
    )
}
