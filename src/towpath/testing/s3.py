"""What every S3 front door must do. Subclass the suite and give it its fixture.

class TestMine(S3Conformance):
    @pytest.fixture
    def s3(self): return S3(my_service.handle)  # with an empty bucket named "bucket"
"""

import base64
import hashlib
import zlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from xml.etree import ElementTree

import pytest

from towpath.gateway.services.s3 import S3Request, S3Response
from towpath.kernel.principals import Caller

PART = 5 << 20  #: bytes of the smallest part that may be followed by another


class S3:
    """Sends requests to a front door in process, as a client whose signature was accepted."""

    def __init__(self, handle: Callable[[S3Request], S3Response]) -> None:
        self._handle = handle

    def __call__(
        self,
        method: str,
        bucket: str | None = None,
        key: str | None = None,
        *,
        body: bytes | list[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        **query: str | int,
    ) -> "Answer":
        """Return the answer, its body read to the end. Underscores in names of parameters stand for hyphens."""
        chunks = [body] if isinstance(body, bytes) else list(body or [])
        given = {"content-length": str(sum(map(len, chunks))), **(headers or {})}
        response = self._handle(
            S3Request(
                method=method,
                bucket=bucket,
                key=key,
                query=[(name.replace("_", "-"), str(value)) for name, value in query.items()],
                headers=given,
                body=iter(chunks),
                caller=Caller("tester", "request-1"),
            )
        )
        content = response.body if isinstance(response.body, bytes) else b"".join(response.body)
        return Answer(response.status, dict(response.headers), content)


class Answer:
    """An answer read to its end."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def version(self) -> str:
        """The version that the answer is about."""
        return self.headers["x-amz-version-id"]

    @property
    def code(self) -> str:
        """The code of an error."""
        return self.text("Code")

    def text(self, name: str) -> str:
        """Return the text of the first element of that name, empty when there is none."""
        return next(iter(self.texts(name)), "")

    def texts(self, name: str) -> list[str]:
        """Return the texts of all elements of that name."""
        root = ElementTree.fromstring(self.body)
        return [element.text or "" for element in root.iter() if element.tag.rpartition("}")[2] == name]


class S3Conformance:
    """What clients of S3 rely on. Give it a fixture `s3` with an empty bucket named `bucket`."""

    def test_buckets_are_listed_with_the_time_they_were_made(self, s3: S3) -> None:
        assert s3("PUT", "another-bucket").status == 200
        answer = s3("GET")
        assert answer.texts("Name") == ["another-bucket", "bucket"]
        assert all(datetime.fromisoformat(at).tzinfo is not None for at in answer.texts("CreationDate"))
        assert s3("HEAD", "another-bucket").status == 200
        assert s3("HEAD", "no-such-bucket").status == 404

    def test_a_bucket_goes_once_nothing_is_left_in_it_not_even_history(self, s3: S3) -> None:
        assert s3("DELETE", "no-such-bucket").code == "NoSuchBucket"
        marker = s3("DELETE", "bucket", "k")
        refused = s3("DELETE", "bucket")
        assert (refused.status, refused.code) == (409, "BucketNotEmpty")
        s3("DELETE", "bucket", "k", versionId=marker.version)
        upload = s3("POST", "bucket", "big", uploads="").text("UploadId")
        assert s3("DELETE", "bucket").code == "BucketNotEmpty", "an upload is under way"
        s3("DELETE", "bucket", "big", uploadId=upload)
        assert s3("DELETE", "bucket").status == 204
        assert s3("HEAD", "bucket").status == 404
        assert s3("PUT", "bucket").status == 200

    @pytest.mark.parametrize("name", ["ab", "UPPER", "under_score", "-x-", "a..b", "192.168.1.1", "a" * 64])
    def test_a_name_that_cannot_name_a_bucket_is_refused(self, s3: S3, name: str) -> None:
        assert s3("PUT", name).code == "InvalidBucketName"

    def test_an_object_comes_back_as_it_was_put(self, s3: S3) -> None:
        headers = {"content-type": "text/plain", "x-amz-meta-origin": "lake", "cache-control": "no-store"}
        put = s3("PUT", "bucket", "grün/ö b+c.txt", body=[b"hello ", b"world"], headers=headers)
        assert put.headers["etag"] == f'"{hashlib.md5(b"hello world", usedforsecurity=False).hexdigest()}"'
        for method, body in (("GET", b"hello world"), ("HEAD", b"")):
            got = s3(method, "bucket", "grün/ö b+c.txt")
            assert (got.status, got.body) == (200, body)
            assert got.headers["content-length"] == "11"
            assert got.headers["content-type"] == "text/plain"
            assert got.headers["x-amz-meta-origin"] == "lake"
            assert got.headers["cache-control"] == "no-store"
            assert got.headers["etag"] == put.headers["etag"]
            assert got.version == put.version

    def test_every_put_makes_a_version_and_older_ones_stay(self, s3: S3) -> None:
        first = s3("PUT", "bucket", "k", body=b"one")
        second = s3("PUT", "bucket", "k", body=b"two")
        assert s3("GET", "bucket", "k").body == b"two"
        assert s3("GET", "bucket", "k", versionId=first.version).body == b"one"
        assert s3("GET", "bucket", "k", versionId=second.version).body == b"two"

    def test_a_delete_hides_the_object_and_taking_its_marker_away_brings_it_back(self, s3: S3) -> None:
        put = s3("PUT", "bucket", "k", body=b"kept")
        deleted = s3("DELETE", "bucket", "k")
        assert (deleted.status, deleted.headers["x-amz-delete-marker"]) == (204, "true")
        missing = s3("GET", "bucket", "k")
        assert (missing.status, missing.code, missing.headers["x-amz-delete-marker"]) == (404, "NoSuchKey", "true")
        assert s3("GET", "bucket", list_type=2).text("KeyCount") == "0"
        assert s3("GET", "bucket", "k", versionId=put.version).body == b"kept"
        assert s3("GET", "bucket", "k", versionId=deleted.version).code == "MethodNotAllowed"
        assert s3("DELETE", "bucket", "k", versionId=deleted.version).status == 204
        assert s3("GET", "bucket", "k").body == b"kept"

    def test_a_version_that_nothing_refers_to_goes_for_good_and_the_one_before_is_the_latest(self, s3: S3) -> None:
        first = s3("PUT", "bucket", "k", body=b"one")
        second = s3("PUT", "bucket", "k", body=b"two")
        deleted = s3("DELETE", "bucket", "k", versionId=second.version)
        assert (deleted.status, deleted.version, "x-amz-delete-marker" in deleted.headers) == (
            204,
            second.version,
            False,
        )
        assert s3("GET", "bucket", "k").body == b"one"
        assert s3("GET", "bucket", "k", versionId=second.version).code == "NoSuchVersion"
        assert s3("DELETE", "bucket", "k", versionId=second.version).status == 204, "done already counts as done"
        s3("DELETE", "bucket", "k", versionId=first.version)
        assert s3("GET", "bucket", "k").code == "NoSuchKey"
        assert s3("DELETE", "bucket").status == 204

    def test_a_copy_keeps_its_bytes_when_what_it_was_copied_from_goes(self, s3: S3) -> None:
        original = s3("PUT", "bucket", "k", body=b"shared")
        s3("PUT", "bucket", "copy", headers={"x-amz-copy-source": "bucket/k"})
        s3("DELETE", "bucket", "k", versionId=original.version)
        assert s3("GET", "bucket", "copy").body == b"shared"

    def test_a_delete_whose_condition_does_not_hold_is_refused(self, s3: S3) -> None:
        etag = s3("PUT", "bucket", "k", body=b"kept").headers["etag"]
        assert s3("DELETE", "bucket", "k", headers={"if-match": '"other"'}).code == "PreconditionFailed"
        assert s3("GET", "bucket", "k").body == b"kept"
        assert s3("DELETE", "bucket", "k", headers={"if-match": etag}).status == 204

    def test_a_copy_is_an_object_of_its_own(self, s3: S3) -> None:
        headers = {"content-type": "text/plain", "x-amz-meta-origin": "lake"}
        first = s3("PUT", "bucket", "ä b", body=b"one", headers=headers)
        s3("PUT", "bucket", "ä b", body=b"two")
        source = f"/bucket/%C3%A4%20b?versionId={first.version}"
        copied = s3("PUT", "bucket", "copy", headers={"x-amz-copy-source": source})
        assert (copied.status, copied.text("ETag")) == (200, first.headers["etag"])
        assert copied.headers["x-amz-copy-source-version-id"] == first.version
        got = s3("GET", "bucket", "copy")
        assert (got.body, got.version) == (b"one", copied.version)
        assert (got.headers["content-type"], got.headers["x-amz-meta-origin"]) == ("text/plain", "lake")
        replaced = {"x-amz-copy-source": "bucket/copy", "x-amz-metadata-directive": "REPLACE", "x-amz-meta-new": "1"}
        assert s3("PUT", "bucket", "copy", headers=replaced).status == 200
        got = s3("HEAD", "bucket", "copy")
        assert (got.headers["x-amz-meta-new"], "x-amz-meta-origin" in got.headers) == ("1", False)
        for source, code in (
            ("bucket/absent", "NoSuchKey"),
            ("bucket", "InvalidArgument"),
            ("bucket/copy", "InvalidRequest"),
            (f"bucket/copy?versionId={'0' * 32}", "NoSuchVersion"),
        ):
            assert s3("PUT", "bucket", "copy", headers={"x-amz-copy-source": source}).code == code
        unwanted = {"x-amz-copy-source": "bucket/copy", "x-amz-copy-source-if-none-match": first.headers["etag"]}
        assert s3("PUT", "bucket", "other", headers=unwanted).code == "PreconditionFailed"

    @pytest.mark.parametrize(
        ("header", "code"),
        [
            ("a=1&a=2", "InvalidTag"),
            ("=1", "InvalidTag"),
            ("aws:x=1", "InvalidTag"),
            ("a=%3C", "InvalidTag"),
            (f"{'k' * 129}=1", "InvalidTag"),
            (f"k={'v' * 257}", "InvalidTag"),
            ("&".join(f"k{number}=1" for number in range(11)), "BadRequest"),
            ("a", "InvalidArgument"),
            ("a=%FF", "InvalidArgument"),
        ],
    )
    def test_tags_that_are_none_are_refused_wherever_they_come(self, s3: S3, header: str, code: str) -> None:
        s3("PUT", "bucket", "source", body=b"x")
        tags = {"x-amz-tagging": header}
        assert s3("PUT", "bucket", "k", body=b"x", headers=tags).code == code
        assert s3("POST", "bucket", "k", headers=tags, uploads="").code == code
        copied = {"x-amz-copy-source": "bucket/source", "x-amz-tagging-directive": "REPLACE", **tags}
        assert s3("PUT", "bucket", "k", headers=copied).code == code
        assert s3("GET", "bucket", "k").code == "NoSuchKey"

    def test_a_document_that_holds_no_tags_is_refused_and_changes_none(self, s3: S3) -> None:
        s3("PUT", "bucket", "k", body=b"x", headers={"x-amz-tagging": "team=lake"})
        for wrong in (
            b"<Tagging/>",
            b"<Tagging><TagSet><Tag/></TagSet></Tagging>",
            b"<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>",
            b"<Tagging><TagSet>a</TagSet></Tagging>",
            b"<Other/>",
        ):
            assert s3("PUT", "bucket", "k", body=wrong, tagging="").code == "MalformedXML"
        assert s3("GET", "bucket", "k", tagging="").texts("Key") == ["team"]
        assert s3("PUT", "bucket", "k", body=b"<Tagging><TagSet/></Tagging>", tagging="").status == 200
        assert s3("GET", "bucket", "k", tagging="").texts("Key") == []

    def test_many_objects_are_deleted_at_once_and_each_refusal_is_told(self, s3: S3) -> None:
        for key in ("a", "b&c", "kept"):
            s3("PUT", "bucket", key, body=b"x")
        version = s3("PUT", "bucket", "d", body=b"x").version
        objects = ["<Key>a</Key>", "<Key>b&amp;c</Key>", f"<Key>d</Key><VersionId>{version}</VersionId>"]
        body = f"<Delete>{''.join(f'<Object>{item}</Object>' for item in objects)}</Delete>".encode()
        answer = s3("POST", "bucket", body=body, delete="")
        assert answer.texts("Key") == ["a", "b&c", "d"]
        assert answer.texts("DeleteMarker") == ["true", "true"]
        assert s3("GET", "bucket", list_type=2).texts("Key") == ["kept"]
        assert s3("GET", "bucket", "d", versionId=version).code == "NoSuchVersion"
        refused = s3(
            "POST", "bucket", body=f"<Delete><Object><Key>{'k' * 1025}</Key></Object></Delete>".encode(), delete=""
        )
        assert refused.texts("Code") == ["KeyTooLongError"]
        for wrong in (b"<Delete/>", b"<Delete><Object/></Delete>"):
            assert s3("POST", "bucket", body=wrong, delete="").code == "MalformedXML"

    def test_what_is_missing_is_told_by_its_code(self, s3: S3) -> None:
        s3("PUT", "bucket", "k", body=b"x")
        assert s3("GET", "bucket", "other").code == "NoSuchKey"
        assert s3("GET", "no-such-bucket", "k").code == "NoSuchBucket"
        assert s3("PUT", "no-such-bucket", "k", body=b"x").code == "NoSuchBucket"
        assert s3("GET", "bucket", "k", versionId="0" * 32).code == "NoSuchVersion"
        missing = s3("GET", "bucket", "other")
        assert missing.text("RequestId") == missing.headers["x-amz-request-id"] == "request-1"
        assert s3("HEAD", "bucket", "other").body == b""

    @pytest.mark.parametrize(
        ("asked", "content", "told"),
        [
            ("bytes=0-0", b"0", "bytes 0-0/10"),
            ("bytes=3-5", b"345", "bytes 3-5/10"),
            ("bytes=7-", b"789", "bytes 7-9/10"),
            ("bytes=-2", b"89", "bytes 8-9/10"),
            ("bytes=-99", b"0123456789", "bytes 0-9/10"),
            ("bytes=5-99", b"56789", "bytes 5-9/10"),
        ],
    )
    def test_a_range_gives_that_part(self, s3: S3, asked: str, content: bytes, told: str) -> None:
        s3("PUT", "bucket", "k", body=b"0123456789")
        got = s3("GET", "bucket", "k", headers={"range": asked})
        assert (got.status, got.body, got.headers["content-range"]) == (206, content, told)
        assert got.headers["content-length"] == str(len(content))

    @pytest.mark.parametrize("asked", ["bytes=10-", "bytes=10-20", "bytes=-0"])
    def test_a_range_behind_the_end_is_refused(self, s3: S3, asked: str) -> None:
        s3("PUT", "bucket", "k", body=b"0123456789")
        got = s3("GET", "bucket", "k", headers={"range": asked})
        assert (got.status, got.code, got.headers["content-range"]) == (416, "InvalidRange", "bytes */10")

    @pytest.mark.parametrize("asked", ["bytes=5-3", "bytes=-", "lines=1-2", "bytes=0-1,4-5", "bytes=a-b"])
    def test_a_range_that_is_not_one_is_ignored(self, s3: S3, asked: str) -> None:
        s3("PUT", "bucket", "k", body=b"0123456789")
        assert s3("GET", "bucket", "k", headers={"range": asked}).status == 200

    def test_conditions_on_reading_are_kept(self, s3: S3) -> None:
        etag = s3("PUT", "bucket", "k", body=b"x").headers["etag"]
        assert s3("GET", "bucket", "k", headers={"if-none-match": etag}).status == 304
        assert s3("GET", "bucket", "k", headers={"if-none-match": '"other"'}).status == 200
        assert s3("GET", "bucket", "k", headers={"if-match": etag}).status == 200
        assert s3("GET", "bucket", "k", headers={"if-match": '"other"'}).code == "PreconditionFailed"
        past, future = "Mon, 01 Jan 2001 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"
        assert s3("GET", "bucket", "k", headers={"if-modified-since": future}).status == 304
        assert s3("GET", "bucket", "k", headers={"if-modified-since": past}).status == 200
        assert s3("GET", "bucket", "k", headers={"if-unmodified-since": past}).status == 412
        assert s3("GET", "bucket", "k", headers={"if-modified-since": "not a date"}).status == 200

    def test_conditions_on_writing_are_kept(self, s3: S3) -> None:
        assert s3("PUT", "bucket", "k", body=b"1", headers={"if-match": '"x"'}).code == "NoSuchKey"
        first = s3("PUT", "bucket", "k", body=b"1", headers={"if-none-match": "*"})
        assert first.status == 200
        assert s3("PUT", "bucket", "k", body=b"2", headers={"if-none-match": "*"}).status == 412
        assert s3("PUT", "bucket", "k", body=b"2", headers={"if-match": first.headers["etag"]}).status == 200
        assert s3("PUT", "bucket", "k", body=b"3", headers={"if-match": first.headers["etag"]}).status == 412
        assert s3("GET", "bucket", "k").body == b"2"

    @pytest.mark.parametrize(
        ("name", "right"),
        [
            ("content-md5", base64.b64encode(hashlib.md5(b"data", usedforsecurity=False).digest()).decode()),
            ("x-amz-checksum-crc32", base64.b64encode(zlib.crc32(b"data").to_bytes(4, "big")).decode()),
            ("x-amz-checksum-crc32c", "rth90Q=="),
            ("x-amz-checksum-crc64nvme", "7a5hQ478J4A="),
            ("x-amz-checksum-sha1", base64.b64encode(hashlib.sha1(b"data", usedforsecurity=False).digest()).decode()),
            ("x-amz-checksum-sha256", base64.b64encode(hashlib.sha256(b"data").digest()).decode()),
        ],
    )
    def test_a_body_that_is_not_what_the_client_announced_is_refused(self, s3: S3, name: str, right: str) -> None:
        assert s3("PUT", "bucket", "k", body=b"dato", headers={name: right}).code == "BadDigest"
        assert s3("PUT", "bucket", "k", body=b"data", headers={name: "%%%"}).code == "InvalidDigest"
        assert s3("GET", "bucket", "k").code == "NoSuchKey"
        put = s3("PUT", "bucket", "k", body=b"data", headers={name: right})
        assert put.status == 200
        if name != "content-md5":
            assert put.headers[name] == right

    def test_the_signed_hash_of_the_body_is_verified(self, s3: S3) -> None:
        signed = {"x-amz-content-sha256": hashlib.sha256(b"data").hexdigest()}
        assert s3("PUT", "bucket", "k", body=b"dato", headers=signed).code == "XAmzContentSHA256Mismatch"
        assert s3("PUT", "bucket", "k", body=b"data", headers=signed).status == 200

    def test_a_body_shorter_or_longer_than_announced_is_refused(self, s3: S3) -> None:
        for announced in ("3", "5"):
            refused = s3("PUT", "bucket", "k", body=b"data", headers={"content-length": announced})
            assert refused.code == "IncompleteBody"

    def test_a_checksum_that_cannot_be_verified_is_refused_by_name(self, s3: S3) -> None:
        refused = s3("PUT", "bucket", "k", body=b"data", headers={"x-amz-checksum-xxhash3": "AAAAAAAAAAA="})
        assert (refused.status, refused.code) == (501, "NotImplemented")
        assert "XXHASH3" in refused.text("Message")

    def test_a_chunked_body_is_unwrapped_and_its_trailing_checksum_verified(self, s3: S3) -> None:
        right = base64.b64encode(zlib.crc32(b"hello world").to_bytes(4, "big")).decode()
        headers = {
            "content-encoding": "gzip,aws-chunked",
            "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            "x-amz-decoded-content-length": "11",
            "x-amz-trailer": "x-amz-checksum-crc32",
        }

        def framed(checksum: str) -> bytes:
            return b"6\r\nhello \r\n5\r\nworld\r\n0\r\nx-amz-checksum-crc32:" + checksum.encode() + b"\r\n\r\n"

        assert s3("PUT", "bucket", "k", body=framed("AAAAAA=="), headers=headers).code == "BadDigest"
        assert s3("PUT", "bucket", "k", body=b"0\r\n\r\n", headers=headers).code == "IncompleteBody"
        assert s3("PUT", "bucket", "k", body=framed(right), headers=headers).status == 200
        got = s3("GET", "bucket", "k")
        assert (got.body, got.headers["content-encoding"]) == (b"hello world", "gzip")

    def test_two_checksums_of_one_body_are_refused(self, s3: S3) -> None:
        both = {"x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-crc32c": "AAAAAA=="}
        assert s3("PUT", "bucket", "k", body=b"data", headers=both).code == "InvalidRequest"

    def test_a_client_that_asks_for_checksums_gets_the_one_that_came_else_the_digest_of_the_whole(self, s3: S3) -> None:
        s3("PUT", "bucket", "given", body=b"data", headers={"x-amz-checksum-crc32": "rfPzYw=="})
        given = s3("HEAD", "bucket", "given", headers={"x-amz-checksum-mode": "ENABLED"})
        assert given.headers["x-amz-checksum-crc32"] == "rfPzYw=="
        assert "x-amz-checksum-sha256" not in given.headers
        s3("PUT", "bucket", "k", body=b"data")
        right = base64.b64encode(hashlib.sha256(b"data").digest()).decode()
        asking = {"x-amz-checksum-mode": "ENABLED"}
        assert s3("GET", "bucket", "k", headers=asking).headers["x-amz-checksum-sha256"] == right
        part = s3("GET", "bucket", "k", headers={**asking, "range": "bytes=0-1"})
        assert "x-amz-checksum-sha256" not in part.headers

    def test_keys_are_listed_in_the_order_of_their_bytes(self, s3: S3) -> None:
        keys = ["a", "B", "ä", "a/b", "a-b", "z", "\uff5e", "\U0001f600", "a b", "日本"]
        for key in keys:
            s3("PUT", "bucket", key, body=b"")
        listed = s3("GET", "bucket", list_type=2).texts("Key")
        assert listed == sorted(keys, key=lambda key: key.encode())

    def test_a_delimiter_folds_keys_and_pages_join_without_gap_or_repeat(self, s3: S3) -> None:
        for key in ["a", "b/1", "b/2", "b/3/x", "c", "d/1", "e"]:
            s3("PUT", "bucket", key, body=b"")
        pages: list[tuple[list[str], list[str]]] = []
        token: dict[str, Any] = {}
        while True:
            page = s3("GET", "bucket", list_type=2, delimiter="/", max_keys=2, **token)
            prefixes = [text for text in page.texts("Prefix") if text]
            pages.append((page.texts("Key"), prefixes))
            if page.text("IsTruncated") == "false":
                break
            token = {"continuation_token": page.text("NextContinuationToken")}
        assert pages == [(["a"], ["b/"]), (["c"], ["d/"]), (["e"], [])]
        inside = s3("GET", "bucket", list_type=2, delimiter="/", prefix="b/")
        assert inside.texts("Key") == ["b/1", "b/2"]
        assert inside.texts("Prefix") == ["b/", "b/3/"]

    def test_all_versions_are_listed_the_newest_of_a_key_first_and_pages_join(self, s3: S3) -> None:
        made = {key: [s3("PUT", "bucket", key, body=b"x").version for _ in range(3)] for key in ("a", "b/c", "d")}
        marker = s3("DELETE", "bucket", "a").version
        expected = [("a", marker), *[(key, version) for key in made for version in reversed(made[key])]]
        whole = s3("GET", "bucket", versions="")
        assert sorted(zip(whole.texts("Key"), whole.texts("VersionId"), strict=True)) == sorted(expected)
        assert whole.texts("IsLatest").count("true") == 3
        for size in (1, 2, 3):
            found: list[tuple[str, str]] = []
            at: dict[str, Any] = {}
            while True:
                page = s3("GET", "bucket", versions="", max_keys=size, **at)
                # Within a page, delete markers stand behind the versions whatever their place.
                entries = list(zip(page.texts("Key"), page.texts("VersionId"), strict=True))
                assert len(entries) <= size
                found += sorted(entries, key=expected.index)
                if page.text("IsTruncated") == "false":
                    break
                at = {"key_marker": page.text("NextKeyMarker"), "version_id_marker": page.text("NextVersionIdMarker")}
            assert found == expected
        folded = s3("GET", "bucket", versions="", delimiter="/", key_marker="a")
        assert folded.texts("Prefix") == ["", "b/"]
        assert folded.texts("Key") == ["d"] * 3
        behind = s3("GET", "bucket", versions="", delimiter="/", key_marker="b/")
        assert (behind.texts("Prefix"), behind.texts("Key")) == ([""], ["d"] * 3)
        assert s3("GET", "bucket", versions="", version_id_marker=marker).code == "InvalidArgument"

    def test_whoever_deletes_the_versions_that_he_lists_misses_none(self, s3: S3) -> None:
        made = {s3("PUT", "bucket", key, body=b"x").version for key in ("a", "b") for _ in range(5)}
        gone: set[str] = set()
        at: dict[str, Any] = {}
        while True:
            page = s3("GET", "bucket", versions="", max_keys=2, **at)
            for key, version in zip(page.texts("Key"), page.texts("VersionId"), strict=True):
                s3("DELETE", "bucket", key, versionId=version)
                gone.add(version)
            if page.text("IsTruncated") == "false":
                break
            at = {"key_marker": page.text("NextKeyMarker"), "version_id_marker": page.text("NextVersionIdMarker")}
        assert gone == made
        assert s3("DELETE", "bucket").status == 204

    def test_a_listing_starts_where_it_is_asked_to(self, s3: S3) -> None:
        for key in "abcd":
            s3("PUT", "bucket", key, body=b"")
        assert s3("GET", "bucket", list_type=2, start_after="b").texts("Key") == ["c", "d"]
        assert s3("GET", "bucket", marker="b").texts("Key") == ["c", "d"]
        older = s3("GET", "bucket", max_keys=2)
        assert (older.text("IsTruncated"), older.texts("NextMarker")) == ("true", []), "the client has the last key"
        assert s3("GET", "bucket", max_keys=2, delimiter="/").text("NextMarker") == "b"
        assert s3("GET", "bucket", list_type=2, max_keys=0).text("IsTruncated") == "false"
        assert s3("GET", "bucket", list_type=2, continuation_token="made up").code == "InvalidArgument"
        assert s3("GET", "bucket", list_type=2, max_keys="many").code == "InvalidArgument"

    def test_keys_that_xml_cannot_hold_are_listed_when_the_client_asks_for_encoding(self, s3: S3) -> None:
        s3("PUT", "bucket", "a\x01+ <&>/b", body=b"")
        assert s3("GET", "bucket", list_type=2, encoding_type="url").texts("Key") == ["a%01%2B%20%3C%26%3E/b"]
        assert s3("GET", "bucket", list_type=2).texts("Key") == ["a\ufffd+ <&>/b"]

    def test_parts_become_one_object_and_completing_again_gives_the_same_answer(self, s3: S3) -> None:
        begun = s3("POST", "bucket", "big", headers={"content-type": "model/x"}, uploads="")
        upload = begun.text("UploadId")
        parts = [b"a" * PART, b"b" * PART, b"tail"]
        etags = []
        for number, part in enumerate(parts, 1):
            s3("PUT", "bucket", "big", body=b"overwritten", uploadId=upload, partNumber=number)
            sent = s3("PUT", "bucket", "big", body=[part[:1000], part[1000:]], uploadId=upload, partNumber=number)
            etags.append(sent.headers["etag"])
        assert s3("GET", "bucket", "big").code == "NoSuchKey"
        assert s3("GET", "bucket", "big", uploadId=upload).texts("ETag") == etags
        page = s3("GET", "bucket", "big", uploadId=upload, max_parts=1, part_number_marker=1)
        assert (page.texts("PartNumber"), page.text("IsTruncated")) == (["2"], "true")
        document = _completion(etags)
        done = s3("POST", "bucket", "big", body=document, uploadId=upload)
        assert done.status == 200
        md5s = b"".join(hashlib.md5(part, usedforsecurity=False).digest() for part in parts)
        expected = f'"{hashlib.md5(md5s, usedforsecurity=False).hexdigest()}-3"'
        assert done.text("ETag") == expected
        got = s3("GET", "bucket", "big")
        assert got.body == b"".join(parts)
        assert (got.headers["etag"], got.headers["content-type"]) == (expected, "model/x")
        again = s3("POST", "bucket", "big", body=document, uploadId=upload)
        assert (again.status, again.version, again.text("ETag")) == (200, done.version, expected)

    def test_parts_that_do_not_fit_are_refused(self, s3: S3) -> None:
        upload = s3("POST", "bucket", "big", uploads="").text("UploadId")
        etags = [
            s3("PUT", "bucket", "big", body=b"small", uploadId=upload, partNumber=number).headers["etag"]
            for number in (1, 2)
        ]
        for document, code in (
            (_completion(etags), "EntityTooSmall"),
            (_completion([etags[0], '"' + "0" * 32 + '"']), "InvalidPart"),
            (_completion([*etags, etags[0]]), "InvalidPart"),
            (_completion([]), "MalformedXML"),
            (b"<CompleteMultipartUpload><Part>", "MalformedXML"),
            (b"<!DOCTYPE x><CompleteMultipartUpload/>", "MalformedXML"),
            (_completion(etags, numbers=[2, 1]), "InvalidPartOrder"),
        ):
            assert s3("POST", "bucket", "big", body=document, uploadId=upload).code == code
        assert s3("PUT", "bucket", "big", body=b"x", uploadId=upload, partNumber=0).code == "InvalidArgument"
        assert s3("PUT", "bucket", "big", body=b"x", uploadId="unknown", partNumber=1).code == "NoSuchUpload"
        assert s3("PUT", "bucket", "other", body=b"x", uploadId=upload, partNumber=1).code == "NoSuchUpload"

    @pytest.mark.parametrize(
        ("asked", "code"),
        [
            ({"x-amz-checksum-algorithm": "CRC64NVME", "x-amz-checksum-type": "COMPOSITE"}, "InvalidRequest"),
            ({"x-amz-checksum-algorithm": "SHA256", "x-amz-checksum-type": "FULL_OBJECT"}, "InvalidRequest"),
            ({"x-amz-checksum-type": "COMPOSITE"}, "InvalidRequest"),
            ({"x-amz-checksum-algorithm": "XXHASH3"}, "NotImplemented"),
        ],
    )
    def test_a_checksum_that_no_upload_can_have_is_refused(self, s3: S3, asked: dict[str, str], code: str) -> None:
        assert s3("POST", "bucket", "big", headers=asked, uploads="").code == code

    def test_a_part_or_a_whole_with_another_checksum_than_the_client_says_is_refused(self, s3: S3) -> None:
        asked = {"x-amz-checksum-algorithm": "CRC32", "x-amz-checksum-type": "FULL_OBJECT"}
        upload = s3("POST", "bucket", "big", headers=asked, uploads="").text("UploadId")
        sent = s3("PUT", "bucket", "big", body=b"data", uploadId=upload, partNumber=1)
        assert sent.headers["x-amz-checksum-crc32"] == "rfPzYw==", "worked out without being sent"
        document = _completion([sent.headers["etag"]])
        wrong = document.replace(b"</ETag>", b"</ETag><ChecksumCRC32>AAAAAA==</ChecksumCRC32>")
        assert s3("POST", "bucket", "big", body=wrong, uploadId=upload).code == "InvalidPart"
        for headers, code in (
            ({"x-amz-checksum-crc32": "AAAAAA=="}, "BadDigest"),
            ({"x-amz-checksum-type": "COMPOSITE"}, "InvalidRequest"),
        ):
            assert s3("POST", "bucket", "big", body=document, headers=headers, uploadId=upload).code == code
        done = s3("POST", "bucket", "big", body=document, headers={"x-amz-checksum-crc32": "rfPzYw=="}, uploadId=upload)
        assert (done.text("ChecksumCRC32"), done.text("ChecksumType")) == ("rfPzYw==", "FULL_OBJECT")

    def test_an_aborted_upload_leaves_nothing(self, s3: S3) -> None:
        upload = s3("POST", "bucket", "big", uploads="").text("UploadId")
        s3("PUT", "bucket", "big", body=b"x", uploadId=upload, partNumber=1)
        assert s3("DELETE", "bucket", "big", uploadId=upload).status == 204
        assert s3("PUT", "bucket", "big", body=b"x", uploadId=upload, partNumber=1).code == "NoSuchUpload"

    def test_an_operation_that_is_not_built_is_refused_by_its_name(self, s3: S3) -> None:
        s3("PUT", "bucket", "k", body=b"x")
        for answer, name in (
            (s3("PUT", "bucket", "k", acl=""), "PutObjectAcl"),
            (s3("DELETE", "bucket", tagging=""), "DeleteBucketTagging"),
            (s3("GET", "bucket", "k", retention=""), "GetObjectRetention"),
        ):
            assert (answer.status, answer.code) == (501, "NotImplemented")
            assert answer.text("Message").startswith(name)

    def test_a_client_that_expects_another_owner_is_refused(self, s3: S3) -> None:
        owner = {"x-amz-expected-bucket-owner": "999999999999"}
        refused = s3("PUT", "bucket", "k", body=b"x", headers=owner)
        assert (refused.status, refused.code) == (403, "AccessDenied")

    def test_a_key_longer_than_possible_is_refused(self, s3: S3) -> None:
        assert s3("PUT", "bucket", "ä" * 513, body=b"").code == "KeyTooLongError"
        assert s3("PUT", "bucket", "ä" * 512, body=b"").status == 200


def _completion(etags: list[str], numbers: list[int] | None = None) -> bytes:
    parts = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{etag.replace(chr(34), '&quot;')}</ETag></Part>"
        for number, etag in zip(numbers or range(1, len(etags) + 1), etags, strict=True)
    )
    namespace = "http://s3.amazonaws.com/doc/2006-03-01/"
    return f'<CompleteMultipartUpload xmlns="{namespace}">{parts}</CompleteMultipartUpload>'.encode()
