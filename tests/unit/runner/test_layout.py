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


def folder_named(name: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.mode = tarfile.DIRTYPE, 0o755
    return member


@pytest.mark.parametrize(
    ("members", "name"),
    [
        ([regular("a"), regular("a/b")], "a/b"),
        ([regular("a"), regular("a/b/c")], "a/b/c"),
        ([regular("a/b"), regular("a")], "a"),
        ([folder_named("a"), regular("a")], "a"),
        ([regular("a"), folder_named("a")], "a"),
        ([folder_named("a"), link("a", "b")], "a"),
        ([regular("b"), folder_named("a"), link("a", "b", tarfile.LNKTYPE)], "a"),
    ],
)
def test_a_file_and_a_folder_of_one_name_are_named_without_their_place_on_this_host(
    tmp_path: Path, target: Path, members: list[tarfile.TarInfo], name: str
) -> None:
    packed = archive(tmp_path / "a.tar.gz", *members)
    with pytest.raises(LayoutFailed) as failed:
        unpack(packed, target, "s3://b/a.tar.gz", nothing)
    assert str(failed.value) == (
        f"s3://b/a.tar.gz cannot be unpacked: {name!r} and what was unpacked before it are a file and a folder of one "
        "name. Pack it again with only one of the two, and upload it anew"
    )


def test_a_name_that_no_file_can_have_is_named_without_its_place_on_this_host(tmp_path: Path, target: Path) -> None:
    packed = archive(tmp_path / "a.tar.gz", regular("n" * 300))
    with pytest.raises(LayoutFailed, match=r"'n+' cannot be written: File name too long$"):
        unpack(packed, target, "s3://b/a.tar.gz", nothing)


@pytest.mark.parametrize("content", [b"not an archive", b""])
def test_what_is_no_archive_is_named(tmp_path: Path, target: Path, content: bytes) -> None:
    (tmp_path / "a.tar.gz").write_bytes(content)
    with pytest.raises(LayoutFailed) as failed:
        unpack(tmp_path / "a.tar.gz", target, "s3://b/a", nothing)
    assert str(failed.value) == (
        f"s3://b/a is no tar archive, compressed or not ({len(content)} bytes), or it was damaged. Pack it again with "
        "`tar -czf`, and upload it anew"
    )


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz"])
def test_an_archive_with_any_byte_changed_is_named_or_unpacked_as_it_was(tmp_path: Path, kind: str) -> None:
    whole = tmp_path / "whole"
    with tarfile.open(whole, f"w:{kind}") as file:  # type: ignore[call-overload]
        text = b" ".join(b"%d" % (number * number) for number in range(40_000))
        member = regular("data")
        member.size = len(text)
        file.addfile(member, io.BytesIO(text))
    content = whole.read_bytes()
    for place in range(0, len(content), 7001):
        damaged = tmp_path / "damaged"
        damaged.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        target = tmp_path / str(place)
        target.mkdir()
        try:
            unpack(damaged, target, "s3://b/a", nothing)
        except LayoutFailed as failed:
            assert "s3://b/a" in str(failed)
        else:
            assert (target / "data").read_bytes() == text, f"the byte at {place} of {len(content)}"


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
    with pytest.raises(LayoutFailed, match="s3://b/a/b cannot be laid out at /opt/ml/a/b: another input") as failed:
        lay_out(job, target, nothing, same)
    assert str(tmp_path) not in str(failed.value)


def test_a_missing_blob_is_named(tmp_path: Path, target: Path) -> None:
    entry = item(tmp_path, "a")
    Path(str(entry["source"])).unlink()
    with pytest.raises(
        LayoutFailed, match=r"s3://b/a cannot be laid out at /opt/ml/a: the bytes of version v are gone$"
    ):
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


def test_a_full_disk_is_no_fault_of_an_archive_whose_member_cannot_even_be_made(
    tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = archive(tmp_path / "a.tar.gz", folder_named("a"))

    def full(place: Path, **_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left on device", str(place))

    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(OSError, match="no space left"):
        unpack(packed, target, "s3://b/a.tar.gz", nothing)


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
