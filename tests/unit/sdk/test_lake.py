"""Putting and getting objects by S3's protocol."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from towpath.sdk import lake
from towpath.sdk.errors import DefinitionError, ServerFault
from towpath.sdk.lake import Lake
from towpath.sdk.transport import Transport

if TYPE_CHECKING:
    from tests.unit.sdk.conftest import Asked, Scripted

Serve = Callable[[Callable[["Asked"], Any]], "Scripted"]


def test_a_put_names_the_object_and_tells_the_version(serve: Serve, told: Any) -> None:
    server = serve(lambda asked: told(headers={"x-amz-version-id": "v1"}))
    stored = Lake(Transport(server.url, "t")).put_bytes("s3://b/a folder/ä+~.txt", b"x", content_type="text/plain")
    assert (stored.key, stored.version_id, stored.size) == ("a folder/ä+~.txt", "v1", 1)
    asked = server.asked[0]
    assert asked.path == "/b/a%20folder/%C3%A4%2B~.txt"
    assert asked.headers["content-type"] == "text/plain"


def test_a_file_is_streamed_with_its_length(serve: Serve, told: Any, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"z" * 300_000)
    server = serve(lambda asked: told())
    Lake(Transport(server.url, "t")).put_file("s3://b/f", tmp_path / "f")
    assert server.asked[0].headers["content-length"] == "300000"
    assert server.asked[0].body == b"z" * 300_000


class Multipart:
    """Answers a multipart upload, and may refuse one of its parts."""

    def __init__(self, told: Any, *, refused: int = 0) -> None:
        self.told = told
        self.refused = refused

    def __call__(self, asked: Asked) -> Any:
        query = parse_qs(urlsplit(asked.path).query, keep_blank_values=True)
        if asked.method == "POST" and "uploads" in query:
            xml = b"<InitiateMultipartUploadResult xmlns='x'><UploadId>u 1</UploadId></InitiateMultipartUploadResult>"
            return self.told(body=xml)
        if asked.method == "PUT":
            number = query["partNumber"][0]
            if number == str(self.refused):
                return self.told(status=500)
            return self.told(headers={"ETag": f'"e{number}"'})
        return self.told(headers={"x-amz-version-id": "v9"}, body=b"<CompleteMultipartUploadResult/>")


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lake, "SINGLE_PUT_BYTES", 10)
    monkeypatch.setattr(lake, "PART_BYTES", 8)


@pytest.mark.usefixtures("small_parts")
def test_a_large_file_goes_up_in_parts(serve: Serve, told: Any, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"0123456789abcdefghij")
    server = serve(Multipart(told))
    stored = Lake(Transport(server.url, "t")).put_file("s3://b/f", tmp_path / "f")
    assert stored.version_id == "v9"
    parts = [asked for asked in server.asked if asked.method == "PUT"]
    assert [part.body for part in parts] == [b"01234567", b"89abcdef", b"ghij"]
    assert all("uploadId=u+1" in part.path for part in parts)
    assert server.asked[-1].body.decode() == (
        "<CompleteMultipartUpload>"
        + "".join(f'<Part><PartNumber>{n}</PartNumber><ETag>"e{n}"</ETag></Part>' for n in (1, 2, 3))
        + "</CompleteMultipartUpload>"
    )


@pytest.mark.usefixtures("small_parts")
def test_an_upload_that_fails_on_its_way_is_taken_back(serve: Serve, told: Any, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"0123456789abcdefghij")
    server = serve(Multipart(told, refused=2))
    with pytest.raises(ServerFault):
        Lake(Transport(server.url, "t")).put_file("s3://b/f", tmp_path / "f")
    assert (server.asked[-1].method, server.asked[-1].path) == ("DELETE", "/b/f?uploadId=u+1")


def test_a_get_writes_the_version_asked_for_into_a_file(serve: Serve, told: Any, tmp_path: Path) -> None:
    server = serve(lambda asked: told(body=b"y" * 2_500_000))
    size = Lake(Transport(server.url, "t")).get_file("s3://b/k", tmp_path / "deep" / "f", version_id="v 1")
    assert size == 2_500_000
    assert (tmp_path / "deep" / "f").read_bytes() == b"y" * 2_500_000
    assert server.asked[0].path == "/b/k?versionId=v+1"
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["f"]


def test_a_get_that_fails_leaves_what_was_there(serve: Serve, told: Any, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("before")
    server = serve(lambda asked: told(status=500))
    with pytest.raises(ServerFault):
        Lake(Transport(server.url, "t")).get_file("s3://b/k", tmp_path / "f")
    assert (tmp_path / "f").read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_a_listing_goes_on_over_its_pages(serve: Serve, told: Any) -> None:
    def page(asked: Asked) -> Any:
        second = "continuation-token=t1" in asked.path
        key, more = ("b", "false") if second else ("a", "true")
        return told(
            body=f"""<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><IsTruncated>{more}</IsTruncated>
            <NextContinuationToken>t1</NextContinuationToken>
            <Contents><Key>{key}</Key><Size>3</Size><ETag>"e"</ETag></Contents></ListBucketResult>""".encode()
        )

    server = serve(page)
    found = list(Lake(Transport(server.url, "t")).objects("s3://bucket/x/"))
    assert [(each.uri, each.size, each.etag) for each in found] == [
        ("s3://bucket/a", 3, "e"),
        ("s3://bucket/b", 3, "e"),
    ]
    assert "prefix=x%2F" in server.asked[0].path


def test_a_bucket_is_made_only_where_there_is_none(serve: Serve, told: Any) -> None:
    server = serve(lambda asked: told(status=404 if asked.method == "HEAD" else 200))
    Lake(Transport(server.url, "t")).ensure_bucket("b")
    assert [asked.method for asked in server.asked] == ["HEAD", "PUT"]


def test_what_is_no_s3_uri_is_refused() -> None:
    for uri in ("b/k", "http://b/k", "s3://"):
        with pytest.raises(DefinitionError, match="is not an S3 URI"):
            lake.split_uri(uri)
