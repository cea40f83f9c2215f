"""The folder of blobs and the S3 front door, in process on SQLite, against their suites."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from towpath.gateway.services.s3 import S3Service
from towpath.objects import FolderObjects
from towpath.store import SqliteStore
from towpath.testing.objects import ObjectStoreConformance
from towpath.testing.s3 import S3, S3Conformance


class TestFolder(ObjectStoreConformance):
    @pytest.fixture
    def objects(self, tmp_path: Path) -> FolderObjects:
        return FolderObjects(tmp_path / "objects")


class TestS3OnSqlite(S3Conformance):
    @pytest.fixture
    def s3(self, tmp_path: Path) -> Iterator[S3]:
        store = SqliteStore(tmp_path / "store.db")
        client = S3(S3Service(store, FolderObjects(tmp_path / "objects"), store.home).handle)
        client("PUT", "bucket")
        yield client
        store.close()
