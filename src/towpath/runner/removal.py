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
            _remove(folder)
        except OSError as error:
            if error.errno not in _SOMEBODY_ELSE:
                raise
        if not folder.exists():
            return
    raise OSError(errno.ENOTEMPTY, "Somebody keeps writing to it", str(folder))


def _remove(folder: Path) -> None:
    _make_writable(folder)
    moved = 0
    while True:
        inner: list[str] = []
        for entry in _entries(folder):
            if entry.is_dir(follow_symlinks=False):
                inner.append(entry.path)
            else:
                Path(entry.path).unlink()
        if not inner:
            break
        for path in inner:
            _make_writable(Path(path))
            for entry in _entries(Path(path)):
                if entry.is_dir(follow_symlinks=False):
                    _make_writable(Path(entry.path))  # a folder can be moved only by who may change it
                    moved += 1
                    Path(entry.path).rename(_free_name(folder, moved))
                else:
                    Path(entry.path).unlink()
            Path(path).rmdir()
    folder.rmdir()


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as found:
        return list(found)


def _free_name(folder: Path, number: int) -> Path:
    """Return a name that nothing in the folder has."""
    name = folder / f".removing-{number}"
    while name.exists() or name.is_symlink():
        name = name.with_name(f"{name.name}-")
    return name


def _make_writable(folder: Path) -> None:
    """Let the owner look into a folder and change it."""
    mode = folder.lstat().st_mode
    if stat.S_ISDIR(mode) and mode & 0o700 != 0o700:
        folder.chmod(0o700)
