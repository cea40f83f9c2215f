"""Objects that are uploaded in parts."""

import hashlib

import pytest

from towpath.testing.s3.client import S3

PART = 5 << 20  #: bytes of the smallest part that may be followed by another


class Uploads:
    """Parts, and what becomes of them."""

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


def _completion(etags: list[str], numbers: list[int] | None = None) -> bytes:
    parts = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{etag.replace(chr(34), '&quot;')}</ETag></Part>"
        for number, etag in zip(numbers or range(1, len(etags) + 1), etags, strict=True)
    )
    namespace = "http://s3.amazonaws.com/doc/2006-03-01/"
    return f'<CompleteMultipartUpload xmlns="{namespace}">{parts}</CompleteMultipartUpload>'.encode()
