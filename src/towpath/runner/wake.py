"""Tells the platform that an attempt has news, if it is listening."""

import contextlib
import os
import socket

SOCKET = "wake"
#: A full queue means that the platform is awake and reading; waiting this long for room delays nothing that matters.
_PATIENCE_S = 1.0


def address(folder: int, name: str) -> str:
    """Return an address for a socket in an open folder.

    Socket addresses hold 107 bytes, which homes in deep folders exceed; the name of a descriptor is always short.
    """
    return f"/proc/self/fd/{folder}/{name}"


def tell(folder: str, key: str) -> None:
    """Send an attempt's key to whoever listens in this folder.

    Nobody listening is no error: everything that there is to know lies on disk, and a platform that starts later
    looks there first.
    """
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender,
    ):
        descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            sender.settimeout(_PATIENCE_S)
            sender.sendto(key.encode(), address(descriptor, SOCKET))
        finally:
            os.close(descriptor)
