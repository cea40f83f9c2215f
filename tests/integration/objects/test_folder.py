"""What the folder of blobs keeps over crashes, restarts and a full disk."""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from towpath.kernel.errors import DiskFull
from towpath.kernel.objects import StoredBlob
from towpath.objects import FolderObjects
from towpath.testing.objects import version_of


def later(folder: Path) -> FolderObjects:
    """Return the store as a process sees it that starts after everything in `folder` was written."""
    written = max(path.stat().st_ctime_ns for path in folder.rglob("*"))
    probe = folder.parent / "probe"
    while True:  # the file system's clock ticks every few milliseconds
        probe.touch()
        if probe.stat().st_ctime_ns > written:
            return FolderObjects(folder)


def test_the_sweeper_removes_what_an_earlier_process_left_without_a_row(tmp_path: Path) -> None:
    folder = tmp_path / "objects"
    before = FolderObjects(folder)
    kept, orphan = before.write([b"kept"]), before.write([b"orphan"])

    def dies() -> Iterator[bytes]:
        yield b"half"
        # The process dies here: what it was writing stays where it is.
        for path in (folder / "new").rglob("*"):
            if path.is_file():
                os.link(path, path.with_suffix(".left"))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        before.write(dies())
    objects = later(folder)
    fresh = objects.write([b"its row is on the way"])
    assert objects.sweep(lambda names: {kept.blob} & set(names)) == 1
    assert list(objects.read(version_of(kept))) == [b"kept"]
    assert list(objects.read(version_of(fresh))) == [b"its row is on the way"]
    assert not Path(objects.path(version_of(orphan))).exists()
    assert not [path for path in (folder / "new").rglob("*") if path.is_file()]
    assert objects.sweep(lambda names: {kept.blob} & set(names)) == 0


def test_an_output_swept_between_adoption_and_commit_can_be_adopted_again(tmp_path: Path) -> None:
    folder = tmp_path / "objects"
    staged = tmp_path / "out.csv"
    staged.write_bytes(b"rows")
    before = FolderObjects(folder)
    blob = StoredBlob(blob=before.new_blob_name(), size=4, sha256="", etag="")
    before.adopt(str(staged), blob)
    objects = later(folder)
    assert objects.sweep(lambda names: set()) == 1
    objects.adopt(str(staged), blob)
    assert list(objects.read(version_of(blob))) == [b"rows"]


def test_blobs_cannot_be_written_to_by_accident(tmp_path: Path) -> None:
    objects = FolderObjects(tmp_path / "objects")
    path = Path(objects.path(version_of(objects.write([b"x"]))))
    assert stat.S_IMODE(path.stat().st_mode) == 0o444


def test_a_blob_shorter_than_its_row_says_is_an_error_and_not_a_short_answer(tmp_path: Path) -> None:
    objects = FolderObjects(tmp_path / "objects")
    blob = objects.write([b"0123456789"])
    path = Path(objects.path(version_of(blob)))
    path.chmod(0o644)
    os.truncate(path, 4)
    with pytest.raises(OSError, match="6 bytes short"):
        list(objects.read(version_of(blob)))


@pytest.mark.slow
def test_memory_does_not_grow_with_the_size_of_an_object(tmp_path: Path) -> None:
    import tracemalloc

    objects = FolderObjects(tmp_path / "objects")
    chunk = bytes(1 << 20)
    tracemalloc.start()
    try:
        blob = objects.write(chunk for _ in range(200))
        assert sum(len(piece) for piece in objects.read(version_of(blob))) == 200 << 20
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_bytes_that_find_no_room_leave_nothing_behind(tmp_path: Path) -> None:
    objects = FolderObjects(tmp_path)

    def chunks() -> Iterator[bytes]:
        yield b"half"
        raise OSError(errno.ENOSPC, "no space left on device")

    with pytest.raises(DiskFull, match="disk of the platform's home is full"):
        objects.write(chunks())
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
