"""Datasets: versions are made of content, keep their numbers, and every check-out is on record."""

from collections.abc import Iterable
from typing import Any, Protocol

import pytest

from towpath.kernel.clock import VirtualClock
from towpath.kernel.errors import Invalid, NotFound
from towpath.kernel.objects import ObjectRef, ObjectVersion
from towpath.objects import DatasetUse, check_out_inputs, dataset_versions_of
from towpath.store import SqliteStore

FOLDER = "datasets/reviews/"


class Call(Protocol):
    def __call__(self, name: str, *, by: str = "ann", **members: Any) -> dict[str, Any]: ...


class Put(Protocol):
    def __call__(self, key: str, content: bytes, bucket: str = ...) -> ObjectVersion: ...


def numbers(answer: dict[str, Any]) -> list[int]:
    return [version["Version"] for version in answer["DatasetVersions"]]


def paths(files: list[dict[str, Any]]) -> list[str]:
    return [file["Path"] for file in files]


def uses(store: SqliteStore, refs: Iterable[ObjectRef]) -> list[DatasetUse]:
    return store.read(lambda transaction: dataset_versions_of(transaction, list(refs)))


@pytest.mark.shows("towpath", "DescribeDataset", "DescribeDatasetVersion", "ListDatasets")
def test_files_put_below_the_datasets_folder_become_version_1(call: Call, put: Put) -> None:
    put(FOLDER + "train.csv", b"one")
    put(FOLDER + "more/test.csv", b"three")
    put("datasets/reviews-other/x.csv", b"not of this dataset")
    for folder in (FOLDER, FOLDER + "more/"):
        put(folder, b"")  # as consoles make folders
    made = call("CreateDatasetVersion", DatasetName="reviews", Description="raw")
    assert (made["Version"], made["Created"], made["FileCount"], made["TotalSize"]) == (1, True, 2, 8)
    described = call("DescribeDatasetVersion", DatasetName="reviews")
    assert paths(described["Files"]) == ["more/test.csv", "train.csv"]
    assert described["Description"] == "raw"
    assert described["CreatedBy"] == "ann"
    dataset = call("DescribeDataset", DatasetName="reviews")
    assert dataset["LatestVersion"] == 1
    assert [item["DatasetName"] for item in call("ListDatasets")["Datasets"]] == ["reviews"]


def test_the_same_content_keeps_its_number_even_when_it_is_put_again_or_elsewhere(call: Call, put: Put) -> None:
    put(FOLDER + "a.csv", b"one")
    first = call("CreateDatasetVersion", DatasetName="reviews")
    put(FOLDER + "a.csv", b"one")
    again = call("CreateDatasetVersion", DatasetName="reviews")
    put("elsewhere/a.csv", b"one")
    moved = call("CreateDatasetVersion", DatasetName="reviews", S3Uri=f"s3://{first_bucket(call)}/elsewhere/")
    assert [(answer["Version"], answer["Created"]) for answer in (first, again, moved)] == [
        (1, True),
        (1, False),
        (1, False),
    ]
    assert numbers(call("ListDatasetVersions", DatasetName="reviews")) == [1]


def first_bucket(call: Call) -> str:
    source: str = call("DescribeDataset", DatasetName="reviews")["Sources"][0]
    return source.removeprefix("s3://").partition("/")[0]


def test_changed_content_gets_the_next_number_and_going_back_finds_the_old_one(call: Call, put: Put) -> None:
    made = []
    for content in (b"one", b"two", b"one", b"three"):
        put(FOLDER + "a.csv", content)
        made.append(call("CreateDatasetVersion", DatasetName="reviews")["Version"])
    assert made == [1, 2, 1, 3]
    assert numbers(call("ListDatasetVersions", DatasetName="reviews")) == [3, 2, 1]
    assert call("DescribeDataset", DatasetName="reviews")["LatestVersion"] == 3


def test_a_single_object_can_be_a_dataset(call: Call, put: Put) -> None:
    version = put("raw/reviews.parquet", b"rows")
    call("CreateDatasetVersion", DatasetName="reviews", S3Uri=version.uri)
    files = call("DescribeDatasetVersion", DatasetName="reviews")["Files"]
    assert files == [
        {
            "Path": "reviews.parquet",
            "S3Uri": version.uri,
            "VersionId": version.version_id,
            "Size": 4,
            "Sha256": version.sha256,
        }
    ]


def test_a_manifest_names_every_file_of_a_large_dataset(call: Call, put: Put, store: SqliteStore) -> None:
    template = put(FOLDER + "part-0000", b"x")

    def fill(transaction: Any) -> None:
        from msgspec.structs import replace

        for number in range(1, 1100):
            transaction.objects.put(replace(template, key=f"{FOLDER}part-{number:04d}"))

    store.write(fill)
    assert call("CreateDatasetVersion", DatasetName="reviews")["FileCount"] == 1100


def test_what_is_not_there_is_said_by_name(call: Call, put: Put) -> None:
    with pytest.raises(Invalid, match=r"no objects under s3://.*/datasets/reviews/; put the files"):
        call("CreateDatasetVersion", DatasetName="reviews")
    with pytest.raises(NotFound, match="Dataset 'reviews' does not exist"):
        call("CheckOutDataset", DatasetName="reviews")
    with pytest.raises(NotFound, match="Dataset 'reviews' does not exist"):
        call("ListDatasetVersions", DatasetName="reviews")
    put(FOLDER + "a.csv", b"one")
    call("CreateDatasetVersion", DatasetName="reviews")
    with pytest.raises(NotFound, match="Dataset 'reviews' has no version 2; its latest is 1"):
        call("DescribeDatasetVersion", DatasetName="reviews", Version=2)
    for name in ("", "a/b", "-a", "a" * 64):
        with pytest.raises(Invalid):
            call("CreateDatasetVersion", DatasetName=name)


def test_a_check_out_gives_the_files_and_records_who_took_which_version_when(
    call: Call, put: Put, clock: VirtualClock
) -> None:
    first = put(FOLDER + "a.csv", b"one")
    call("CreateDatasetVersion", DatasetName="reviews")
    put(FOLDER + "a.csv", b"two")
    call("CreateDatasetVersion", DatasetName="reviews")
    taken = call("CheckOutDataset", by="bob", DatasetName="reviews", Version=1, Purpose="a look")
    assert [file["VersionId"] for file in taken["Files"]] == [first.version_id]
    at = clock.advance(60)
    call("CheckOutDataset", by="eve", DatasetName="reviews")
    call("DescribeDatasetVersion", DatasetName="reviews")
    listed = call("ListDatasetCheckOuts", DatasetName="reviews")["CheckOuts"]
    assert [(item["Principal"], item["Version"]) for item in listed] == [("eve", 2), ("bob", 1)]
    assert listed[0]["CheckOutTime"] == at.timestamp()
    assert listed[1]["Purpose"] == "a look"
    assert "Reader" not in listed[1]
    of_first = call("ListDatasetCheckOuts", DatasetName="reviews", Version=1)["CheckOuts"]
    assert [item["Principal"] for item in of_first] == ["bob"]


def test_pages_of_check_outs_join_even_when_more_are_made_meanwhile(call: Call, put: Put) -> None:
    put(FOLDER + "a.csv", b"one")
    call("CreateDatasetVersion", DatasetName="reviews")
    for number in range(5):
        call("CheckOutDataset", by=f"p{number}", DatasetName="reviews")
    seen: list[str] = []
    page = call("ListDatasetCheckOuts", DatasetName="reviews", MaxResults=2)
    while True:
        seen += [item["Principal"] for item in page["CheckOuts"]]
        if "NextToken" not in page:
            break
        call("CheckOutDataset", by="late", DatasetName="reviews")
        page = call("ListDatasetCheckOuts", DatasetName="reviews", MaxResults=2, NextToken=page["NextToken"])
    assert seen == ["p4", "p3", "p2", "p1", "p0"]
    for token in ("x", "-1", "99", "9" * 5000):
        with pytest.raises(Invalid, match="begin anew without it"):
            call("ListDatasetCheckOuts", DatasetName="reviews", NextToken=token)


def test_a_diff_tells_what_was_added_removed_and_changed(call: Call, put: Put) -> None:
    for name, content in (("same", b"s"), ("changed", b"1"), ("removed", b"r")):
        put(f"v1/{name}", content)
    for name, content in (("same", b"s"), ("changed", b"2"), ("added", b"a")):
        put(f"v2/{name}", content)
    bucket = put("x", b"").bucket
    call("CreateDatasetVersion", DatasetName="reviews", S3Uri=f"s3://{bucket}/v1")
    call("CreateDatasetVersion", DatasetName="reviews", S3Uri=f"s3://{bucket}/v2")
    found = call("DiffDatasetVersions", DatasetName="reviews", FromVersion=1)
    assert (found["FromVersion"], found["ToVersion"], found["UnchangedCount"]) == (1, 2, 1)
    assert paths(found["Added"]) == ["added"]
    assert paths(found["Removed"]) == ["removed"]
    assert paths(found["Changed"]) == ["changed"]
    assert found["Changed"][0]["Before"]["Sha256"] != found["Changed"][0]["After"]["Sha256"]


def test_the_inputs_of_a_job_are_told_by_their_dataset_version(call: Call, put: Put, store: SqliteStore) -> None:
    old = put(FOLDER + "a.csv", b"one")
    call("CreateDatasetVersion", DatasetName="reviews")
    new = put(FOLDER + "a.csv", b"two")
    more = put(FOLDER + "b.csv", b"more")
    call("CreateDatasetVersion", DatasetName="reviews")
    unrecorded = put(FOLDER + "c.csv", b"not in any version yet")
    other = put("code/source.tar.gz", b"code")
    (use,) = uses(store, [old.ref])
    assert (use.name, use.refs, use.complete) == ("reviews/1", (old.ref,), True)
    (use,) = uses(store, [new.ref, more.ref, other.ref, unrecorded.ref])
    assert (use.name, use.refs, use.complete) == ("reviews/2", (new.ref, more.ref), True)
    (use,) = uses(store, [more.ref])
    assert (use.name, use.complete) == ("reviews/2", False)
    assert [(use.name, use.refs) for use in uses(store, [old.ref, more.ref])] == [
        ("reviews/1", (old.ref,)),
        ("reviews/2", (more.ref,)),
    ]
    assert uses(store, [other.ref, unrecorded.ref, ObjectRef(old.bucket, "missing")]) == []


def test_the_version_read_is_found_though_a_later_one_holds_the_same_files_and_more(
    call: Call, put: Put, store: SqliteStore
) -> None:
    read = put(FOLDER + "a.csv", b"one")
    call("CreateDatasetVersion", DatasetName="reviews")
    put(FOLDER + "b.csv", b"more")
    call("CreateDatasetVersion", DatasetName="reviews")
    (use,) = uses(store, [read.ref])
    assert (use.name, use.complete) == ("reviews/1", True)


def test_content_put_again_still_belongs_to_its_version(call: Call, put: Put, store: SqliteStore) -> None:
    put(FOLDER + "a.csv", b"one")
    call("CreateDatasetVersion", DatasetName="reviews")
    again = put(FOLDER + "a.csv", b"one")
    (use,) = uses(store, [ObjectRef(again.bucket, again.key)])
    assert use.name == "reviews/1"


def test_a_job_that_reads_a_dataset_is_on_record_as_its_reader(call: Call, put: Put, store: SqliteStore) -> None:
    read = put(FOLDER + "a.csv", b"one")
    call("CreateDatasetVersion", DatasetName="reviews")
    reader = "arn:aws:sagemaker:us-east-1:000000000000:training-job/t1"
    store.write(lambda transaction: check_out_inputs(transaction, [read.ref], principal="ann", reader=reader))
    (listed,) = call("ListDatasetCheckOuts", DatasetName="reviews")["CheckOuts"]
    assert (listed["Reader"], listed["Principal"], listed["Version"]) == (reader, "ann", 1)
