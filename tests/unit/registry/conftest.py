"""A registry on the real store, with a few objects in it."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from towpath.jobs.images import ImageMap, Interpreter
from towpath.kernel.clock import VirtualClock
from towpath.kernel.objects import ObjectVersion
from towpath.kernel.operations import Request
from towpath.kernel.principals import Caller
from towpath.kernel.resource import Document, Uid
from towpath.registry import operations
from towpath.store import SqliteStore, SqlTransaction

IMAGES = ImageMap(Interpreter(python="/opt/python", version="3.11.7", packages={"numpy": "2.4.6"}), {})

Call = Callable[..., Document]


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def store(tmp_path: Path, clock: VirtualClock) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "store.db", clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def put(store: SqliteStore) -> Callable[[str, bytes], str]:
    """Make `body` the latest version of a key of the bucket "lake"; return its version id."""

    def put_object(key: str, body: bytes = b"model") -> str:
        def write(transaction: SqlTransaction) -> str:
            transaction.objects.create_bucket("lake", transaction.now)
            version_id = f"v{len(transaction.objects.versions('lake', key)) + 1}"
            transaction.objects.put(
                ObjectVersion(
                    bucket="lake",
                    key=key,
                    version_id=version_id,
                    size=len(body),
                    sha256=hashlib.sha256(body).hexdigest(),
                    etag=hashlib.md5(body, usedforsecurity=False).hexdigest(),
                    blob=f"{key}-{version_id}",
                    created_at=transaction.now,
                    created_by="ada",
                )
            )
            return version_id

        return store.write(write)

    return put_object


@pytest.fixture
def call(store: SqliteStore) -> Call:
    """Carry out an operation as somebody."""
    table = {operation.name: operation for operation in operations(IMAGES.resolve)}

    def carry_out(operation: str, *, by: str = "ada", parent: Uid | None = None, **members: Any) -> Document:
        request = Request(operation=operation, input=members, caller=Caller(by, "r-1"), parent=parent)
        found = table[operation]
        if found.writes:
            return store.write(lambda transaction: found.function(transaction, request))
        return store.read(lambda transaction: found.function(transaction, request))

    return carry_out
