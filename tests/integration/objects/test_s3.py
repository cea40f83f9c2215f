"""The S3 front door on real files and rows: many clients at once, failing commits, and a process that dies."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest

from towpath.gateway.services.s3 import S3Service
from towpath.housekeeping.ports import Transaction
from towpath.kernel.arns import Home
from towpath.kernel.errors import DiskFull
from towpath.kernel.objects import ObjectVersion
from towpath.objects import FolderObjects
from towpath.store import SqliteStore
from towpath.testing.s3 import PART, S3

R = TypeVar("R")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "store.db")
    yield store
    store.close()


@pytest.fixture
def s3(store: SqliteStore, tmp_path: Path) -> S3:
    client = S3(S3Service(store, FolderObjects(tmp_path / "objects"), store.home).handle)
    client("PUT", "bucket")
    return client


def blobs(folder: Path) -> int:
    return sum(1 for path in (folder / "objects" / "blobs").rglob("*") if path.is_file())


class FullDisk:
    """A store whose writes fail once they were carried out, as when the commit finds no space."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store

    def read(self, work: Callable[[Transaction], R]) -> R:
        return self._store.read(work)

    def write(self, work: Callable[[Transaction], R]) -> R:
        def fails(transaction: Transaction) -> R:
            work(transaction)
            raise DiskFull

        return self._store.write(fails)


def test_a_put_whose_commit_fails_leaves_neither_bytes_nor_rows(s3: S3, store: SqliteStore, tmp_path: Path) -> None:
    upload = s3("POST", "bucket", "big", uploads="").text("UploadId")
    broken = S3(S3Service(FullDisk(store), FolderObjects(tmp_path / "objects"), Home()).handle)
    before = blobs(tmp_path)
    assert broken("PUT", "bucket", "k", body=b"x").code == "InsufficientStorage"
    assert broken("PUT", "bucket", "big", body=b"x", uploadId=upload, partNumber=1).code == "InsufficientStorage"
    assert blobs(tmp_path) == before
    assert s3("GET", "bucket", "k").code == "NoSuchKey"


def test_refused_bodies_and_finished_uploads_leave_no_bytes_behind(s3: S3, tmp_path: Path) -> None:
    s3("PUT", "bucket", "k", body=b"data", headers={"x-amz-checksum-crc32": "AAAAAA=="})
    s3("PUT", "bucket", "k", body=b"data", headers={"content-length": "3"})
    assert blobs(tmp_path) == 0
    upload = s3("POST", "bucket", "big", uploads="").text("UploadId")
    for _ in range(2):
        etag = s3("PUT", "bucket", "big", body=b"part", uploadId=upload, partNumber=1).headers["etag"]
    part = f"<Part><PartNumber>1</PartNumber><ETag>{etag.strip(chr(34))}</ETag></Part>"
    document = f"<CompleteMultipartUpload>{part}</CompleteMultipartUpload>".encode()
    assert s3("POST", "bucket", "big", body=document, uploadId=upload).status == 200
    assert blobs(tmp_path) == 1


def test_writers_of_one_key_all_get_a_version_and_one_of_them_is_the_latest(s3: S3, store: SqliteStore) -> None:
    contents = [bytes([number]) * 1000 for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda content: s3("PUT", "bucket", "k", body=content), contents))
    versions = store.read(lambda transaction: transaction.objects.versions("bucket", "k"))
    assert {answer.version for answer in answers} == {version.version_id for version in versions}
    assert [version.is_latest for version in versions] == [True] + [False] * 15
    for answer, content in zip(answers, contents, strict=True):
        assert s3("GET", "bucket", "k", versionId=answer.version).body == content


def test_of_many_conditional_writers_exactly_one_wins(s3: S3) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(
                lambda number: s3("PUT", "bucket", "k", body=b"%d" % number, headers={"if-none-match": "*"}), range(16)
            )
        )
    assert sorted(answer.status for answer in answers) == [200] + [412] * 15


def test_requests_that_complete_one_upload_at_once_make_one_version(s3: S3, store: SqliteStore, tmp_path: Path) -> None:
    upload = s3("POST", "bucket", "big", uploads="").text("UploadId")
    etags = [
        s3("PUT", "bucket", "big", body=body, uploadId=upload, partNumber=number).headers["etag"].strip('"')
        for number, body in ((1, b"a" * PART), (2, b"b"))
    ]
    parts = "".join(
        f"<Part><ETag>{etag}</ETag><PartNumber>{number}</PartNumber></Part>" for number, etag in enumerate(etags, 1)
    )
    document = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: s3("POST", "bucket", "big", body=document, uploadId=upload), range(4)))
    finished = [answer for answer in answers if answer.status == 200]
    assert {answer.version for answer in finished} == {upload}
    assert len(store.read(lambda transaction: transaction.objects.versions("bucket", "big"))) == 1
    assert s3("GET", "bucket", "big").body == b"a" * PART + b"b"
    assert blobs(tmp_path) == 1


def test_parts_taken_away_by_a_faster_request_do_not_fail_the_slower_one(
    s3: S3, store: SqliteStore, tmp_path: Path
) -> None:
    upload = s3("POST", "bucket", "big", uploads="").text("UploadId")
    etag = s3("PUT", "bucket", "big", body=b"part", uploadId=upload, partNumber=1).headers["etag"].strip('"')
    document = (
        f"<CompleteMultipartUpload><Part><ETag>{etag}</ETag><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>"
    ).encode()

    class Overtaken(FolderObjects):
        """Lets another request complete the upload before the parts are read."""

        def read(self, version: ObjectVersion, start: int = 0, end: int | None = None) -> Iterator[bytes]:
            assert s3("POST", "bucket", "big", body=document, uploadId=upload).status == 200
            return super().read(version, start, end)

    slower = S3(S3Service(store, Overtaken(tmp_path / "objects"), store.home).handle)
    assert slower("POST", "bucket", "big", body=document, uploadId=upload).version == upload
    assert s3("GET", "bucket", "big").body == b"part"
    assert blobs(tmp_path) == 1


WRITER = """
import sys
from pathlib import Path
from towpath.gateway.services.s3 import S3Service
from towpath.objects import FolderObjects
from towpath.store import SqliteStore
from towpath.testing.s3 import S3

home = Path(sys.argv[1])
store = SqliteStore(home / "store.db")
s3 = S3(S3Service(store, FolderObjects(home / "objects"), store.home).handle)
s3("PUT", "bucket")
number = 0
while True:
    s3("PUT", "bucket", f"k{number}", body=b"%d" % number * 1000)
    print(number, flush=True)
    number += 1
"""


@pytest.mark.slow
@pytest.mark.parametrize("answered", [1, 7, 40])
def test_every_put_that_was_answered_outlives_the_death_of_the_process(tmp_path: Path, answered: int) -> None:
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process, process.stdout:
        try:
            lines = [process.stdout.readline() for _ in range(answered)]
        finally:
            os.kill(process.pid, signal.SIGKILL)
        lines += process.stdout.readlines()
    last = max(int(line) for line in lines if line.endswith("\n"))
    assert last + 1 >= answered
    store = SqliteStore(tmp_path / "store.db")
    objects = FolderObjects(tmp_path / "objects")
    objects.sweep(lambda names: store.read(lambda transaction: transaction.objects.known_blobs(names)))
    s3 = S3(S3Service(store, objects, store.home).handle)
    for number in range(last + 1):
        assert s3("GET", "bucket", f"k{number}").body == b"%d" % number * 1000
    listed = s3("GET", "bucket", list_type=2, max_keys=1000).texts("Key")
    assert len(listed) - (last + 1) in {0, 1}  # one more may have been committed and not answered
    assert blobs(tmp_path) == len(listed)
    store.close()
