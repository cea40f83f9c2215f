"""Folders that have nothing to do with each other are laid apart where the file system does that."""

import fcntl
import os
import struct
import subprocess
from pathlib import Path

from towpath.compute.process import ProcessBackend
from towpath.compute.process.placement import lay_apart

_GET_FLAGS = 0x80086601  # FS_IOC_GETFLAGS
_TOP = 0x00020000  # FS_TOPDIR_FL, the T of chattr


def _is_ext4(folder: Path) -> bool:
    asked = ["stat", "--file-system", "--format=%T", str(folder)]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip() == "ext2/ext3"


def _flags(folder: Path) -> int:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        return int(struct.unpack_from("@I", fcntl.ioctl(descriptor, _GET_FLAGS, bytes(8)))[0])
    finally:
        os.close(descriptor)


def test_attempts_are_laid_apart_on_ext4(tmp_path: Path) -> None:
    jobs = tmp_path / "home" / "jobs"
    for _ in range(2):  # a server that is started again finds it done
        ProcessBackend(jobs, home=tmp_path / "home").close()
    if _is_ext4(tmp_path):
        assert _flags(jobs) & _TOP
    assert lay_apart(jobs) == _is_ext4(tmp_path)


def test_what_else_a_folder_is_marked_as_stays(tmp_path: Path) -> None:
    if not _is_ext4(tmp_path):
        assert not lay_apart(tmp_path)
        return
    before = _flags(tmp_path)
    assert lay_apart(tmp_path)
    assert _flags(tmp_path) == before | _TOP


def test_other_file_systems_are_left_alone() -> None:
    assert not lay_apart(Path("/proc/self"))
