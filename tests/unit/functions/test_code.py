"""Archives of functions that requests bring, looked at before anything is written down."""

import tracemalloc
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest

from towpath.functions.code import _check, _checked_bytes
from towpath.kernel.errors import Invalid


def test_an_archive_of_a_later_version_of_zip_is_refused_in_words() -> None:
    written = BytesIO()
    with ZipFile(written, "w") as archive:
        archive.writestr("f.py", "x")
    data = bytearray(written.getvalue())
    data[data.index(b"PK\x01\x02") + 6] = 99  # version needed to extract
    with pytest.raises(Invalid, match="Could not unzip"):
        _checked_bytes(bytes(data))


@pytest.mark.parametrize("names", [("a", "a/b"), ("a/b", "a"), ("./a", "a//b"), ("x", "a", "a/")])
def test_a_file_and_a_folder_of_one_name_are_named_when_they_come_and_not_by_the_call(names: tuple[str, ...]) -> None:
    file = BytesIO()
    with ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, "")
    with pytest.raises(Invalid, match="'a' is a file in it and a folder, too"):
        _check(file)


@pytest.mark.parametrize("names", [("a", "a.b/c"), ("a/b", "ab"), ("a/", "a/b"), ("a", "b/a"), ("./", "a")])
def test_files_and_folders_of_names_that_only_look_alike_are_taken_and_can_be_unpacked(
    names: tuple[str, ...], tmp_path: Path
) -> None:
    file = BytesIO()
    with ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, "")
    _check(file)
    ZipFile(file).extractall(tmp_path)
    for name in names:
        assert (tmp_path / name).is_dir() if name.endswith("/") else (tmp_path / name).is_file()


def test_a_name_of_very_many_folders_is_looked_at_in_little_memory() -> None:
    file = BytesIO()
    with ZipFile(file, "w") as archive:
        archive.writestr("a/" * 8000 + "b", "")
    tracemalloc.start()
    try:
        _check(file)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20
