"""A server of ours that speaks S3 and keeps datasets, on a free port of loopback, for tests with real clients."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import uvicorn
from botocore.config import Config

from towpath.callers import Role
from towpath.gateway import Gateway, KeyRing, application
from towpath.gateway.services.s3 import S3Service
from towpath.kernel.arns import Home
from towpath.kernel.objects import ObjectStore
from towpath.kernel.principals import AccessKey
from towpath.objects import FolderObjects, create_default_bucket, operations
from towpath.objects.lookups import lookup_operations
from towpath.objects.reads import Reads
from towpath.store import SqliteStore

HOME = Home("123456789012", "us-east-1")
ADA = AccessKey(
    principal="ada",
    access_key="AKIAADA",
    secret_key="ada/secret+key",
    created_at=datetime.now(UTC),
    roles=frozenset({Role.ADMINISTRATOR}),
)


@dataclass(frozen=True)
class Served:
    """A running server."""

    url: str
    store: SqliteStore


@contextmanager
def served(folder: Path, objects: ObjectStore | None = None) -> Iterator[Served]:
    """Serve a home in `folder` until the block is left; its objects lie in a folder unless others are given."""
    store = SqliteStore(folder / "towpath.db", home=HOME)
    store.write(create_default_bucket)
    reads = Reads(store)
    gateway = Gateway(
        store=store,
        operations={operation.name: operation for operation in operations(reads.flush)},
        services={"cloudtrail": lookup_operations(reads.flush)},
        keys=KeyRing(lambda: [ADA]),
        home=HOME,
        s3=S3Service(store, objects or FolderObjects(folder / "objects"), HOME, readers=reads),
    )
    listening = socket.create_server(("127.0.0.1", 0))
    running = uvicorn.Server(uvicorn.Config(application(gateway), log_config=None, access_log=False))
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield Served(f"http://127.0.0.1:{listening.getsockname()[1]}", store)
    finally:
        running.should_exit = True
        thread.join(20)
        reads.close()
        store.close()
        listening.close()
    assert not thread.is_alive()


def s3_client(url: str, access_key: str = ADA.access_key, secret_key: str = ADA.secret_key) -> Any:
    """Return a client that asks once: a retry would hide what the server did."""
    return boto3.client(
        "s3",
        endpoint_url=url,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        region_name="us-east-1",
        config=Config(retries={"total_max_attempts": 1}),
    )
