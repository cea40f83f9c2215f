"""Requests that are sent again: what repeats the request that a token came with first, and what is another. Pure.

A client sends a request once more when its answer was lost, with the same token, and is to be answered as before. A
request that asks for something else with that token is refused: it would silently be dropped.
"""

import hashlib

import msgspec

from towpath.kernel.errors import Conflict
from towpath.kernel.operations import Request

TOKENS = ("ClientRequestToken", "ClientToken")  #: members of requests that hold a token


def token_of(request: Request) -> str | None:
    """Return the token that a request came with."""
    return next((request.input[member] for member in TOKENS if request.input.get(member) is not None), None)


def digest_of(request: Request) -> str:
    """Return what is kept of a request to know it again: SHA-256 over all that it asks for, whatever its token is."""
    asked = {name: value for name, value in request.input.items() if name not in TOKENS and value is not None}
    return hashlib.sha256(msgspec.json.encode([request.operation, asked], order="deterministic")).hexdigest()


def is_repeated(request: Request, *, token: str | None, digest: str | None, arn: str) -> bool:
    """Return whether `request` is the one that came with `token`, sent again.

    Args:
        digest: of the request that came with it; None: an earlier release kept none, and it is taken for the same.
        arn: of what that request was about, for the message.
    Raises:
        Conflict: it came with the same token and asks for something else.
    """
    if token is None or token_of(request) != token:
        return False
    if digest is not None and digest_of(request) != digest:
        member = next(member for member in TOKENS if request.input.get(member) is not None)
        raise Conflict(
            f"The {member} {token!r} came with another request before, about {arn}; nothing was done. Send this "
            "request with a token of its own",
            code="ConflictException",
        )
    return True
