"""Removes folders that jobs filled, however deep they are and whatever rights the job took away."""

import errno
import os
import stat
from pathlib import Path

#: What goes wrong when two remove the same folder: what was there is gone, or the other has moved something there.
_SOMEBODY_ELSE = {errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST}
_TRIES = 10_000  #: each removes something, unless somebody adds as fast


def remove_tree(folder: Path) -> None:
    """Remove a folder and everything in it; one that is not there is no error, nor is one that others remove too.

    Not `shutil.rmtree`, which recurses and builds paths: a job can nest folders deeper than either goes. Here folders
    within folders are first moved up to the top, so that no path is ever longer than two names.

    Raises:
        OSError: something in it cannot be removed.
    """
    for _ in range(_TRIES):
        try:
            os.rmdir(folder)  # noqa: PTH106 - most are empty or not there, and each attempt looks for several
        except FileNotFoundError:
            return
        except OSError:
            pass  # it is not empty, or of another kind, as is found out now
        else:
            return
        try:
            _remove(os.fspath(folder))
        except OSError as error:
            if error.errno not in _SOMEBODY_ELSE:
                raise
    raise OSError(errno.ENOTEMPTY, "Somebody keeps writing to it", str(folder))


# Without `Path` from here on: making one of each name takes longer than removing what it names.


def _remove(folder: str) -> None:
    _make_writable(folder)
    moved = 0
    while True:
        inner = [entry.path for entry in _folders_behind_files(folder)]
        if not inner:
            break
        for path in inner:
            _make_writable(path)
            for entry in _folders_behind_files(path):
                _make_writable(entry.path)  # a folder can be moved only by who may change it
                moved += 1
                os.rename(entry.path, _free_name(folder, moved))  # noqa: PTH104
            os.rmdir(path)  # noqa: PTH106
    os.rmdir(folder)  # noqa: PTH106


def _folders_behind_files(folder: str) -> list[os.DirEntry[str]]:
    """Remove what is no folder in a folder; return the folders."""
    with os.scandir(folder) as found:
        entries = list(found)
    inner = []
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            inner.append(entry)
        else:
            os.unlink(entry.path)  # noqa: PTH108
    return inner


def _free_name(folder: str, number: int) -> str:
    """Return a name that nothing in the folder has."""
    name = f"{folder}/.removing-{number}"
    while os.path.lexists(name):
        name += "-"
    return name


def _make_writable(folder: str) -> None:
    """Let the owner look into a folder and change it."""
    mode = os.lstat(folder).st_mode
    if stat.S_ISDIR(mode) and mode & 0o700 != 0o700:
        os.chmod(folder, 0o700)  # noqa: PTH101
