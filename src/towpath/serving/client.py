"""The platform's side of a model server's Unix socket: connecting, and asking for a ping. Standard library only."""

import socket


def connect(path: str, *, timeout_s: float | None = 2.0) -> socket.socket:
    """Return a socket connected to the Unix socket at `path`; with `timeout_s=0` it does not block, now or later.

    Raises:
        OSError: nobody listens there; BlockingIOError: without blocking, its queue of connections is full.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        connection.settimeout(timeout_s)
        connection.connect(path)
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
