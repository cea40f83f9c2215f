"""The platform's side of a model server's Unix socket: connecting whatever the length of its path, and a ping.

Standard library only, like the rest of this package.
"""

import os
import socket
from pathlib import Path

ADDRESS_BYTES = 107  #: the longest path that the address of a Unix socket can hold


def connect(path: str, *, timeout_s: float | None = 2.0) -> socket.socket:
    """Return a socket connected to the Unix socket at `path`.

    Raises:
        OSError: nobody listens there.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        connection.settimeout(timeout_s)
        if len(os.fsencode(path)) <= ADDRESS_BYTES:
            connection.connect(path)
        else:
            # A longer path is reached through a descriptor of its folder, which has a short name below /proc.
            place = Path(path)
            folder = os.open(place.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                connection.connect(f"/proc/self/fd/{folder}/{place.name}")
            finally:
                os.close(folder)
    except OSError:
        connection.close()
        raise
    return connection


def ping(path: str, *, timeout_s: float = 2.0) -> bool:
    """Return whether the server at the socket `path` answers `GET /ping` with 200 in time."""
    try:
        with connect(path, timeout_s=timeout_s) as connection:
            connection.sendall(b"GET /ping HTTP/1.1\r\nHost: model\r\nConnection: close\r\n\r\n")
            return connection.recv(64).startswith(b"HTTP/1.1 200")
    except OSError:
        return False  # absent, refused or too slow: all of them mean that it cannot answer now
