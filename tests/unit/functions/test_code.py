"""Archives of functions that requests bring, looked at before anything is written down."""

from io import BytesIO
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
