"""Bytes in a bucket of a real S3 server: large ones in parts, what crashes leave, copies on this host, and faults."""

import hashlib
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests.s3_server import ADA, Served, s3_client, served

from towpath.kernel.errors import Invalid, NotFound, Unavailable
from towpath.kernel.objects import ObjectVersion, StoredBlob
from towpath.objects import cache
from towpath.objects.location import S3Location, location_of
from towpath.objects.s3 import PART, S3Objects, client_of
from towpath.testing.objects import version_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("home")) as running:
        s3_client(running.url).create_bucket(Bucket="lake")
        yield running


@pytest.fixture
def location(server: Served) -> S3Location:
    found = location_of(f"s3://lake/of/{uuid4().hex}/?endpoint={server.url}")
    assert found is not None
    return found


@pytest.fixture
def s3(server: Served) -> Any:
    return s3_client(server.url)


def opened(location: S3Location, folder: Path, *, cache_bytes: int = 1 << 30) -> S3Objects:
    client = client_of(location, access_key=ADA.access_key, secret_key=ADA.secret_key)
    return S3Objects(client, location, folder, cache_bytes=cache_bytes)


def keys(s3: Any, location: S3Location) -> set[str]:
    listed = s3.list_objects_v2(Bucket="lake", Prefix=location.prefix).get("Contents", [])
    return {item["Key"].rpartition("/")[2] for item in listed}


def uploads(s3: Any, location: S3Location) -> int:
    return len(s3.list_multipart_uploads(Bucket="lake", Prefix=location.prefix).get("Uploads", []))


def staged(folder: Path, content: bytes, name: str) -> tuple[str, StoredBlob]:
    path = folder / f"staged-{name}"
    path.write_bytes(content)
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return str(path), StoredBlob(blob=name, size=len(content), sha256=hashlib.sha256(content).hexdigest(), etag=md5)


def test_a_large_blob_goes_in_parts_and_comes_back_whole_and_in_ranges(
    s3: Any, location: S3Location, tmp_path: Path
) -> None:
    objects = opened(location, tmp_path)
    content = os.urandom(PART + (1 << 20) + 17)
    blob = objects.write(content[start : start + 300_000] for start in range(0, len(content), 300_000))
    version = version_of(blob)
    assert (blob.size, blob.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert s3.head_object(Bucket="lake", Key=location.key(blob.blob))["ETag"].strip('"').endswith("-2")
    assert b"".join(objects.read(version, PART - 5, PART + 5)) == content[PART - 5 : PART + 5]
    assert Path(objects.path(version)).read_bytes() == content
    assert b"".join(objects.read(version, 3, 10)) == content[3:10], "from the copy"


def test_a_stream_that_fails_between_parts_leaves_neither_object_nor_upload(
    s3: Any, location: S3Location, tmp_path: Path
) -> None:
    def broken() -> Iterator[bytes]:
        yield b"x" * PART
        assert uploads(s3, location) == 1
        raise ConnectionError("the client went away")

    with pytest.raises(ConnectionError):
        opened(location, tmp_path).write(broken())
    assert (keys(s3, location), uploads(s3, location)) == (set(), 0)


def test_the_next_process_removes_what_was_sent_without_a_row_and_nothing_else(
    s3: Any, location: S3Location, tmp_path: Path
) -> None:
    first = opened(location, tmp_path)
    known, lost = first.write([b"known"]), first.write([b"lost"])
    adopted = staged(tmp_path, b"output", "ab" * 16)
    first.adopt(*adopted)
    interrupted = s3.create_multipart_upload(Bucket="lake", Key=location.key(first.new_blob_name()))
    s3.put_object(Bucket="lake", Key=location.key("foreign"), Body=b"of another home")
    second = opened(location, tmp_path)
    assert second.sweep(lambda names: {known.blob} & set(names)) == 2
    assert keys(s3, location) == {known.blob, "foreign"}
    assert interrupted["UploadId"], "of a blob that this home did not note: not ours to give up"
    assert uploads(s3, location) == 1
    second.adopt(*adopted)
    assert b"".join(second.read(version_of(adopted[1]))) == b"output"
    assert lost.blob not in keys(s3, location)
    assert second.sweep(lambda names: set()) == 0, "its own work is still under way"


def test_a_staged_file_that_was_changed_is_refused(s3: Any, location: S3Location, tmp_path: Path) -> None:
    path, blob = staged(tmp_path, b"output", "cd" * 16)
    Path(path).write_bytes(b"another")
    with pytest.raises(Invalid, match="was changed after its job had ended"):
        opened(location, tmp_path).adopt(path, blob)
    assert keys(s3, location) == set()


def test_bytes_that_were_damaged_in_the_bucket_are_noticed_before_a_job_gets_them(
    s3: Any, location: S3Location, tmp_path: Path
) -> None:
    objects = opened(location, tmp_path)
    blob = objects.write([b"weights"])
    s3.put_object(Bucket="lake", Key=location.key(blob.blob), Body=b"Weights")
    with pytest.raises(Invalid, match="are damaged"):
        objects.path(version_of(blob))
    s3.delete_object(Bucket="lake", Key=location.key(blob.blob))
    with pytest.raises(NotFound, match="are gone"):
        objects.path(version_of(blob))


def test_many_who_want_the_same_bytes_fetch_them_once(
    s3: Any, location: S3Location, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = opened(location, tmp_path)
    version = version_of(objects.write([b"x" * 5_000_000]))
    asked: list[ObjectVersion] = []
    read = objects.read

    def counted(wanted: ObjectVersion) -> Iterator[bytes]:
        asked.append(wanted)
        return read(wanted)

    monkeypatch.setattr(objects, "read", counted)
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(objects.path(version))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (len(asked), len(found), len(set(found))) == (1, 8, 1)


def test_of_too_many_copies_the_longest_unused_goes_but_none_used_a_moment_ago(
    location: S3Location, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = opened(location, tmp_path, cache_bytes=2_500)
    versions = [version_of(objects.write([b"%d" % number * 1000])) for number in range(4)]
    paths = [Path(objects.path(version)) for version in versions[:3]]
    assert [path.exists() for path in paths] == [True, True, True], "they may be about to be read"
    for age, path in zip((100, 300, 200), paths, strict=True):
        used_at = path.stat().st_mtime - age
        os.utime(path, (used_at, used_at))
    monkeypatch.setattr(cache, "YOUNGEST_S", 50)
    last = Path(objects.path(versions[3]))
    assert [path.exists() for path in (*paths, last)] == [True, False, False, True]
    assert Path(objects.path(versions[1])).read_bytes() == b"1" * 1000, "fetched again"


def test_a_bucket_that_cannot_be_used_is_told_at_the_start(location: S3Location, tmp_path: Path) -> None:
    absent = S3Location(bucket="absent", prefix="", endpoint=location.endpoint)
    with pytest.raises(Invalid, match=r"asked for the bucket 'absent'.*objects_secret_key"):
        opened(absent, tmp_path)
    with pytest.raises(Invalid, match=r"403"):
        S3Objects(client_of(location, access_key="AKIAADA", secret_key="wrong"), location, tmp_path, cache_bytes=0)


def test_a_service_that_is_away_is_told_as_such_and_caught_up_with(
    s3: Any, server: Served, location: S3Location, tmp_path: Path
) -> None:
    objects = opened(location, tmp_path)
    blob = objects.write([b"x"])
    with socket.socket() as silent:  # held and never listened at, so that nobody else answers there
        silent.bind(("127.0.0.1", 0))
        away = S3Location(bucket="lake", prefix=location.prefix, endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}")
        objects._client = client_of(away, access_key="a", secret_key="b")
        for call in (lambda: objects.write([b"y"]), lambda: list(objects.read(version_of(blob)))):
            with pytest.raises(Unavailable, match="does not answer"):
                call()
        objects.discard(blob.blob)
    assert keys(s3, location) == {blob.blob}
    assert opened(location, tmp_path).sweep(lambda names: set()) == 2
    assert keys(s3, location) == set()
