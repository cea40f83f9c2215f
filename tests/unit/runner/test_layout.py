import errno
import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from towpath.runner import folder, layout
from towpath.runner.layout import LayoutFailed, lay_out, unpack


def nothing() -> None:
    """A checkpoint that never ends anything."""


def same(text: str) -> str:
    return text


def archive(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as file:
        for member in members:
            content = b"x" if member.isreg() else b""
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    return path


def regular(name: str, mode: int = 0o644) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.mode = mode
    return member


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "target"
    folder.mkdir()
    return folder


def test_files_folders_and_inner_links_are_unpacked(tmp_path: Path, target: Path) -> None:
    packed = archive(
        tmp_path / "a.tar.gz",
        regular("./run.sh", 0o4755),
        regular("data/x"),
        link("latest", "data/x"),
        link("again", "data/x", tarfile.LNKTYPE),
    )
    unpack(packed, target, "s3://b/a", nothing)
    assert (target / "latest").read_text() == "x"
    assert (target / "again").read_text() == "x"
    assert (target / "run.sh").stat().st_mode & 0o7777 == 0o755, "no set-user-id bit from an archive"


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([regular("../x")], "'../x' leads out"),
        ([regular("/x")], "'/x' leads out"),
        ([link("a", "/etc/passwd")], "the link 'a' leads out"),
        ([link("a", "../x")], "the link 'a' leads out"),
        ([link("a", ".."), regular("a/x")], "written through the link 'a'"),
        ([link("a", "b"), link("b", "..")], "leads out"),
        # Word by word each of these stays inside; followed one after the other they do not.
        (
            [tarfile.TarInfo("d/e/keep"), link("d/e/up", "../.."), link("d/e/out", "up/../..")],
            "the link 'd/e/out' leads",
        ),
        ([link("a", "../outside", tarfile.LNKTYPE)], "leads out"),
        ([link("a", "missing", tarfile.LNKTYPE)], "no file that came before it"),
        ([link("pipe", "", tarfile.FIFOTYPE)], "neither file, folder nor link"),
        ([link("disk", "", tarfile.BLKTYPE)], "neither file, folder nor link"),
    ],
)
def test_unsafe_archives_are_refused(tmp_path: Path, target: Path, members: list[tarfile.TarInfo], words: str) -> None:
    (tmp_path / "outside").write_text("mine")
    packed = archive(tmp_path / "a.tar.gz", *members)
    with pytest.raises(LayoutFailed, match=words) as failed:
        unpack(packed, target, "s3://b/a.tar.gz", nothing)
    assert "s3://b/a.tar.gz" in str(failed.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar.gz", "outside", "target"]


def test_what_is_no_archive_is_named(tmp_path: Path, target: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(b"not an archive")
    with pytest.raises(LayoutFailed, match="s3://b/a cannot be unpacked"):
        unpack(tmp_path / "a.tar.gz", target, "s3://b/a", nothing)


def test_a_cut_off_archive_is_named(tmp_path: Path, target: Path) -> None:
    packed = archive(tmp_path / "a.tar.gz", regular("x"))
    packed.write_bytes(packed.read_bytes()[:-20])
    with pytest.raises(LayoutFailed, match="s3://b/a cannot be unpacked"):
        unpack(packed, target, "s3://b/a", nothing)


def item(tmp_path: Path, path: str, content: bytes = b"x") -> dict[str, object]:
    source = tmp_path / hashlib.sha256(path.encode()).hexdigest()
    source.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    facts = {"size": len(content), "sha256": digest, "version_id": "v", "uri": f"s3://b/{path}"}
    return {"path": path, "source": str(source), **facts}


def test_inputs_that_stand_in_each_others_way_are_named(tmp_path: Path, target: Path) -> None:
    job = {"inputs": [item(tmp_path, "a"), item(tmp_path, "a/b")]}
    with pytest.raises(LayoutFailed, match="s3://b/a/b cannot be laid out at /opt/ml/a/b"):
        lay_out(job, target, nothing, same)


def test_a_missing_blob_is_named(tmp_path: Path, target: Path) -> None:
    entry = item(tmp_path, "a")
    Path(str(entry["source"])).unlink()
    with pytest.raises(LayoutFailed, match="s3://b/a cannot be laid out"):
        lay_out({"inputs": [entry]}, target, nothing, same)


@pytest.mark.parametrize("unpacked", [False, True])
def test_a_full_disk_is_no_fault_of_an_input(
    tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch, *, unpacked: bool
) -> None:
    content = archive(tmp_path / "a.tar.gz", regular("x")).read_bytes()
    entry = item(tmp_path, "a", content) | {"unpack": unpacked}
    copied = folder.write_all

    def full(descriptor: int, data: bytes) -> None:
        if unpacked and data == content:
            copied(descriptor, data)  # the archive finds room, and what is in it does not
            return
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(layout, "write_all", full)
    with pytest.raises(OSError, match="no space left"):
        lay_out({"inputs": [entry]}, target, nothing, same)


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x"])
def test_no_path_of_a_job_leads_out(tmp_path: Path, target: Path, path: str) -> None:
    for job in ({"inputs": [item(tmp_path, path)]}, {"files": {path: ""}}, {"folders": [path]}):
        with pytest.raises(LayoutFailed, match="leads out of /opt/ml"):
            lay_out(job, target, nothing, same)


def test_text_files_are_rewritten_and_folders_made(target: Path) -> None:
    lay_out({"files": {"a/b": "/opt/ml"}, "folders": ["c/d"]}, target, nothing, lambda text: text.upper())
    assert (target / "a/b").read_text() == "/OPT/ML"
    assert (target / "c/d").is_dir()


def test_a_long_copy_can_be_ended(tmp_path: Path, target: Path) -> None:
    class Ended(Exception):
        pass

    def end() -> None:
        raise Ended

    with pytest.raises(Ended):
        lay_out({"inputs": [item(tmp_path, "a")]}, target, end, same)
