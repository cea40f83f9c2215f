"""How the driver and the model's process talk: frames of a word, a length and bytes, over a pair of sockets.

The driver never waits on a full socket while the model waits for its answer to be read: `Channel` writes and reads as
the sockets allow, in one thread. A frame costs a few microseconds where a request over HTTP costs a hundred.
"""

import select
import socket
import struct
from collections import deque
from typing import NamedTuple

from towpath.runner.folder import write_all

_HEADER = struct.Struct("!cQ")
_CHUNK = 1 << 18

PAYLOAD = b"P"  #: to the model
READY = b"R"  #: from it: it is loaded
ANSWER = b"A"
FAILED = b"F"  #: the handler failed over the payload; it may do better the next time
REFUSED = b"B"  #: the payload is not what the handler reads, and never will be


class Frame(NamedTuple):
    """One message."""

    word: bytes
    data: bytes


class Unpacker:
    """Makes frames of bytes as they come. Pure but for what it holds of a frame under way."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """Take bytes; return the frames that are whole now."""
        held = self._held
        held += data
        frames = []
        place = 0
        while len(held) - place >= _HEADER.size:
            word, size = _HEADER.unpack_from(held, place)
            begin = place + _HEADER.size
            if len(held) < begin + size:
                break
            frames.append(Frame(word, bytes(held[begin : begin + size])))
            place = begin + size
        del held[:place]
        return frames


def packed(frame: Frame) -> bytes:
    """Return a frame as it travels."""
    return _HEADER.pack(frame.word, len(frame.data)) + frame.data


class Channel:
    """The driver's end."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._end = end
        self._unpacker = Unpacker()
        self._received: deque[Frame] = deque()
        self._waiting: deque[memoryview] = deque()  #: what the socket did not take yet
        self._poll = select.poll()
        self._poll.register(end, select.POLLIN)
        self._ended = False

    def send(self, frame: Frame) -> None:
        """Send a frame as far as the socket takes it; `receive` sends the rest. Nothing happens at a closed end."""
        self._waiting.append(memoryview(packed(frame)))
        self._write()

    def receive(self, timeout_s: float | None) -> Frame | None:
        """Return the next frame; None when none came in time.

        Raises:
            EOFError: the other end is closed, and everything it had sent was returned before.
        """
        if self._received:
            return self._received.popleft()
        while not self._ended:
            self._poll.modify(self._end, select.POLLIN | (select.POLLOUT if self._waiting else 0))
            happened = self._poll.poll(None if timeout_s is None else max(0.0, timeout_s) * 1000)
            if not happened:
                return None
            _, events = happened[0]
            if events & select.POLLOUT:
                self._write()
            if events & ~select.POLLOUT:
                self._read()
                if self._received:
                    return self._received.popleft()
        raise EOFError

    def close(self) -> None:
        """Close this end; the model's process ends then by itself."""
        self._end.close()

    def _read(self) -> None:
        try:
            data = self._end.recv(_CHUNK)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        self._ended = not data
        self._received.extend(self._unpacker.feed(data))

    def _write(self) -> None:
        while self._waiting:
            view = self._waiting[0]
            try:
                sent = self._end.send(view)
            except BlockingIOError:
                return
            except (BrokenPipeError, ConnectionResetError):
                self._waiting.clear()  # `receive` tells of the end, behind what was answered before it
                return
            if sent == len(view):
                self._waiting.popleft()
            else:
                self._waiting[0] = view[sent:]


class ModelEnd:
    """The end of the model's process, which does one thing after the other."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(True)
        self._end = end
        self._unpacker = Unpacker()
        self._received: deque[Frame] = deque()

    def receive(self) -> Frame | None:
        """Wait for the next frame; None when the driver has closed its end."""
        while not self._received:
            data = self._end.recv(_CHUNK)
            if not data:
                return None
            self._received.extend(self._unpacker.feed(data))
        return self._received.popleft()

    def send(self, frame: Frame) -> None:
        """Send a frame, at once: the driver measures the time of an answer."""
        write_all(self._end.fileno(), packed(frame))
