"""A home in a temporary folder, and the operations on datasets as the front door calls them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from towpath.gateway.service_models import ServiceModels
from towpath.kernel.clock import VirtualClock
from towpath.kernel.objects import ObjectVersion
from towpath.kernel.operations import Operation, Request
from towpath.kernel.principals import Caller
from towpath.kernel.shapes import check, checked, project
from towpath.objects import FolderObjects
from towpath.objects.datasets import create_default_bucket, operations
from towpath.store import SqliteStore

MODELS = ServiceModels()
OPERATIONS = {operation.name: operation for operation in operations()}
BUCKET = "sagemaker-us-east-1-000000000000"

Call: TypeAlias = Callable[..., dict[str, Any]]
Put: TypeAlias = Callable[..., ObjectVersion]


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def store(tmp_path: Path, clock: VirtualClock) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "store.db", clock=clock)
    store.write(create_default_bucket)
    yield store
    store.close()


@pytest.fixture
def put(store: SqliteStore, tmp_path: Path) -> Put:
    """Put an object into the default bucket."""
    objects = FolderObjects(tmp_path / "objects")

    def put(key: str, content: bytes, bucket: str = BUCKET) -> ObjectVersion:
        blob = objects.write([content])
        version = ObjectVersion(
            bucket=bucket,
            key=key,
            version_id=blob.blob,
            size=blob.size,
            sha256=blob.sha256,
            etag=blob.etag,
            blob=blob.blob,
            created_at=store.clock.now(),
            created_by="ann",
        )
        store.write(lambda transaction: transaction.objects.put(version))
        return version

    return put


@pytest.fixture
def call(store: SqliteStore) -> Call:
    """Call an operation: checked by its input shape, projected on its output shape, which must be complete."""

    def call(name: str, *, by: str = "ann", **members: Any) -> dict[str, Any]:
        model = MODELS.operation("towpath", name)
        assert model is not None
        operation: Operation = OPERATIONS[name]
        request = Request(operation=name, input=checked(members, model.input_shape), caller=Caller(by, "request-1"))
        run = store.write if operation.writes else store.read
        answer = project(run(lambda transaction: operation.function(transaction, request)), model.output_shape)
        assert check(answer, model.output_shape) == []
        assert isinstance(answer, dict)
        return answer

    return call
