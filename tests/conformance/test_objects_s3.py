"""The object store on a bucket of an S3 service, against its suite: on a server of ours, and on SeaweedFS."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from tests.s3_server import ADA, Served, s3_client, served

from tests import seaweedfs
from towpath.objects.location import S3Location
from towpath.objects.s3 import S3Objects, client_of
from towpath.testing.objects import ObjectStoreConformance


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("home")) as server:
        s3_client(server.url).create_bucket(Bucket="lake")
        yield server


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[seaweedfs.SeaweedFS]:
    with seaweedfs.seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as server:
        server.client().create_bucket(Bucket="lake")
        yield server


def opened(url: str, access_key: str, secret_key: str, folder: Path) -> S3Objects:
    """Return a store on a new prefix of the bucket `lake`."""
    location = S3Location(bucket="lake", prefix=f"objects/{uuid4().hex}", endpoint=url)
    client = client_of(location, access_key=access_key, secret_key=secret_key)
    return S3Objects(client, location, folder, cache_bytes=1 << 30)


@pytest.mark.slow
class TestOnTowpath(ObjectStoreConformance):
    @pytest.fixture
    def objects(self, ours: Served, tmp_path: Path) -> S3Objects:
        return opened(ours.url, ADA.access_key, ADA.secret_key, tmp_path)


@pytest.mark.slow
@pytest.mark.clients
class TestOnSeaweedFS(ObjectStoreConformance):
    @pytest.fixture
    def objects(self, foreign: seaweedfs.SeaweedFS, tmp_path: Path) -> S3Objects:
        return opened(foreign.url, seaweedfs.ACCESS_KEY, seaweedfs.SECRET_KEY, tmp_path)
