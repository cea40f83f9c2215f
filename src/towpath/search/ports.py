"""What searching needs from the rest of the platform."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from botocore.model import Shape


class Shapes(Protocol):
    """The shapes of the API's operations."""

    def output(self, operation: str) -> "Shape | None":
        """Return the output shape of an operation, None when it is not known."""
