"""Bodies as they are sent: their lengths, checksums and framing."""

import base64
import hashlib
import zlib

import pytest

from towpath.testing.s3.client import S3


class Bodies:
    """What of a body is verified."""

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
