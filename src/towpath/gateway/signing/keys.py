"""Finds the key that a request names, and checks what every kind of signature has to have checked."""

import hmac
import threading
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Protocol

from towpath.gateway.exchange import Head
from towpath.gateway.signing.model import Reason, Refused
from towpath.kernel.principals import AccessKey


class Keys(Protocol):
    """Finds keys. Asked for each request on the event loop, so it answers from memory."""

    def find(self, access_key: str) -> AccessKey | None:
        """Return the key of that name, also one that is inactive or has expired."""


class KeyRing:
    """All keys of a home, held in memory and read anew after each change."""

    def __init__(self, load: Callable[[], Iterable[AccessKey]]) -> None:
        """`load` reads the keys from where they are kept."""
        self._load = load
        self._lock = threading.Lock()  #: a slow load must not put older keys over those of a later one
        self._keys: dict[str, AccessKey] = {}
        self.reload()

    def find(self, access_key: str) -> AccessKey | None:
        return self._keys.get(access_key)

    def reload(self) -> None:
        """Read the keys anew."""
        with self._lock:
            self._keys = {key.access_key: key for key in self._load()}


def bearer_token(head: Head) -> str | None:
    """Return the bearer token in the Authorization header, None when the header holds none."""
    scheme, _, token = head.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def identify_token(token: str, keys: Keys, now: datetime) -> AccessKey:
    """Return the key that a bearer token belongs to.

    Raises:
        Refused: it belongs to none, or to one that is no longer good.
    """
    key = keys.find(token.partition(".")[0])
    # Compared in constant time: how long it takes tells nobody how much of a token was right.
    if key is None or not hmac.compare_digest(key.token.encode(), token.encode("utf-8", "surrogateescape")):
        raise Refused(Reason.UNKNOWN, "The bearer token included in the request is invalid.")
    check_validity(key, now)
    return key


def key_named(access_key: str, keys: Keys, *, session_token: str, now: datetime) -> AccessKey:
    """Return the key that a signature names.

    Args:
        session_token: what the request carries as X-Amz-Security-Token, empty when nothing.
    Raises:
        Refused: there is no such key, it is not good any more, or the session token is not the one that belongs to it.
    """
    key = keys.find(access_key)
    if key is None:
        raise Refused(
            Reason.UNKNOWN,
            f"The access key {access_key!r} does not exist here; `towpath env` prints one that does.",
            {"AWSAccessKeyId": access_key},
        )
    check_validity(key, now)
    if not hmac.compare_digest(key.session_token.encode(), session_token.encode("latin-1", "replace")):
        raise Refused(
            Reason.WRONG_TOKEN,
            "The security token included in the request is not the one of this access key; "
            "set access key, secret key and session token together.",
        )
    return key


def check_validity(key: AccessKey, now: datetime) -> None:
    """Refuse a key that is not good any more."""
    if not key.active:
        raise Refused(Reason.UNKNOWN, f"The access key {key.access_key!r} is inactive.")
    if key.expires_at is not None and now >= key.expires_at:
        raise Refused(
            Reason.EXPIRED,
            f"The security token included in the request expired at {key.expires_at:%Y-%m-%dT%H:%M:%SZ}; "
            "get a new one with AssumeRole.",
        )
