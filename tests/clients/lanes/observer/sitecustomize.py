"""Notes each host outside this machine that a program under test turns to, and shortens its waits between two looks.

Loaded by each Python of a lane, behind `towpath exec`'s own, which has to load it. The programs are run as they are.
"""

import os
import socket
import sys
import time

TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any

LONGEST_WAIT_S = 0.5  #: the SDKs look every 5 to 30 seconds, which suits jobs that take hours
_NOTES = os.environ.get("LANE_FOREIGN_HOSTS", "")
_HERE = {"", "localhost", "::1", socket.gethostname()}


def _is_foreign(host: "str | bytes | None") -> bool:
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    return host is not None and host not in _HERE and not str(host).startswith("127.")


def _watch(event: str, arguments: "tuple[Any, ...]") -> None:
    if event == "socket.connect":
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None  # Unix sockets have names
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
    else:
        return
    if _is_foreign(host):
        notes = os.open(_NOTES, os.O_WRONLY | os.O_APPEND)
        os.write(notes, f"{event} {host}\n".encode())
        os.close(notes)


_sleep = time.sleep


def _sleep_at_most(seconds: float) -> None:
    _sleep(min(seconds, LONGEST_WAIT_S))


time.sleep = _sleep_at_most  # type: ignore[assignment] # its parameter has no name
if _NOTES:
    sys.addaudithook(_watch)
