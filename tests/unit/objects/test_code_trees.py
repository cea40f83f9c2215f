"""Code archives by the content of their files."""

import errno
import hashlib
import io
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import IO, Any

import pytest

from towpath.kernel.objects import ObjectVersion
from towpath.objects import code_trees
from towpath.objects.code_trees import StoredCodeTrees


class Blobs:
    """Archives in memory, by digest, and how often one was opened."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}
        self.opened = 0

    def put(self, content: bytes) -> ObjectVersion:
        digest = hashlib.sha256(content).hexdigest()
        self.contents[digest] = content
        return ObjectVersion(
            bucket="b",
            key="source.tar.gz",
            version_id=f"v{len(self.contents)}",
            size=len(content),
            sha256=digest,
            etag="",
            blob=digest,
            created_at=datetime(2026, 1, 1, tzinfo=UTC),
            created_by="ann",
        )

    def open(self, version: ObjectVersion) -> IO[bytes]:
        self.opened += 1
        return io.BytesIO(self.contents[version.sha256])


def packed(files: dict[str, bytes], *, mode: str = "w:gz", at: int = 0, bits: int = 0o644) -> bytes:
    """Return files as an archive."""
    stream = io.BytesIO()
    tar: Any
    with tarfile.open(fileobj=stream, mode=mode) as tar:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.mode, member.uname = len(content), at, bits, f"user{at}"
            tar.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("link.py")
        link.type, link.linkname = tarfile.SYMTYPE, "train.py"
        tar.addfile(link)
    return stream.getvalue()


@pytest.fixture
def blobs() -> Iterator[Blobs]:
    yield Blobs()


def trees(blobs: Any) -> StoredCodeTrees:
    return StoredCodeTrees(blobs)


FILES = {"train.py": b"print(1)", "./a/b.py": b""}


def test_times_owners_and_compression_say_nothing(blobs: Blobs) -> None:
    known = trees(blobs)
    found = known.files(blobs.put(packed(FILES)))
    assert found == {
        "train.py": hashlib.sha256(b"print(1)").hexdigest(),
        "a/b.py": hashlib.sha256(b"").hexdigest(),
        "link.py": "-> train.py",
    }
    assert known.files(blobs.put(packed(FILES, at=9))) == found
    assert known.files(blobs.put(packed(FILES, mode="w:xz"))) == found
    assert known.files(blobs.put(packed({**FILES, "train.py": b"print(2)"}))) != found
    assert known.files(blobs.put(packed(FILES, bits=0o755))) != found, "what can be executed does something else"


def test_an_archive_is_read_once(blobs: Blobs) -> None:
    known = trees(blobs)
    archive = blobs.put(packed(FILES))
    assert known.files(archive) == known.files(archive)
    assert blobs.opened == 1


def test_what_cannot_be_read_as_an_archive_goes_by_its_bytes(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    known = trees(blobs)
    whole = packed({"data": bytes(100_000)}, mode="w:gz")
    assert known.files(blobs.put(b"no archive")) is None
    assert known.files(blobs.put(whole[:-20])) is None
    monkeypatch.setattr(code_trees, "LARGEST_BYTES", 99_999)
    assert trees(blobs).files(blobs.put(whole)) is None


@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE])
def test_what_the_disk_does_not_give_is_no_word_about_the_archive(blobs: Blobs, number: int) -> None:
    known = trees(blobs)
    archive = blobs.put(packed(FILES))
    whole = blobs.contents[archive.sha256]

    class Failing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(number, "no")

    with pytest.MonkeyPatch.context() as patch, pytest.raises(OSError, match="no"):
        patch.setattr(blobs, "open", lambda version: Failing(whole))
        known.files(archive)
    assert "train.py" in (known.files(archive) or {}), "nothing was remembered"


def test_what_is_remembered_is_bounded(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_trees, "_MOST_FILES", 4)
    known = trees(blobs)
    first, second = blobs.put(packed(FILES)), blobs.put(packed(FILES, at=1))
    known.files(first)
    known.files(second)  # three files each: the older one is forgotten
    known.files(second)
    assert blobs.opened == 2
    known.files(first)
    assert blobs.opened == 3
