"""Parts of objects, and conditions on reading and writing them."""

import pytest

from towpath.testing.s3.client import S3


class Reading:
    """Ranges and conditions."""

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
