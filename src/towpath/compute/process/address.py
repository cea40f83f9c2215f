"""Gives the socket of a serving job a path that is short enough to connect to.

Socket addresses hold 107 bytes and homes may lie deep. So a link in a folder of this user below the temporary folder
leads to the job's run folder. Its name depends on the attempt's path alone: after a restart of the platform, and for
every other process of this host, the same path leads to the same job. A link that a cleaner of temporary files took is
made again at the next question.
"""

import hashlib
import os
import tempfile
from pathlib import Path

from towpath.kernel.errors import Unavailable
from towpath.runner.folder import ML

_SOCKET = "model.sock"
_RUN = "run"
_LONGEST = 107


def address_of(attempt: Path) -> str:
    """Return a path of at most 107 bytes to the socket of an attempt, which need not exist yet."""
    direct = attempt / ML / _RUN / _SOCKET
    if len(os.fsencode(direct)) <= _LONGEST:
        return str(direct)
    link = _link_of(attempt)
    _own_folder(link.parent)
    target = attempt / ML / _RUN
    if not link.is_symlink() or link.readlink() != target:
        fresh = link.with_name(f"{link.name}.{os.getpid()}")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(target)
        fresh.replace(link)
    return str(link / _SOCKET)


def forget_address(attempt: Path) -> None:
    """Remove the link of an attempt, if it had one."""
    _link_of(attempt).unlink(missing_ok=True)


def _link_of(attempt: Path) -> Path:
    name = hashlib.sha256(os.fsencode(attempt)).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"towpath-{os.getuid()}"
    if len(os.fsencode(folder)) > _LONGEST - 40:
        folder = Path(f"/tmp/towpath-{os.getuid()}")
    return folder / name


def _own_folder(folder: Path) -> None:
    """Make the folder of links, and refuse one that somebody else has made under its name."""
    folder.mkdir(mode=0o700, exist_ok=True)
    facts = folder.lstat()
    if facts.st_uid != os.getuid() or facts.st_mode & 0o022 or folder.is_symlink():
        raise Unavailable(f"{folder} is not a private folder of this user; remove it, it is made again")
