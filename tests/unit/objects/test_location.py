"""The setting that says where bytes lie is read, or refused with what is wrong in it."""

import pytest

from towpath.kernel.errors import Invalid
from towpath.objects.location import S3Location, location_of


def test_the_folder_of_the_home_is_no_bucket() -> None:
    assert location_of("folder") is None


def test_bucket_prefix_endpoint_and_region_are_read() -> None:
    found = location_of("s3://lake/team/a/?endpoint=http://10.0.0.7:8333&region=eu-central-1")
    assert found == S3Location(bucket="lake", prefix="team/a", endpoint="http://10.0.0.7:8333", region="eu-central-1")
    assert found is not None
    assert found.key("3f9c") == "team/a/blobs/3f/3f9c"
    assert (found.uri, str(found)) == ("s3://lake/team/a", "s3://lake/team/a at http://10.0.0.7:8333")


def test_a_bucket_alone_is_one_of_aws() -> None:
    found = location_of("s3://lake")
    assert found is not None
    assert (found.uri, found.endpoint, found.key("3f9c")) == ("s3://lake", None, "blobs/3f/3f9c")


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("", "another form"),
        ("Folder", "another form"),
        ("s3:///prefix", "another form"),
        ("https://host/bucket", "another form"),
        ("s3://lake?endpont=http://h", "unknown part 'endpont'"),
        ("s3://lake?endpoint=host:8333", "expected http:// or https://"),
        ("s3://lake?endpoint=http://key:secret@host", "no keys"),
    ],
)
def test_what_is_no_place_is_refused_with_what_was_expected(setting: str, told: str) -> None:
    with pytest.raises(Invalid, match=told):
        location_of(setting)
