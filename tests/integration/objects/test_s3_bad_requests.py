"""Requests that are wrong in odd ways are refused in the words of S3, and change nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from towpath.gateway.services.s3 import S3Service
from towpath.objects import FolderObjects
from towpath.store import SqliteStore
from towpath.testing.s3 import S3

MANY_DIGITS = "9" * 5000  #: more than Python turns into a number


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[S3]:
    store = SqliteStore(tmp_path / "store.db")
    client = S3(S3Service(store, FolderObjects(tmp_path / "objects"), store.home).handle)
    client("PUT", "bucket")
    client("PUT", "bucket", "key", body=b"hello")
    yield client
    store.close()


@pytest.mark.parametrize(
    "value", ["text/plain\r\nset-cookie: stolen", "text/plain\n", "\0", "\N{SNOWMAN}", "a\N{DELETE}b"]
)
def test_an_answer_s_header_that_the_query_gives_is_text_that_a_header_can_hold(s3: S3, value: str) -> None:
    for answer in (
        s3("GET", "bucket", "key", response_content_type=value),
        s3("GET", "bucket", "key", response_content_disposition=value),
        s3("GET", "bucket", "key", response_expires=value),
    ):
        assert (answer.status, answer.code) == (400, "InvalidArgument")


@pytest.mark.parametrize("version", ["x\r\nset-cookie: stolen", "\n", "\0", "\N{SNOWMAN}", "a\N{DELETE}b"])
def test_a_version_that_an_answer_s_header_cannot_name_is_refused(s3: S3, version: str) -> None:
    answer = s3("DELETE", "bucket", "key", versionId=version)
    assert (answer.status, answer.code) == (400, "InvalidArgument")
    assert s3("GET", "bucket", "key").body == b"hello"


def test_a_range_of_any_length_is_read_or_refused(s3: S3) -> None:
    assert s3("GET", "bucket", "key", headers={"range": f"bytes={MANY_DIGITS}-"}).code == "InvalidRange"
    assert s3("GET", "bucket", "key", headers={"range": f"bytes=0-{MANY_DIGITS}"}).body == b"hello"
    assert s3("GET", "bucket", "key", headers={"range": f"bytes=-{MANY_DIGITS}"}).body == b"hello"


@pytest.mark.parametrize("length", ["\xb2", MANY_DIGITS, "-1", "five"])
@pytest.mark.parametrize("name", ["content-length", "x-amz-decoded-content-length"])
def test_a_length_that_is_no_number_is_refused(s3: S3, name: str, length: str) -> None:
    headers = {name: length} | ({"content-encoding": "aws-chunked"} if name.startswith("x-amz") else {})
    answer = s3("PUT", "bucket", "other", body=b"1\r\na\r\n0\r\n\r\n", headers=headers)
    assert (answer.status, answer.code) == (400, "InvalidArgument")
    assert s3("GET", "bucket", "other").code == "NoSuchKey"


@pytest.mark.parametrize("inner", ["<Key><b/></Key>", "<Key>key</Key><VersionId><b/></VersionId>", "<Key/>", ""])
def test_elements_where_text_is_expected_are_refused(s3: S3, inner: str) -> None:
    body = f"<Delete><Object>{inner}</Object></Delete>".encode()
    assert s3("POST", "bucket", body=body, delete="").code == "MalformedXML"
    assert s3("GET", "bucket", "key").body == b"hello"


def test_a_part_whose_number_is_an_element_is_refused(s3: S3) -> None:
    upload = s3("POST", "bucket", "big", uploads="").text("UploadId")
    part = "<Part><PartNumber><b/></PartNumber><ETag>x</ETag></Part>"
    body = f"<CompleteMultipartUpload>{part}</CompleteMultipartUpload>".encode()
    assert s3("POST", "bucket", "big", body=body, uploadId=upload).code == "MalformedXML"


def test_a_date_that_no_calendar_holds_counts_as_absent(s3: S3) -> None:
    for date in ("Mon, 01 Jan 0001 00:00:00 +2359", "Fri, 31 Dec 9999 23:59:59 -2359", "Mon, 99 Foo 9999 99:99:99 GMT"):
        assert s3("GET", "bucket", "key", headers={"if-modified-since": date}).body == b"hello"
