"""Asks the file system to lay folders apart from each other that have nothing to do with each other.

ext4 puts a new folder beside the one that it is made in, unless that one is marked as the top of hierarchies, as the
root is: then each goes to another part of the disk, with all that is made in it.

Sources: chattr(1), attribute T; ioctl_iflags(2); the Linux kernel's fs/ext4/ialloc.c, `find_group_orlov`.
"""

import errno
import fcntl
import os
import struct
from pathlib import Path

_GET_FLAGS, _SET_FLAGS = 0x80086601, 0x40086602  #: FS_IOC_GETFLAGS and FS_IOC_SETFLAGS where a `long` has 64 bits
_TOP_OF_HIERARCHIES = 0x00020000  #: FS_TOPDIR_FL
#: What file systems say that know no such attribute, and ext4 of a folder of somebody else's.
_NOT_HERE = {errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.EACCES, errno.EROFS}


def lay_apart(folder: Path) -> bool:
    """Have the folders that are made in a folder from now on laid apart; return whether the file system does that."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        flags = _flags(descriptor)
        if not flags & _TOP_OF_HIERARCHIES:
            fcntl.ioctl(descriptor, _SET_FLAGS, struct.pack("@q", flags | _TOP_OF_HIERARCHIES))
        return True
    except OSError as error:
        if error.errno not in _NOT_HERE:
            raise
        return False
    finally:
        os.close(descriptor)


def _flags(descriptor: int) -> int:
    answer = fcntl.ioctl(descriptor, _GET_FLAGS, bytes(8))
    return int(struct.unpack_from("@I", answer)[0])  # the kernel fills the first 32 bits, whatever the request says
