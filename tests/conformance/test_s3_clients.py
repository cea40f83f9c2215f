"""What boto3 relies on of S3, on a server of ours over HTTP."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from tests.s3_server import Served, s3_client, served

from towpath.testing.s3_client import S3ClientConformance

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("home")) as server:
        yield server


class TestTowpath(S3ClientConformance):
    @pytest.fixture
    def s3(self, ours: Served) -> Any:
        return s3_client(ours.url)

    @pytest.fixture
    def bucket(self, s3: Any) -> str:
        name = f"bucket-{uuid4().hex}"
        s3.create_bucket(Bucket=name)
        return name
