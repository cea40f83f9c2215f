import hashlib
import os
import socket
import tarfile
from pathlib import Path
from typing import Any

import pytest

from towpath.runner.contents import resolve_inside
from towpath.runner.folder import StagingFailed
from towpath.runner.outputs import stage
from towpath.runner.removal import remove_tree


@pytest.fixture
def ml(tmp_path: Path) -> Path:
    folder = tmp_path / "ml"
    folder.mkdir()
    return folder


def output(path: str = "out", mode: str = "files", key: str = "prefix") -> dict[str, Any]:
    return {"name": "o", "path": path, "bucket": "b", "key": key, "mode": mode}


def quiet(sentence: str) -> None:
    pytest.fail(f"unexpected: {sentence}")


def test_keys_are_the_prefix_and_the_relative_path(ml: Path, tmp_path: Path) -> None:
    (ml / "out/deep").mkdir(parents=True)
    (ml / "out/deep/a").write_text("a")
    assert [item["key"] for item in stage([output()], [("", ml)], tmp_path / "s1", quiet)] == ["prefix/deep/a"]
    assert [item["key"] for item in stage([output(key="p/")], [("", ml)], tmp_path / "s2", quiet)] == ["p/deep/a"]
    assert [item["key"] for item in stage([output(key="")], [("", ml)], tmp_path / "s3", quiet)] == ["deep/a"]


def test_a_file_where_a_folder_was_announced_is_kept(ml: Path, tmp_path: Path) -> None:
    (ml / "out").write_text("x")
    assert [item["key"] for item in stage([output()], [("", ml)], tmp_path / "s", quiet)] == ["prefix/out"]


def test_a_folder_that_was_never_made_gives_no_files_but_an_empty_archive_and_a_word(ml: Path, tmp_path: Path) -> None:
    said: list[str] = []
    assert stage([output()], [("", ml)], tmp_path / "s1", said.append) == []
    assert said == ["output o: nothing was written to /opt/ml/out, so s3://b/prefix gets no files"]
    assert stage([{**output(), "on_failure": True}], [("", ml)], tmp_path / "s2", quiet) == []
    (staged,) = stage([output(mode="archive", key="m.tar.gz")], [("", ml)], tmp_path / "s3", said.append)
    with tarfile.open(staged["path"]) as archive:
        assert archive.getnames() == []


def test_an_archive_keeps_the_right_to_execute_and_nothing_else_of_the_host(ml: Path, tmp_path: Path) -> None:
    (ml / "out").mkdir()
    (ml / "out/run.sh").write_text("x")
    (ml / "out/run.sh").chmod(0o775)
    (ml / "out/data").write_text("y")
    (staged,) = stage([output(mode="archive", key="m.tar.gz")], [("", ml)], tmp_path / "s", quiet)
    with tarfile.open(staged["path"]) as archive:
        members = {member.name: member for member in archive}
    assert members["run.sh"].mode == 0o755
    assert members["data"].mode == 0o644
    assert {(member.uid, member.gid, member.uname, member.mtime) for member in members.values()} == {(0, 0, "", 0)}
    content = Path(staged["path"]).read_bytes()
    assert staged["sha256"] == hashlib.sha256(content).hexdigest()
    assert staged["size"] == len(content)


def test_what_is_neither_file_nor_folder_is_left_out_with_a_word(ml: Path, tmp_path: Path) -> None:
    (ml / "out").mkdir()
    os.mkfifo(ml / "out/pipe")
    (ml / "out").joinpath(os.fsdecode(b"bad\xff")).write_text("x")
    said: list[str] = []
    assert stage([output()], [("", ml)], tmp_path / "s", said.append) == []
    assert len(said) == 2
    assert any("pipe is neither file nor folder" in sentence for sentence in said)


def test_the_output_folder_itself_may_not_be_a_link_out(ml: Path, tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/key").write_text("secret")
    (ml / "out").symlink_to(tmp_path / "secrets")
    assert stage([output()], [("", ml)], tmp_path / "s", quiet) == []


@pytest.mark.parametrize(
    ("target", "inside"),
    [
        ("real", "real"),
        ("/opt/ml/real", "real"),
        ("./deep/../real", "real"),
        ("/opt/ml", ""),
        ("/opt/mlflow", None),
        ("/etc/passwd", None),
        ("../outside", None),
        ("/opt/ml/../outside", None),
        ("link", None),
    ],
)
def test_links_are_followed_as_the_job_sees_them(ml: Path, target: str, inside: str | None) -> None:
    (ml / "link").symlink_to(target)
    assert resolve_inside(ml, "link") == (None if inside is None else ml / inside)


def nested(folder: Path, depth: int, name: str) -> None:
    """Make folders in folders, deeper than a path can say, with a file at the bottom."""
    folder.mkdir(parents=True, exist_ok=True)
    here = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=here)
        inner = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(os.open("bottom", os.O_WRONLY | os.O_CREAT, dir_fd=here))
    os.close(here)


@pytest.mark.parametrize("mode", ["files", "archive"])
def test_folders_nested_deeper_than_a_key_can_tell_fail_with_their_name(ml: Path, tmp_path: Path, mode: str) -> None:
    nested(ml / "out", 3000, "d")
    with pytest.raises(StagingFailed, match=r"output o: 'd/d/d/.*…' lies too deep"):
        stage([output(mode=mode)], [("", ml)], tmp_path / "s", quiet)
    remove_tree(ml)


def test_a_key_longer_than_s3_takes_fails_with_its_length(ml: Path, tmp_path: Path) -> None:
    nested(ml / "out", 4, "ä" * 120)
    with pytest.raises(StagingFailed, match="a key of 1071 bytes; S3 takes at most 1024"):
        stage([output(key="k" * 100)], [("", ml)], tmp_path / "s", quiet)


def test_files_with_odd_names_keep_them(ml: Path, tmp_path: Path) -> None:
    (ml / "out").mkdir()
    names = ["a\nb", " ", "..x", "%2e", "é\u202e", "x" * 255, "\x01", "a\\b"]
    for name in names:
        (ml / "out" / name).write_text(name)
    staged = stage([output(key="")], [("", ml)], tmp_path / "s", quiet)
    assert sorted(item["key"] for item in staged) == sorted(names)
    assert all(Path(item["path"]).read_text() == item["key"] for item in staged)


def test_pipes_sockets_and_devices_are_left_out_and_said_so(ml: Path, tmp_path: Path) -> None:
    (ml / "out").mkdir()
    os.mkfifo(ml / "out/pipe")
    here = Path.cwd()
    with socket.socket(socket.AF_UNIX) as listener:
        os.chdir(ml / "out")  # the address of a socket is short
        listener.bind("socket")
        os.chdir(here)
    said: list[str] = []
    assert stage([output()], [("", ml)], tmp_path / "s", said.append) == []
    assert len(said) == 2
    assert all("neither file nor folder" in sentence for sentence in said)


@pytest.mark.slow
def test_very_many_files_are_all_staged(ml: Path, tmp_path: Path) -> None:
    (ml / "out").mkdir()
    for number in range(3000):
        (ml / f"out/{number}").write_text(str(number))
    staged = stage([output()], [("", ml)], tmp_path / "s", quiet)
    assert len(staged) == 3000
    assert all(Path(item["path"]).read_text() == item["key"].removeprefix("prefix/") for item in staged)


def test_a_file_of_one_host_where_another_has_a_folder_is_left_out_and_told(ml: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (ml / "out/deep").mkdir(parents=True)
    (ml / "out/deep/a").write_text("a")
    (ml / "out/flat").write_text("flat")
    (other / "out/flat").mkdir(parents=True)
    (other / "out/flat/b").write_text("b")
    (other / "out/deep").write_text("a file")
    said: list[str] = []
    told = stage([output()], [("algo-1", ml), ("algo-2", other)], tmp_path / "s", said.append)
    assert [item["key"] for item in told] == ["prefix/deep/a", "prefix/flat"]
    assert said == [
        "output o: deep of algo-2 was left out, algo-1 wrote another",
        "output o: flat of algo-2 was left out, algo-1 wrote another",
        "output o: flat/b of algo-2 was left out, algo-1 wrote another",
    ]
