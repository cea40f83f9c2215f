"""What boto3 relies on of S3: a server of ours, and SeaweedFS as proof that the suite asks for nothing of our own."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from tests.s3_server import Served, s3_client, served
from tests.seaweedfs import SeaweedFS, seaweedfs

from towpath.testing.s3_client import S3ClientConformance

#: Where SeaweedFS 4.48 does otherwise than S3. The platform relies on none of it: it keeps names and versions itself.
DEPARTURES = {
    "test_keys_are_listed_in_the_order_of_their_bytes": "keys beyond ASCII come out of order",
    "test_the_older_form_names_no_next_marker_without_a_delimiter": "NextMarker is always there",
    "test_a_tag_that_is_there_twice_is_refused": "the last of two tags with one key is kept",
    "test_a_copy_has_the_etag_of_its_source": "a copy of a small object has an ETag of its own",
    "test_uploads_that_are_under_way_are_listed_in_order_and_folded": "uploads are not in order, nor folded",
    "test_the_checksum_is_one_of_the_attributes": "GetObjectAttributes leaves the checksum out",
}


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("home")) as server:
        yield server


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    with seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as server:
        yield server


@pytest.mark.slow
class TestTowpath(S3ClientConformance):
    @pytest.fixture
    def s3(self, ours: Served) -> Any:
        return s3_client(ours.url)

    @pytest.fixture
    def bucket(self, s3: Any) -> str:
        name = f"bucket-{uuid4().hex}"
        s3.create_bucket(Bucket=name)
        return name


@pytest.mark.slow
@pytest.mark.clients
class TestSeaweedFS(S3ClientConformance):
    @pytest.fixture(autouse=True)
    def departures(self, request: pytest.FixtureRequest) -> None:
        """Expect what is known to be otherwise, and notice when it no longer is."""
        reason = DEPARTURES.get(request.node.originalname)
        if reason is not None:
            request.applymarker(pytest.mark.xfail(reason=reason, strict=True))

    @pytest.fixture
    def s3(self, foreign: SeaweedFS) -> Any:
        return foreign.client()

    @pytest.fixture
    def bucket(self, s3: Any) -> str:
        name = f"bucket-{uuid4().hex}"
        s3.create_bucket(Bucket=name)
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name
