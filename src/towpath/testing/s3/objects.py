"""Buckets, and objects as they are put, copied and deleted, version by version."""

import hashlib
from datetime import datetime

import pytest

from towpath.testing.s3.client import S3


class Objects:
    """What is kept, and what is refused."""

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
