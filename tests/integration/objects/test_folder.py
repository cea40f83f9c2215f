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
        written = {path for path in (folder / "blobs").rglob("*") if path.is_file()}
        for path in written - {Path(before.path(version_of(blob))) for blob in (kept, orphan)}:
            os.link(path, path.with_name(f"{path.name[:-5]}.left"))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        before.write(dies())
    objects = later(folder)
    fresh = objects.write([b"its row is on the way"])
    assert list((folder / "blobs").rglob("*.left"))
    assert objects.sweep(lambda names: {kept.blob} & set(names)) == 2
    assert list(objects.read(version_of(kept))) == [b"kept"]
    assert list(objects.read(version_of(fresh))) == [b"its row is on the way"]
    assert not Path(objects.path(version_of(orphan))).exists()
    assert not list((folder / "blobs").rglob("*.left"))
    assert objects.sweep(lambda names: {kept.blob} & set(names)) == 0


def test_what_an_earlier_release_was_writing_elsewhere_is_swept(tmp_path: Path) -> None:
    folder = tmp_path / "objects"
    (folder / "new" / "run").mkdir(parents=True)
    (folder / "new" / "run" / "half").write_bytes(b"half")
    assert FolderObjects(folder).sweep(lambda names: set()) == 0
    assert not (folder / "new").exists()


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
    assert not [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return a list that the path of everything that is synced is appended to."""
    paths: list[Path] = []
    fsync = os.fsync

    def count(descriptor: int) -> None:
        paths.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", count)
    return paths


def test_bytes_and_their_name_are_synced_at_their_place_once_each(tmp_path: Path, synced: list[Path]) -> None:
    objects = FolderObjects(tmp_path / "objects")
    objects.write([b"makes", b"the folder", b"of its name"])
    for _ in range(20):
        synced.clear()
        place = Path(objects.path(version_of(objects.write([b"4", b"KiB"]))))
        made = [] if tmp_path / "objects" / "blobs" not in synced else [tmp_path / "objects" / "blobs"]
        assert sorted(synced) == sorted([*made, place, place.parent])


@pytest.mark.parametrize("staged_is_left", [True, False])
def test_what_was_adopted_before_a_crash_is_made_durable_when_it_is_adopted_again(
    tmp_path: Path, synced: list[Path], staged_is_left: bool
) -> None:
    folder, staged = tmp_path / "objects", tmp_path / "out.csv"
    staged.write_bytes(b"rows")
    blob = StoredBlob(blob="3f" + "0" * 30, size=4, sha256="", etag="")
    place = folder / "blobs" / "3f"
    # As a process leaves it that died between the link and the sync.
    place.mkdir(parents=True)
    os.link(staged, place / blob.blob)
    if not staged_is_left:
        staged.unlink()
    objects = FolderObjects(folder)
    objects.adopt(str(staged), blob)
    assert synced.count(place) == 1
    assert synced.count(folder / "blobs") == 1, "nor was the folder itself"


def test_the_folders_of_blobs_are_synced_once_each(tmp_path: Path, synced: list[Path]) -> None:
    objects = FolderObjects(tmp_path / "objects")
    staged = tmp_path / "out.csv"
    staged.write_bytes(b"rows")
    files = [(str(staged), StoredBlob(blob=f"{n % 2}a{n:030}", size=4, sha256="", etag="")) for n in range(10)]
    synced.clear()
    objects.adopt_all(files)
    blobs = tmp_path / "objects" / "blobs"
    assert sorted(synced) == sorted([blobs, blobs, blobs / "0a", blobs / "1a"])
    synced.clear()
    objects.adopt_all(files)
    assert sorted(synced) == [blobs / "0a", blobs / "1a"]
