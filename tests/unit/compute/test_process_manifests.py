"""The manifest of an attempt that left very many files is read once while they are published."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from towpath.compute.process import ProcessBackend
from towpath.jobs.model import Manifest, StagedFile

AT = datetime(2026, 1, 1, tzinfo=UTC)


def left(folder: Path, count: int) -> None:
    """Write, as a runner does, the manifest of an attempt that left so many files."""
    files = (
        StagedFile(output="out", bucket="b", key=f"{number}", path=f"/{number}", size=0, sha256="", md5="")
        for number in range(count)
    )
    manifest = Manifest(key=folder.name, exit_code=0, reason=None, ended_at=AT, outputs=tuple(files))
    (folder / "new").write_bytes(msgspec.json.encode(manifest))
    (folder / "new").replace(folder / "manifest.json")


@pytest.mark.parametrize(("count", "reads"), [(2000, 1), (10, 2)])
def test_a_long_manifest_is_read_once_until_its_attempt_is_tidied(tmp_path: Path, count: int, reads: int) -> None:
    backend = ProcessBackend(tmp_path / "jobs", home=tmp_path, sandbox="paths")
    folder = tmp_path / "jobs" / "uid-1"
    folder.mkdir(parents=True)
    left(folder, count)
    seen = [backend.observe("uid-1").manifest for _ in range(2)]
    assert len({id(manifest) for manifest in seen}) == reads
    assert seen[0] == seen[1]
    backend.tidy("uid-1")
    again = backend.observe("uid-1").manifest
    assert again == seen[0]
    assert again is not seen[0]
    left(folder, count - 1)
    other = backend.observe("uid-1").manifest
    assert other is not None
    assert len(other.outputs) == count - 1, "another file is another manifest"
    (folder / "manifest.json").unlink()
    assert backend.observe("uid-1").manifest is None
    backend.close()
