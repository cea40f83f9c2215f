"""What every object store must do. Subclass the suite and give it a fixture `objects`.

class TestFolder(ObjectStoreConformance):
    @pytest.fixture
    def objects(self, tmp_path): return FolderObjects(tmp_path)
"""

import hashlib
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from towpath.kernel.errors import NotFound
from towpath.kernel.objects import ObjectStore, ObjectVersion, StoredBlob

_MIB_OF_SMALL = 32  #: more than any store sends at once


def version_of(blob: StoredBlob, *, key: str = "key") -> ObjectVersion:
    """Return an object version that holds a blob."""
    return ObjectVersion(
        bucket="bucket",
        key=key,
        version_id=blob.blob,
        size=blob.size,
        sha256=blob.sha256,
        etag=blob.etag,
        blob=blob.blob,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        created_by="someone",
    )


class ObjectStoreConformance:
    """The port `kernel.objects.ObjectStore`. Give it a fixture `objects`."""

    def test_what_was_written_is_read_back_with_its_digests(self, objects: ObjectStore) -> None:
        content = [b"abc", b"", b"defg" * 100_000]
        blob = objects.write(content)
        whole = b"".join(content)
        assert blob.size == len(whole)
        assert blob.sha256 == hashlib.sha256(whole).hexdigest()
        assert blob.etag == hashlib.md5(whole, usedforsecurity=False).hexdigest()
        assert b"".join(objects.read(version_of(blob))) == whole
        with objects.open(version_of(blob)) as file:
            assert file.read() == whole
        assert Path(objects.path(version_of(blob))).read_bytes() == whole

    def test_an_empty_object_is_an_object(self, objects: ObjectStore) -> None:
        blob = objects.write([])
        assert blob.size == 0
        assert list(objects.read(version_of(blob))) == []

    @pytest.mark.parametrize(("start", "end"), [(0, None), (0, 5), (3, 7), (9, 10), (4, 4), (2, 99), (10, None)])
    def test_a_range_is_what_slicing_gives(self, objects: ObjectStore, start: int, end: int | None) -> None:
        blob = objects.write([b"0123456789"])
        assert b"".join(objects.read(version_of(blob), start, end)) == b"0123456789"[start:end]

    def test_memory_does_not_grow_with_the_size_of_an_object(self, objects: ObjectStore) -> None:
        chunk = bytes(1 << 20)

        def most_held(chunks: int) -> int:
            """Return the most bytes that Python held while an object of so many MiB was written, read and fetched."""
            tracemalloc.start()
            try:
                blob = objects.write(chunk for _ in range(chunks))
                assert sum(len(piece) for piece in objects.read(version_of(blob))) == chunks << 20
                assert Path(objects.path(version_of(blob))).stat().st_size == chunks << 20
                return tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
                objects.discard(blob.blob)

        small, large = most_held(_MIB_OF_SMALL), most_held(3 * _MIB_OF_SMALL)
        assert large < small + (_MIB_OF_SMALL << 19), "64 MiB more were to pass, and not to be held"

    def test_the_same_content_twice_makes_two_blobs(self, objects: ObjectStore) -> None:
        first, second = objects.write([b"same"]), objects.write([b"same"])
        assert first.blob != second.blob
        objects.discard(first.blob)
        assert b"".join(objects.read(version_of(second))) == b"same"

    def test_blob_names_are_never_given_twice(self, objects: ObjectStore) -> None:
        names = {objects.new_blob_name() for _ in range(1000)}
        assert len(names) == 1000

    def test_a_stream_that_fails_leaves_nothing_behind(self, objects: ObjectStore, tmp_path: Path) -> None:
        def broken() -> Iterator[bytes]:
            yield b"half"
            raise ConnectionError("the client went away")

        files = _files(tmp_path)
        with pytest.raises(ConnectionError):
            objects.write(broken())
        assert _files(tmp_path) == files

    def test_a_staged_file_is_taken_in_under_the_name_given_and_only_once(
        self, objects: ObjectStore, tmp_path: Path
    ) -> None:
        staged = tmp_path / "model.tar.gz"
        staged.write_bytes(b"weights")
        blob = StoredBlob(
            blob=objects.new_blob_name(),
            size=7,
            sha256=hashlib.sha256(b"weights").hexdigest(),
            etag=hashlib.md5(b"weights", usedforsecurity=False).hexdigest(),
        )
        objects.adopt(str(staged), blob)
        objects.adopt_all([(str(staged), blob)])
        staged.unlink(missing_ok=True)
        objects.adopt(str(staged), blob)
        assert b"".join(objects.read(version_of(blob))) == b"weights"

    def test_taking_in_a_file_that_is_not_there_is_refused(self, objects: ObjectStore, tmp_path: Path) -> None:
        blob = StoredBlob(blob=objects.new_blob_name(), size=1, sha256="", etag="")
        with pytest.raises(NotFound, match="no-such-file"):
            objects.adopt(str(tmp_path / "no-such-file"), blob)

    def test_what_was_discarded_is_gone_and_may_be_discarded_again(self, objects: ObjectStore) -> None:
        blob = objects.write([b"x"])
        objects.discard(blob.blob)
        objects.discard(blob.blob)
        with pytest.raises(FileNotFoundError):
            list(objects.read(version_of(blob)))


def _files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}
