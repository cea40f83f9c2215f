"""What boto3 relies on of any S3 service with versioned buckets. Subclass the suite and give it fixtures.

class TestMine(S3ClientConformance):
    @pytest.fixture
    def s3(self): return boto3.client("s3", endpoint_url=…)
    @pytest.fixture
    def bucket(self, s3): ...  # the name of an empty, versioned bucket
"""

import base64
import hashlib
import zlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

PART = 5 << 20  #: bytes of the smallest part that may be followed by another
HEADERS: Mapping[str, str] = {
    "CacheControl": "max-age=60",
    "ContentDisposition": 'attachment; filename="a.csv"',
    "ContentEncoding": "gzip",
    "ContentLanguage": "de",
    "ContentType": "text/csv",
}


def code_of(call: Callable[..., Any], **arguments: Any) -> str:
    """Return the code of the error that a call ends with."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return str(caught.value.response["Error"]["Code"])


def content_of(s3: Any, **which: Any) -> bytes:
    """Return the bytes of an object."""
    return bytes(s3.get_object(**which)["Body"].read())


def tags_of(s3: Any, **which: Any) -> dict[str, str]:
    """Return the tags of an object."""
    return {tag["Key"]: tag["Value"] for tag in s3.get_object_tagging(**which)["TagSet"]}


class S3ClientConformance:
    """What the platform and its users rely on of any S3 service, by unmodified boto3."""

    # bytes and what is kept beside them

    def test_an_object_comes_back_with_everything_it_was_put_with(self, s3: Any, bucket: str) -> None:
        kept = {**HEADERS, "Expires": datetime(2030, 1, 1, tzinfo=UTC)}
        s3.put_object(Bucket=bucket, Key="a/ö b+c", Body=b"1,2", Metadata={"origin": "lake"}, **kept)
        for answer in (s3.get_object(Bucket=bucket, Key="a/ö b+c"), s3.head_object(Bucket=bucket, Key="a/ö b+c")):
            assert {name: answer[name] for name in HEADERS} == HEADERS
            assert answer["ExpiresString"] == "Tue, 01 Jan 2030 00:00:00 GMT"
            assert answer["Metadata"] == {"origin": "lake"}
            assert answer["ETag"] == f'"{hashlib.md5(b"1,2", usedforsecurity=False).hexdigest()}"'
            assert answer["ContentLength"] == 3
        assert content_of(s3, Bucket=bucket, Key="a/ö b+c") == b"1,2"

    def test_a_read_may_ask_for_other_headers(self, s3: Any, bucket: str) -> None:
        s3.put_object(Bucket=bucket, Key="k", Body=b"x", **HEADERS)
        asked = {
            "ResponseCacheControl": "no-store",
            "ResponseContentDisposition": "inline",
            "ResponseContentLanguage": "en",
            "ResponseContentType": "text/plain",
        }
        answer = s3.get_object(Bucket=bucket, Key="k", **asked)
        assert {name: answer[name.removeprefix("Response")] for name in asked} == asked

    def test_ranges_are_served(self, s3: Any, bucket: str) -> None:
        s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
        for asked, content in (("bytes=2-4", b"234"), ("bytes=7-", b"789"), ("bytes=-2", b"89")):
            assert content_of(s3, Bucket=bucket, Key="k", Range=asked) == content
        assert code_of(s3.get_object, Bucket=bucket, Key="k", Range="bytes=10-") == "InvalidRange"

    def test_conditions_are_kept(self, s3: Any, bucket: str) -> None:
        etag = s3.put_object(Bucket=bucket, Key="k", Body=b"1", IfNoneMatch="*")["ETag"]
        assert code_of(s3.put_object, Bucket=bucket, Key="k", Body=b"2", IfNoneMatch="*") == "PreconditionFailed"
        assert code_of(s3.get_object, Bucket=bucket, Key="k", IfMatch='"other"') == "PreconditionFailed"
        assert code_of(s3.get_object, Bucket=bucket, Key="k", IfNoneMatch=etag) == "304"
        assert content_of(s3, Bucket=bucket, Key="k", IfMatch=etag) == b"1"

    def test_what_is_missing_is_told_by_its_code(self, s3: Any, bucket: str) -> None:
        assert code_of(s3.get_object, Bucket=bucket, Key="absent") == "NoSuchKey"
        assert code_of(s3.head_object, Bucket=bucket, Key="absent") == "404"
        assert code_of(s3.get_object, Bucket="no-such-bucket-here", Key="k") == "NoSuchBucket"
        assert code_of(s3.head_bucket, Bucket="no-such-bucket-here") == "404"

    @pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
    def test_a_checksum_that_the_client_chose_is_verified_and_kept(self, s3: Any, bucket: str, algorithm: str) -> None:
        right = {
            "CRC32": base64.b64encode(zlib.crc32(b"data").to_bytes(4, "big")).decode(),
            "SHA1": base64.b64encode(hashlib.sha1(b"data", usedforsecurity=False).digest()).decode(),
            "SHA256": base64.b64encode(hashlib.sha256(b"data").digest()).decode(),
        }[algorithm]
        put = s3.put_object(Bucket=bucket, Key="k", Body=b"data", ChecksumAlgorithm=algorithm)
        member = f"Checksum{algorithm}"
        assert put[member] == right
        assert s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")[member] == right
        assert s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")[member] == right
        wrong = {"Bucket": bucket, "Key": "k", "Body": b"dato", member: right}
        assert code_of(s3.put_object, **wrong) in {"BadDigest", "InvalidDigest"}
        assert content_of(s3, Bucket=bucket, Key="k") == b"data"

    # versions and deleting

    def test_every_put_makes_a_version_and_a_marker_hides_them(self, s3: Any, bucket: str) -> None:
        first = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["VersionId"]
        second = s3.put_object(Bucket=bucket, Key="k", Body=b"2")["VersionId"]
        assert content_of(s3, Bucket=bucket, Key="k", VersionId=first) == b"1"
        assert content_of(s3, Bucket=bucket, Key="k") == b"2"
        marker = s3.delete_object(Bucket=bucket, Key="k")
        assert marker["DeleteMarker"] is True
        assert code_of(s3.get_object, Bucket=bucket, Key="k") == "NoSuchKey"
        assert content_of(s3, Bucket=bucket, Key="k", VersionId=second) == b"2"
        s3.delete_object(Bucket=bucket, Key="k", VersionId=marker["VersionId"])
        assert content_of(s3, Bucket=bucket, Key="k") == b"2"
        listed = s3.list_object_versions(Bucket=bucket, Prefix="k")["Versions"]
        assert [(item["VersionId"], item["IsLatest"]) for item in listed] == [(second, True), (first, False)]

    def test_versions_go_for_good_one_by_one_and_together(self, s3: Any, bucket: str) -> None:
        versions = [s3.put_object(Bucket=bucket, Key="k", Body=b"%d" % number)["VersionId"] for number in range(4)]
        s3.delete_object(Bucket=bucket, Key="k", VersionId=versions[3])
        assert content_of(s3, Bucket=bucket, Key="k") == b"2"
        wanted = [{"Key": "k", "VersionId": version} for version in versions[1:3]]
        answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": wanted})
        assert {item["VersionId"] for item in answer["Deleted"]} == set(versions[1:3])
        assert content_of(s3, Bucket=bucket, Key="k") == b"0"
        left = s3.list_object_versions(Bucket=bucket)["Versions"]
        assert [item["VersionId"] for item in left] == versions[:1]

    # lists

    def test_both_forms_of_listing_page_through_all_keys_in_order(self, s3: Any, bucket: str) -> None:
        keys = sorted([*(f"f{folder}/{number}" for folder in range(3) for number in range(3)), "a b", "top"])
        for key in keys:
            s3.put_object(Bucket=bucket, Key=key, Body=b"x")
        for form in ("list_objects", "list_objects_v2"):
            pages = list(s3.get_paginator(form).paginate(Bucket=bucket, PaginationConfig={"PageSize": 2}))
            assert [item["Key"] for page in pages for item in page["Contents"]] == keys
            assert all(len(page["Contents"]) <= 2 for page in pages)
            paging = {"Delimiter": "/", "PaginationConfig": {"PageSize": 2}}
            folded = list(s3.get_paginator(form).paginate(Bucket=bucket, **paging))
            prefixes = [item["Prefix"] for page in folded for item in page.get("CommonPrefixes", [])]
            assert prefixes == ["f0/", "f1/", "f2/"]
            assert [item["Key"] for page in folded for item in page.get("Contents", [])] == ["a b", "top"]

    def test_keys_are_listed_in_the_order_of_their_bytes(self, s3: Any, bucket: str) -> None:
        keys = sorted(["a", "B", "ü", "top", "日本", "\U0001f600", "\uff5e", "a/b", "a-b"], key=str.encode)
        for key in keys:
            s3.put_object(Bucket=bucket, Key=key, Body=b"x")
        assert [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]] == keys

    def test_the_older_form_names_no_next_marker_without_a_delimiter(self, s3: Any, bucket: str) -> None:
        for key in ("a", "b"):
            s3.put_object(Bucket=bucket, Key=key, Body=b"x")
        page = s3.list_objects(Bucket=bucket, MaxKeys=1)
        assert (page["IsTruncated"], "NextMarker" in page) == (True, False)

    def test_the_older_form_goes_on_behind_a_folded_prefix(self, s3: Any, bucket: str) -> None:
        for key in ("a", "b/1", "c"):
            s3.put_object(Bucket=bucket, Key=key, Body=b"x")
        page = s3.list_objects(Bucket=bucket, MaxKeys=2, Delimiter="/")
        assert (page["IsTruncated"], page["NextMarker"]) == (True, "b/")
        rest = s3.list_objects(Bucket=bucket, Marker="b/", Delimiter="/")
        assert [item["Key"] for item in rest["Contents"]] == ["c"]
        assert "CommonPrefixes" not in rest

    # tags

    def test_tags_are_put_read_replaced_and_taken_away(self, s3: Any, bucket: str) -> None:
        s3.put_object(Bucket=bucket, Key="k", Body=b"x", Tagging="team=lake&stage=raw%20data")
        assert tags_of(s3, Bucket=bucket, Key="k") == {"team": "lake", "stage": "raw data"}
        assert s3.get_object(Bucket=bucket, Key="k")["TagCount"] == 2
        new = {"TagSet": [{"Key": "team", "Value": ""}]}
        s3.put_object_tagging(Bucket=bucket, Key="k", Tagging=new)
        assert tags_of(s3, Bucket=bucket, Key="k") == {"team": ""}
        s3.delete_object_tagging(Bucket=bucket, Key="k")
        assert tags_of(s3, Bucket=bucket, Key="k") == {}
        assert "TagCount" not in s3.get_object(Bucket=bucket, Key="k")
        assert code_of(s3.get_object_tagging, Bucket=bucket, Key="absent") == "NoSuchKey"

    def test_each_version_has_tags_of_its_own(self, s3: Any, bucket: str) -> None:
        first = s3.put_object(Bucket=bucket, Key="k", Body=b"1", Tagging="n=1")["VersionId"]
        second = s3.put_object(Bucket=bucket, Key="k", Body=b"2", Tagging="n=2")["VersionId"]
        new = {"TagSet": [{"Key": "n", "Value": "one"}]}
        s3.put_object_tagging(Bucket=bucket, Key="k", VersionId=first, Tagging=new)
        assert tags_of(s3, Bucket=bucket, Key="k", VersionId=first) == {"n": "one"}
        assert tags_of(s3, Bucket=bucket, Key="k", VersionId=second) == {"n": "2"}
        assert tags_of(s3, Bucket=bucket, Key="k") == {"n": "2"}

    def test_a_copy_takes_the_tags_along_or_gets_its_own(self, s3: Any, bucket: str) -> None:
        s3.put_object(Bucket=bucket, Key="k", Body=b"x", Tagging="team=lake")
        source = {"Bucket": bucket, "Key": "k"}
        s3.copy_object(Bucket=bucket, Key="kept", CopySource=source)
        s3.copy_object(Bucket=bucket, Key="own", CopySource=source, Tagging="a=b", TaggingDirective="REPLACE")
        assert tags_of(s3, Bucket=bucket, Key="kept") == {"team": "lake"}
        assert tags_of(s3, Bucket=bucket, Key="own") == {"a": "b"}

    def test_a_tag_that_is_there_twice_is_refused(self, s3: Any, bucket: str) -> None:
        s3.put_object(Bucket=bucket, Key="k", Body=b"x")
        tags = [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]
        assert code_of(s3.put_object_tagging, Bucket=bucket, Key="k", Tagging={"TagSet": tags}) == "InvalidTag"

    def test_more_and_longer_tags_than_possible_are_refused(self, s3: Any, bucket: str) -> None:
        s3.put_object(Bucket=bucket, Key="k", Body=b"x")
        for tags in (
            [{"Key": "k" * 129, "Value": ""}],
            [{"Key": "k", "Value": "v" * 257}],
            [{"Key": f"k{number}", "Value": ""} for number in range(11)],
        ):
            code = code_of(s3.put_object_tagging, Bucket=bucket, Key="k", Tagging={"TagSet": tags})
            assert code in {"InvalidTag", "BadRequest"}
        most = [{"Key": f"{number:0128d}", "Value": "v" * 256} for number in range(10)]
        s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": most})
        assert len(tags_of(s3, Bucket=bucket, Key="k")) == 10

    # copies and uploads in parts

    def test_a_copy_is_an_object_of_its_own(self, s3: Any, bucket: str) -> None:
        first = s3.put_object(Bucket=bucket, Key="ä b", Body=b"one", Metadata={"origin": "lake"})
        s3.put_object(Bucket=bucket, Key="ä b", Body=b"two")
        source = {"Bucket": bucket, "Key": "ä b", "VersionId": first["VersionId"]}
        copied = s3.copy_object(Bucket=bucket, Key="copy", CopySource=source)
        assert copied["CopyObjectResult"]["ETag"]
        assert content_of(s3, Bucket=bucket, Key="copy") == b"one"
        assert s3.head_object(Bucket=bucket, Key="copy")["Metadata"] == {"origin": "lake"}
        s3.copy_object(Bucket=bucket, Key="copy", CopySource=source, MetadataDirective="REPLACE", Metadata={"new": "1"})
        assert s3.head_object(Bucket=bucket, Key="copy")["Metadata"] == {"new": "1"}
        unwanted = {"Bucket": bucket, "Key": "copy", "CopySource": source, "CopySourceIfNoneMatch": first["ETag"]}
        assert code_of(s3.copy_object, **unwanted) == "PreconditionFailed"

    def test_a_copy_has_the_etag_of_its_source(self, s3: Any, bucket: str) -> None:
        first = s3.put_object(Bucket=bucket, Key="k", Body=b"one")
        copied = s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "k"})
        assert copied["CopyObjectResult"]["ETag"] == first["ETag"]

    def test_parts_become_one_object_with_the_upload_s_headers_and_tags(self, s3: Any, bucket: str) -> None:
        begun = s3.create_multipart_upload(
            Bucket=bucket, Key="big", Tagging="team=lake", Metadata={"a": "b"}, **HEADERS
        )
        which = {"Bucket": bucket, "Key": "big", "UploadId": begun["UploadId"]}
        contents = [b"a" * PART, b"b" * PART, b"tail"]
        parts = [
            {"PartNumber": number, "ETag": s3.upload_part(**which, PartNumber=number, Body=content)["ETag"]}
            for number, content in enumerate(contents, 1)
        ]
        page = s3.list_parts(**which, MaxParts=2)
        assert [(part["PartNumber"], part["ETag"], part["Size"]) for part in page["Parts"]] == [
            (1, parts[0]["ETag"], PART),
            (2, parts[1]["ETag"], PART),
        ]
        assert (page["IsTruncated"], page["NextPartNumberMarker"]) == (True, 2)
        rest = s3.list_parts(**which, PartNumberMarker=2)
        assert ([part["PartNumber"] for part in rest["Parts"]], rest["IsTruncated"]) == ([3], False)
        done = s3.complete_multipart_upload(**which, MultipartUpload={"Parts": parts})
        md5s = b"".join(hashlib.md5(content, usedforsecurity=False).digest() for content in contents)
        assert done["ETag"] == f'"{hashlib.md5(md5s, usedforsecurity=False).hexdigest()}-3"'
        answer = s3.get_object(Bucket=bucket, Key="big")
        assert answer["Body"].read() == b"".join(contents)
        assert {name: answer[name] for name in HEADERS} == HEADERS
        assert (answer["Metadata"], answer["TagCount"]) == ({"a": "b"}, 1)

    def test_parts_come_from_objects_and_ranges_of_them(self, s3: Any, bucket: str) -> None:
        content = b"0123456789" * (PART // 10 + 1)
        etag = s3.put_object(Bucket=bucket, Key="source ä", Body=content)["ETag"]
        begun = s3.create_multipart_upload(Bucket=bucket, Key="big")
        which = {"Bucket": bucket, "Key": "big", "UploadId": begun["UploadId"]}
        source = {"Bucket": bucket, "Key": "source ä"}
        whole = s3.upload_part_copy(**which, PartNumber=1, CopySource=source, CopySourceIfMatch=etag)
        some = s3.upload_part_copy(**which, PartNumber=2, CopySource=source, CopySourceRange="bytes=3-6")
        refused = {**which, "PartNumber": 3, "CopySource": source}
        assert code_of(s3.upload_part_copy, **refused, CopySourceIfMatch='"other"') == "PreconditionFailed"
        assert code_of(s3.upload_part_copy, **refused, CopySourceRange=f"bytes=0-{len(content)}") in {
            "InvalidArgument",
            "InvalidRange",
        }
        parts = [
            {"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]}
            for number, answer in enumerate((whole, some), 1)
        ]
        s3.complete_multipart_upload(**which, MultipartUpload={"Parts": parts})
        assert content_of(s3, Bucket=bucket, Key="big") == content + b"3456"

    def test_uploads_that_are_under_way_are_listed_by_prefix_and_page_by_page(self, s3: Any, bucket: str) -> None:
        keys = ["a/1", "a/2", "b"]
        begun = {key: s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"] for key in keys}
        pages = s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, PaginationConfig={"PageSize": 1})
        found = {item["Key"]: item["UploadId"] for page in pages for item in page.get("Uploads", [])}
        assert found == begun
        listed = s3.list_multipart_uploads(Bucket=bucket, Prefix="a/")["Uploads"]
        assert {item["Key"] for item in listed} == {"a/1", "a/2"}

    def test_uploads_that_are_under_way_are_listed_in_order_and_folded(self, s3: Any, bucket: str) -> None:
        keys = ["a/1", "a/2", "b", "c"]
        begun = {key: s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"] for key in keys}
        listed = s3.list_multipart_uploads(Bucket=bucket)["Uploads"]
        assert [(item["Key"], item["UploadId"]) for item in listed] == list(begun.items())
        folded = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/")
        assert [item["Prefix"] for item in folded["CommonPrefixes"]] == ["a/"]
        assert [item["Key"] for item in folded["Uploads"]] == ["b", "c"]
        assert [item["Key"] for item in s3.list_multipart_uploads(Bucket=bucket, Prefix="a/")["Uploads"]] == keys[:2]
        for key, upload_id in begun.items():
            s3.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)
        assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
        gone = {"Bucket": bucket, "Key": "b", "UploadId": begun["b"], "PartNumber": 1, "Body": b"x"}
        assert code_of(s3.upload_part, **gone) == "NoSuchUpload"

    def test_attributes_are_told_without_the_content(self, s3: Any, bucket: str) -> None:
        put = s3.put_object(Bucket=bucket, Key="k", Body=b"data")
        wanted = ["ETag", "ObjectSize", "StorageClass"]
        told = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=wanted)
        assert (told["ETag"], told["ObjectSize"]) == (put["ETag"].strip('"'), 4)
        assert "ObjectSize" not in s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["ETag"])
        assert code_of(s3.get_object_attributes, Bucket=bucket, Key="absent", ObjectAttributes=["ETag"]) == "NoSuchKey"

    def test_the_checksum_is_one_of_the_attributes(self, s3: Any, bucket: str) -> None:
        put = s3.put_object(Bucket=bucket, Key="k", Body=b"data", ChecksumAlgorithm="SHA256")
        told = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["Checksum"])
        assert told["Checksum"]["ChecksumSHA256"] == put["ChecksumSHA256"]
