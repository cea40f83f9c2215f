"""Unmodified boto3 puts objects and makes datasets of them, over HTTP."""

import base64
import hashlib
import json
import os
import random
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError
from sqlalchemy import select
from tests.s3_server import ADA, HOME, Served, served

from towpath.gateway.service_models import OURS
from towpath.gateway.services.s3.deletions import VERSIONS_DELETED
from towpath.store.tables import event

pytestmark = pytest.mark.slow

BUCKET = "sagemaker-us-east-1-123456789012"
MiB = 1 << 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("home")) as running:
        yield running


@pytest.fixture(scope="module")
def url(server: Served) -> str:
    return server.url


@pytest.fixture(scope="module")
def session() -> boto3.Session:
    inner = botocore.session.Session()
    inner.get_component("data_loader").search_paths.append(str(OURS))
    return boto3.Session(
        aws_access_key_id=ADA.access_key,
        aws_secret_access_key=ADA.secret_key,
        region_name="us-east-1",
        botocore_session=inner,
    )


@pytest.fixture(scope="module")
def s3(session: boto3.Session, url: str) -> Any:
    return session.client("s3", endpoint_url=url, config=Config(retries={"max_attempts": 1}))


@pytest.fixture(scope="module")
def towpath(session: boto3.Session, url: str) -> Any:
    return session.client("towpath", endpoint_url=url, config=Config(retries={"max_attempts": 1}))


def code_of(call: Callable[..., Any], **arguments: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return str(caught.value.response["Error"]["Code"])


@pytest.mark.shows("s3", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "HeadObject", "GetObject")
def test_a_file_of_20_mb_goes_up_in_parts_and_comes_back_whole(s3: Any, tmp_path: Path) -> None:
    source, target = tmp_path / "model.safetensors", tmp_path / "back"
    source.write_bytes(random.Random(1).randbytes(20 * MiB + 17))
    s3.upload_file(str(source), BUCKET, "weights/model.safetensors", ExtraArgs={"Metadata": {"kind": "weights"}})
    head = s3.head_object(Bucket=BUCKET, Key="weights/model.safetensors")
    assert head["ETag"].strip('"').endswith("-3")
    assert head["ContentLength"] == 20 * MiB + 17
    assert head["Metadata"] == {"kind": "weights"}
    s3.download_file(BUCKET, "weights/model.safetensors", str(target))
    assert hashlib.sha256(target.read_bytes()).digest() == hashlib.sha256(source.read_bytes()).digest()


def test_parts_of_one_upload_may_come_at_once_and_by_sha256(s3: Any) -> None:
    content = os.urandom(16 * MiB)
    config = TransferConfig(multipart_threshold=5 * MiB, multipart_chunksize=5 * MiB, max_concurrency=8)
    arguments = {"ChecksumAlgorithm": "SHA256"}
    s3.upload_fileobj(BytesIO(content), BUCKET, "parallel", Config=config, ExtraArgs=arguments)
    assert s3.get_object(Bucket=BUCKET, Key="parallel")["Body"].read() == content


def test_keys_of_every_script_are_kept_and_listed_by_their_bytes(s3: Any) -> None:
    keys = [
        "größe/ä b+c&=%2F.txt",
        "日本/レビュー.csv",
        "emoji/\U0001f600",
        "e\u0301/decomposed",
        "\u00e9/composed",
        "a//b",
        "~!*'()",
    ]
    for key in keys:
        s3.put_object(Bucket=BUCKET, Key="keys/" + key, Body=key.encode())
    listed = [
        item["Key"].removeprefix("keys/") for item in s3.list_objects_v2(Bucket=BUCKET, Prefix="keys/")["Contents"]
    ]
    assert listed == sorted(keys, key=str.encode)
    for key in keys:
        assert s3.get_object(Bucket=BUCKET, Key="keys/" + key)["Body"].read() == key.encode()


def test_paginators_walk_all_keys_and_folders(s3: Any) -> None:
    keys = [f"pages/{folder}/{number}" for folder in "abc" for number in range(3)] + ["pages/top"]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda key: s3.put_object(Bucket=BUCKET, Key=key, Body=b"x"), keys))
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=BUCKET, Prefix="pages/", PaginationConfig={"PageSize": 2}
    )
    assert [item["Key"] for page in pages for item in page["Contents"]] == keys
    folded = s3.get_paginator("list_objects_v2").paginate(
        Bucket=BUCKET, Prefix="pages/", Delimiter="/", PaginationConfig={"PageSize": 2}
    )
    assert [item["Prefix"] for page in folded for item in page.get("CommonPrefixes", [])] == [
        "pages/a/",
        "pages/b/",
        "pages/c/",
    ]
    older = s3.get_paginator("list_objects").paginate(
        Bucket=BUCKET, Prefix="pages/", Delimiter="/", PaginationConfig={"PageSize": 2}
    )
    assert [item["Key"] for page in older for item in page.get("Contents", [])] == ["pages/top"]


def test_the_resource_interface_finds_buckets_and_filters_objects(session: boto3.Session, s3: Any, url: str) -> None:
    s3.put_object(Bucket=BUCKET, Key="resource/x", Body=b"12")
    bucket = session.resource("s3", endpoint_url=url).Bucket(BUCKET)
    assert bucket.creation_date is not None
    assert [(item.key, item.size) for item in bucket.objects.filter(Prefix="resource/")] == [("resource/x", 2)]


@pytest.mark.shows("s3", "PutObject", "DeleteObject", "ListObjectVersions")
def test_versions_are_told_and_deleted_objects_come_back(s3: Any) -> None:
    first = s3.put_object(Bucket=BUCKET, Key="versions", Body=b"1")["VersionId"]
    s3.put_object(Bucket=BUCKET, Key="versions", Body=b"2")
    assert s3.get_object(Bucket=BUCKET, Key="versions", VersionId=first)["Body"].read() == b"1"
    marker = s3.delete_object(Bucket=BUCKET, Key="versions")
    assert marker["DeleteMarker"] is True
    assert code_of(s3.get_object, Bucket=BUCKET, Key="versions") == "NoSuchKey"
    s3.delete_object(Bucket=BUCKET, Key="versions", VersionId=marker["VersionId"])
    assert s3.get_object(Bucket=BUCKET, Key="versions")["Body"].read() == b"2"
    pages = s3.get_paginator("list_object_versions").paginate(
        Bucket=BUCKET, Prefix="versions", PaginationConfig={"PageSize": 1}
    )
    assert [item["IsLatest"] for page in pages for item in page["Versions"]] == [True, False]
    assert s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
    assert s3.get_bucket_location(Bucket=BUCKET)["LocationConstraint"] is None


@pytest.mark.shows("s3", "PutBucketVersioning", how="stores")
def test_versioning_can_be_switched_on_again_and_not_off(s3: Any) -> None:
    def switched(**how: str) -> str:
        return code_of(s3.put_bucket_versioning, Bucket=BUCKET, VersioningConfiguration=how)

    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    assert switched(Status="Suspended") == "InvalidBucketState"
    assert switched(Status="Enabled", MFADelete="Enabled") == "NotImplemented"
    assert s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
    missing = {"Bucket": "no-such-bucket", "VersioningConfiguration": {"Status": "Enabled"}}
    assert code_of(s3.put_bucket_versioning, **missing) == "NoSuchBucket"


def test_objects_are_copied_and_deleted_through_the_resource_interface(
    session: boto3.Session, s3: Any, url: str
) -> None:
    bucket = session.resource("s3", endpoint_url=url).Bucket(BUCKET)
    for number in range(3):
        bucket.put_object(Key=f"moved/{number} ä", Body=b"%d" % number)
    bucket.Object("moved/copy").copy_from(CopySource={"Bucket": BUCKET, "Key": "moved/1 ä"})
    assert bucket.Object("moved/copy").get()["Body"].read() == b"1"
    assert len(bucket.objects.filter(Prefix="moved/").delete()[0]["Deleted"]) == 4
    assert list(bucket.objects.filter(Prefix="moved/")) == []


def test_refusals_reach_the_client_by_their_codes(s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="short", Body=b"0123456789")
    assert code_of(s3.get_object, Bucket=BUCKET, Key="short", Range="bytes=10-") == "InvalidRange"
    assert code_of(s3.get_object, Bucket=BUCKET, Key="short", IfMatch='"x"') == "PreconditionFailed"
    assert code_of(s3.put_object, Bucket=BUCKET, Key="short", Body=b"", IfNoneMatch="*") == "PreconditionFailed"
    assert code_of(s3.get_object, Bucket="no-such-bucket", Key="short") == "NoSuchBucket"
    assert code_of(s3.put_object, Bucket=BUCKET, Key="short", Body=b"x", ContentMD5="1B2M2Y8AsgTpgAmY7PhCfg==") == (
        "BadDigest"
    )
    assert code_of(s3.get_object_acl, Bucket=BUCKET, Key="short") == "NotImplemented"
    owner = {"Bucket": BUCKET, "ExpectedBucketOwner": "999999999999"}
    assert code_of(s3.head_bucket, **owner) == "403"
    assert s3.head_bucket(Bucket=BUCKET, ExpectedBucketOwner=HOME.account)["BucketRegion"] == "us-east-1"


def test_a_download_that_arrives_changed_would_be_noticed(s3: Any) -> None:
    content = os.urandom(3 * MiB)
    s3.put_object(Bucket=BUCKET, Key="verified", Body=content)
    answer = s3.get_object(Bucket=BUCKET, Key="verified")
    assert answer["ChecksumCRC32"]
    assert answer["ChecksumType"] == "FULL_OBJECT"
    assert b"".join(answer["Body"].iter_chunks(65_536)) == content


@pytest.mark.shows(
    "towpath",
    "CreateDatasetVersion",
    "CheckOutDataset",
    "ListDatasetCheckOuts",
    "DiffDatasetVersions",
    "ListDatasetVersions",
)
def test_a_dataset_is_made_checked_out_and_compared(s3: Any, towpath: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="datasets/reviews/train.csv", Body=b"one")
    made = towpath.create_dataset_version(DatasetName="reviews", Description="as collected")
    assert (made["Version"], made["Created"], made["FileCount"]) == (1, True, 1)
    assert towpath.create_dataset_version(DatasetName="reviews")["Created"] is False
    s3.put_object(Bucket=BUCKET, Key="datasets/reviews/train.csv", Body=b"two")
    s3.put_object(Bucket=BUCKET, Key="datasets/reviews/test.csv", Body=b"three")
    assert towpath.create_dataset_version(DatasetName="reviews")["Version"] == 2
    taken = towpath.check_out_dataset(DatasetName="reviews", Version=1)
    (file,) = taken["Files"]
    bucket, _, key = file["S3Uri"].removeprefix("s3://").partition("/")
    assert s3.get_object(Bucket=bucket, Key=key, VersionId=file["VersionId"])["Body"].read() == b"one"
    (check_out,) = towpath.list_dataset_check_outs(DatasetName="reviews")["CheckOuts"]
    assert (check_out["Principal"], check_out["Version"]) == ("ada", 1)
    assert check_out["CheckOutTime"] == taken["CheckOutTime"]
    found = towpath.diff_dataset_versions(DatasetName="reviews", FromVersion=1, ToVersion=2)
    assert [item["Path"] for item in found["Added"]] == ["test.csv"]
    assert [item["Path"] for item in found["Changed"]] == ["train.csv"]
    pages = towpath.get_paginator("list_dataset_versions").paginate(
        DatasetName="reviews", PaginationConfig={"PageSize": 1}
    )
    assert [item["Version"] for page in pages for item in page["DatasetVersions"]] == [2, 1]
    assert code_of(towpath.describe_dataset, DatasetName="absent") == "ResourceNotFound"


def looked_up(trail: Any, *, pages_of: int = 50, **attributes: str) -> list[dict[str, Any]]:
    """Return what LookupEvents finds, all pages of it."""
    asked = [{"AttributeKey": key, "AttributeValue": value} for key, value in attributes.items()]
    pages = trail.get_paginator("lookup_events").paginate(
        LookupAttributes=asked, PaginationConfig={"PageSize": pages_of}
    )
    return [event for page in pages for event in page["Events"]]


@pytest.mark.shows("cloudtrail", "LookupEvents", how="stores")
def test_who_read_and_wrote_an_object_is_told_by_cloudtrail(s3: Any, session: boto3.Session, url: str) -> None:
    trail = session.client("cloudtrail", endpoint_url=url)
    key, arn = "told/a", f"arn:aws:s3:::{BUCKET}/told/a"
    first = s3.put_object(Bucket=BUCKET, Key=key, Body=b"one")["VersionId"]
    second = s3.put_object(Bucket=BUCKET, Key=key, Body=b"second")["VersionId"]
    etag = s3.head_object(Bucket=BUCKET, Key=key)["ETag"]
    for range_ in ("bytes=0-1", "bytes=2-5"):
        s3.get_object(Bucket=BUCKET, Key=key, Range=range_)["Body"].read()
    s3.get_object(Bucket=BUCKET, Key=key, VersionId=first)["Body"].read()
    assert code_of(s3.get_object, Bucket=BUCKET, Key=key, IfNoneMatch=etag) == "304", "it read nothing"
    s3.copy_object(Bucket=BUCKET, Key="told/copy", CopySource={"Bucket": BUCKET, "Key": key, "VersionId": first})
    marker = s3.delete_object(Bucket=BUCKET, Key=key)["VersionId"]

    def told(events: list[dict[str, Any]]) -> list[tuple[str, str, int]]:
        records = [json.loads(event["CloudTrailEvent"]) for event in events]
        return sorted(
            (each["eventName"], each["requestParameters"]["versionId"], each["additionalEventData"]["requestCount"])
            for each in records
        )

    everything = looked_up(trail, ResourceName=arn)
    reads = [("GetObject", first, 2), ("GetObject", second, 2)]  # who copies a version reads it
    writes = [("DeleteObject", marker, 1), ("PutObject", first, 1), ("PutObject", second, 1)]
    assert told(everything) == sorted([*reads, *writes])
    assert {event["Username"] for event in everything} == {"ada"}
    assert {event["AccessKeyId"] for event in everything} == {ADA.access_key}
    assert {event["EventSource"] for event in everything} == {"s3.amazonaws.com"}
    assert looked_up(trail, ResourceName=arn, pages_of=2) == everything, "pages hold all, each once"
    assert told(looked_up(trail, ResourceName=arn, ReadOnly="true")) == sorted(reads)
    assert told(looked_up(trail, ResourceName=f"s3://{BUCKET}/{key}?versionId={first}", EventName="PutObject")) == [
        ("PutObject", first, 1)
    ]
    assert [event["EventName"] for event in looked_up(trail, ResourceName=f"{arn[:-1]}copy")] == ["CopyObject"]
    (by_id,) = looked_up(trail, EventId=everything[0]["EventId"])
    assert by_id == everything[0]
    assert looked_up(trail, ResourceName=arn, Username="nobody") == []
    assert looked_up(trail, ResourceName=arn, EventSource="sagemaker.amazonaws.com") == []
    times = [event["EventTime"] for event in everything]
    assert trail.lookup_events(StartTime=max(times) + timedelta(seconds=1))["Events"] == []
    assert trail.lookup_events(EndTime=min(times) - timedelta(hours=2))["Events"] == []
    assert code_of(trail.lookup_events, StartTime=max(times), EndTime=min(times) - timedelta(1)) == (
        "InvalidTimeRangeException"
    )
    assert code_of(trail.lookup_events, NextToken="none") == "InvalidNextTokenException"


def test_an_upload_in_parts_and_what_its_parts_were_copied_from_are_told(
    s3: Any, session: boto3.Session, url: str
) -> None:
    trail = session.client("cloudtrail", endpoint_url=url)
    s3.put_object(Bucket=BUCKET, Key="told/source", Body=b"part")
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="told/whole")["UploadId"]
    part = s3.upload_part_copy(
        Bucket=BUCKET, Key="told/whole", UploadId=upload, PartNumber=1, CopySource=f"{BUCKET}/told/source"
    )["CopyPartResult"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket=BUCKET, Key="told/whole", UploadId=upload, MultipartUpload=parts)
    names = {
        key: [event["EventName"] for event in looked_up(trail, ResourceName=f"arn:aws:s3:::{BUCKET}/told/{key}")]
        for key in ("source", "whole")
    }
    assert names == {"source": ["GetObject", "PutObject"], "whole": ["CompleteMultipartUpload"]}


def test_files_of_a_dataset_that_are_read_by_s3_are_a_check_out_once(s3: Any, towpath: Any) -> None:
    for name, body in (("a.csv", b"a"), ("b.csv", b"b")):
        s3.put_object(Bucket=BUCKET, Key=f"datasets/read/{name}", Body=body)
    towpath.create_dataset_version(DatasetName="read")
    s3.put_object(Bucket=BUCKET, Key="datasets/read/b.csv", Body=b"new")
    towpath.create_dataset_version(DatasetName="read")
    assert towpath.list_dataset_check_outs(DatasetName="read")["CheckOuts"] == []
    for name in ("a.csv", "b.csv", "a.csv"):
        s3.get_object(Bucket=BUCKET, Key=f"datasets/read/{name}")["Body"].read()
    (read,) = towpath.list_dataset_check_outs(DatasetName="read")["CheckOuts"]
    assert (read["Version"], read["FileCount"], read["Complete"]) == (2, 2, True)
    assert (read["EventName"], read["Principal"], read["RequestCount"]) == ("GetObject", "ada", 3)
    assert read["CheckOutTime"] <= read["LastReadTime"]
    assert towpath.list_dataset_check_outs(DatasetName="read", Version=1)["CheckOuts"] == []


def test_whoever_checks_a_version_out_and_fetches_its_files_is_told_once(s3: Any, towpath: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="datasets/fetched/a.csv", Body=b"a")
    towpath.create_dataset_version(DatasetName="fetched")
    (file,) = towpath.check_out_dataset(DatasetName="fetched")["Files"]
    bucket, _, key = file["S3Uri"].removeprefix("s3://").partition("/")
    s3.get_object(Bucket=bucket, Key=key, VersionId=file["VersionId"])["Body"].read()
    (told,) = towpath.list_dataset_check_outs(DatasetName="fetched")["CheckOuts"]
    assert "EventName" not in told


def test_a_version_of_a_dataset_cannot_be_removed_until_nothing_refers_to_it(
    s3: Any, towpath: Any, server: Served
) -> None:
    def put(name: str) -> dict[str, str]:
        key = f"datasets/kept/{name}"
        return {"Key": key, "VersionId": s3.put_object(Bucket=BUCKET, Key=key, Body=name.encode())["VersionId"]}

    used, unused = put("train.csv"), {"Key": "loose", "VersionId": ""}
    towpath.create_dataset_version(DatasetName="kept")
    unused["VersionId"] = s3.put_object(Bucket=BUCKET, Key="loose", Body=b"x")["VersionId"]
    with pytest.raises(ClientError, match=r"the DatasetVersion kept/1 refers to it") as caught:
        s3.delete_object(Bucket=BUCKET, **used)
    assert caught.value.response["Error"]["Code"] == "AccessDenied"
    answer = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [used, unused]})
    assert [item["VersionId"] for item in answer["Deleted"]] == [unused["VersionId"]]
    assert [item["VersionId"] for item in answer["Errors"]] == [used["VersionId"]]
    assert s3.get_object(Bucket=BUCKET, **used)["Body"].read() == b"train.csv"
    asked = select(event.c.principal, event.c.detail).where(event.c.type == VERSIONS_DELETED)
    (told,) = server.store.read(lambda transaction: transaction.connection.execute(asked).all())
    assert told.principal == "ada"
    assert [item["VersionId"] for item in json.loads(told.detail)["Versions"]] == [unused["VersionId"]]


@pytest.mark.shows("s3", "ListMultipartUploads", how="stores")
def test_a_bucket_is_emptied_and_removed_by_the_resource_interface(session: boto3.Session, s3: Any, url: str) -> None:
    bucket = session.resource("s3", endpoint_url=url).Bucket("emptied")
    bucket.create()
    for number in range(7):
        bucket.put_object(Key=f"k{number % 2}", Body=b"%d" % number)
    bucket.Object("k0").delete()
    upload = bucket.Object("big").initiate_multipart_upload()
    for under_way in bucket.multipart_uploads.all():
        under_way.abort()
    assert code_of(s3.list_parts, Bucket="emptied", Key="big", UploadId=upload.id) == "NoSuchUpload"
    bucket.object_versions.delete()
    bucket.delete()
    assert code_of(s3.head_bucket, Bucket="emptied") == "404"


@pytest.mark.shows("s3", "GetObjectAttributes", how="stores")
@pytest.mark.parametrize(("algorithm", "form"), [("CRC32", "FULL_OBJECT"), ("CRC32", "COMPOSITE"), ("SHA1", None)])
def test_an_upload_in_parts_has_the_checksum_that_its_client_works_out(
    s3: Any, algorithm: str, form: str | None
) -> None:
    arguments = {"ChecksumAlgorithm": algorithm, **({"ChecksumType": form} if form else {})}
    begun = s3.create_multipart_upload(Bucket=BUCKET, Key="checked", **arguments)
    which = {"Bucket": BUCKET, "Key": "checked", "UploadId": begun["UploadId"]}
    contents = [b"a" * (5 * MiB), b"tail"]
    parts = []
    for number, content in enumerate(contents, 1):
        sent = s3.upload_part(**which, PartNumber=number, Body=content, ChecksumAlgorithm=algorithm)
        parts.append({"PartNumber": number, "ETag": sent["ETag"], f"Checksum{algorithm}": sent[f"Checksum{algorithm}"]})
    (listed, *_) = s3.list_parts(**which)["Parts"]
    assert listed[f"Checksum{algorithm}"] == parts[0][f"Checksum{algorithm}"]
    done = s3.complete_multipart_upload(**which, MultipartUpload={"Parts": parts})
    if form == "FULL_OBJECT":
        expected = base64.b64encode(zlib.crc32(b"".join(contents)).to_bytes(4, "big")).decode()
    else:
        joined = b"".join(base64.b64decode(part[f"Checksum{algorithm}"]) for part in parts)
        digest = zlib.crc32(joined).to_bytes(4, "big") if algorithm == "CRC32" else hashlib.sha1(joined).digest()
        expected = f"{base64.b64encode(digest).decode()}-2"
    assert (done[f"Checksum{algorithm}"], done["ChecksumType"]) == (expected, form or "COMPOSITE")
    answer = s3.get_object(Bucket=BUCKET, Key="checked", ChecksumMode="ENABLED")
    assert answer["Body"].read() == b"".join(contents)
    assert answer[f"Checksum{algorithm}"] == expected
    told = s3.get_object_attributes(Bucket=BUCKET, Key="checked", ObjectAttributes=["Checksum", "ObjectParts"])
    assert (told["Checksum"][f"Checksum{algorithm}"], told["ObjectParts"]["TotalPartsCount"]) == (expected, 2)
    copied = s3.copy_object(
        Bucket=BUCKET, Key="copied", CopySource={"Bucket": BUCKET, "Key": "checked"}, ChecksumAlgorithm="SHA256"
    )
    whole = base64.b64encode(hashlib.sha256(b"".join(contents)).digest()).decode()
    assert copied["CopyObjectResult"]["ChecksumSHA256"] == whole


@pytest.mark.shows("s3", "PutObjectTagging", "GetObjectTagging", "DeleteObjectTagging", how="stores")
def test_tags_come_with_a_file_that_goes_up_in_parts_and_are_changed_afterwards(s3: Any) -> None:
    which = {"Bucket": BUCKET, "Key": "tagged"}
    s3.upload_fileobj(BytesIO(os.urandom(9 * MiB)), BUCKET, "tagged", ExtraArgs={"Tagging": "team=lake&stage=raw"})
    tags = [{"Key": "team", "Value": "lake"}, {"Key": "stage", "Value": "raw"}]
    assert s3.get_object_tagging(**which)["TagSet"] == tags
    s3.put_object_tagging(**which, Tagging={"TagSet": tags[:1]})
    assert s3.get_object_tagging(**which)["TagSet"] == tags[:1]
    s3.delete_object_tagging(**which)
    assert s3.get_object_tagging(**which)["TagSet"] == []


@pytest.mark.shows("s3", "UploadPartCopy", how="stores")
def test_a_large_object_is_copied_in_parts_by_the_transfer_of_boto3(s3: Any) -> None:
    content = os.urandom(17 * MiB + 3)
    s3.put_object(Bucket=BUCKET, Key="copied/from ä", Body=content)
    config = TransferConfig(multipart_threshold=5 * MiB, multipart_chunksize=6 * MiB)
    s3.copy({"Bucket": BUCKET, "Key": "copied/from ä"}, BUCKET, "copied/to", Config=config)
    answer = s3.get_object(Bucket=BUCKET, Key="copied/to")
    assert answer["Body"].read() == content
    assert answer["ETag"].strip('"').endswith("-3")
