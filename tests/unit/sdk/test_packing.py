"""The code of a step: the same files always give the same bytes."""

import io
import os
import tarfile
from pathlib import Path

import pytest

from towpath.sdk import DefinitionError
from towpath.sdk.packing import LARGEST_BYTES, bundle


def project(folder: Path) -> Path:
    for name, text in {
        "train.py": "import model",
        "model/__init__.py": "x = 1",
        "model/net.py": "y = 2",
        "inference.py": "z = 3",
        ".git/HEAD": "ref",
        "__pycache__/train.pyc": "no",
        "model/__pycache__/net.pyc": "no",
        ".towpath/towpath.db": "no",
        ".venv/lib/x.py": "no",
        ".data/reviews.parquet": "no",
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def names(archive: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return tar.getnames()


def test_a_script_alone_is_a_bundle_of_one_file(tmp_path: Path) -> None:
    made = bundle(project(tmp_path), "train.py")
    assert made.script == "train.py"
    assert [file.name for file in made.files] == ["train.py"]


def test_a_script_in_a_folder_lies_at_the_root_of_its_bundle(tmp_path: Path) -> None:
    made = bundle(project(tmp_path), "model/net.py", include=("__init__.py",))
    assert made.script == "net.py"
    assert [file.name for file in made.files] == ["__init__.py", "net.py"]


def test_included_files_and_folders_come_along_without_what_is_ignored(tmp_path: Path) -> None:
    made = bundle(project(tmp_path), "train.py", include=("inference.py", "model"))
    assert [file.name for file in made.files] == ["inference.py", "model/__init__.py", "model/net.py", "train.py"]


def test_a_source_folder_is_packed_whole_without_what_is_ignored(tmp_path: Path) -> None:
    made = bundle(project(tmp_path), "train.py", source_dir=".")
    assert names(made.archive()) == ["inference.py", "model/__init__.py", "model/net.py", "train.py"]


def test_an_ignore_file_names_more_to_leave_out(tmp_path: Path) -> None:
    project(tmp_path)
    (tmp_path / ".towpathignore").write_text("# not needed\nmodel/\n*.md\n")
    (tmp_path / "notes.md").write_text("x")
    assert names(bundle(tmp_path, "train.py", source_dir=".").archive()) == ["inference.py", "train.py"]


def test_the_same_files_give_the_same_bytes_whatever_their_times_order_and_place(tmp_path: Path) -> None:
    first = bundle(project(tmp_path / "a"), "train.py", source_dir=".")
    other = project(tmp_path / "b" / "deeper")
    for path in other.rglob("*.py"):
        os.utime(path, (1, 1))
    second = bundle(other, "train.py", source_dir=".")
    assert first.digest == second.digest
    assert first.archive() == second.archive()


def test_a_changed_byte_name_or_mode_changes_the_digest(tmp_path: Path) -> None:
    before = bundle(project(tmp_path), "train.py", source_dir=".").digest
    (tmp_path / "train.py").chmod(0o755)
    executable = bundle(tmp_path, "train.py", source_dir=".").digest
    (tmp_path / "train.py").write_text("import model ")
    changed = bundle(tmp_path, "train.py", source_dir=".").digest
    (tmp_path / "inference.py").rename(tmp_path / "serve.py")
    renamed = bundle(tmp_path, "train.py", source_dir=".").digest
    assert len({before, executable, changed, renamed}) == 4


def test_a_linked_file_is_its_content_and_a_linked_folder_is_left_out(tmp_path: Path) -> None:
    project(tmp_path)
    (tmp_path / "again").symlink_to(tmp_path)
    (tmp_path / "linked.py").symlink_to(tmp_path / "inference.py")
    made = bundle(tmp_path, "train.py", source_dir=".")
    assert {file.name: file.content for file in made.files}["linked.py"] == b"z = 3"
    assert not [file.name for file in made.files if file.name.startswith("again")]


def test_a_missing_script_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match=r"no file 'tran\.py' in .*; there are inference\.py, train\.py"):
        bundle(project(tmp_path), "tran.py")
    with pytest.raises(DefinitionError, match="no folder 'src'"):
        bundle(tmp_path, "train.py", source_dir="src")


def test_code_outside_the_folder_is_refused(tmp_path: Path) -> None:
    project(tmp_path / "in")
    (tmp_path / "out.py").write_text("x")
    with pytest.raises(DefinitionError, match="lies outside"):
        bundle(tmp_path / "in", "train.py", include=("../out.py",))


def test_too_much_code_is_refused_with_the_largest_file(tmp_path: Path) -> None:
    project(tmp_path)
    with (tmp_path / "weights.bin").open("wb") as file:
        file.truncate(LARGEST_BYTES + 1)
    with pytest.raises(DefinitionError, match=r"largest file: weights\.bin"):
        bundle(tmp_path, "train.py", source_dir=".")
