"""How the driver and the model's process talk: frames of a word, a length and bytes, over a pair of sockets.

The driver never waits on a full socket while the model waits for its answer to be read: `Channel` writes and reads as
the sockets allow, in one thread. A frame costs a few microseconds where a request over HTTP costs a hundred. Most of
that is for waking the other end, so that both ends let small frames wait for each other, for a moment.
"""

import mmap
import select
import socket
import struct
import time
from collections import deque
from typing import NamedTuple

from towpath.runner.folder import write_all

_HEADER = struct.Struct("!cQ")
_COUNT = struct.Struct("Q")
_CHUNK = 1 << 18
_TOGETHER_BYTES = 1 << 15  #: frames wait for others until they are so large together,
_TOGETHER = 16  #: or so many (payloads),
_TOGETHER_S = 0.001  #: or that old (answers)

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


class Counter:
    """A number that the model's process counts up and the driver reads, also when the process is gone."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _COUNT.size)  # shared with forks

    def set(self, value: int) -> None:
        """Count to this number."""
        _COUNT.pack_into(self._memory, 0, value)

    def get(self) -> int:
        """Return the number."""
        found: int = _COUNT.unpack_from(self._memory, 0)[0]
        return found


class Channel:
    """The driver's end."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._end = end
        self._unpacker = Unpacker()
        self._received: deque[Frame] = deque()
        self._waiting: deque[bytes | memoryview] = deque()  #: what was not sent yet
        self._waiting_bytes = 0
        self._poll = select.poll()
        self._poll.register(end, select.POLLIN)
        self._ended = False

    def send(self, frame: Frame) -> None:
        """Send a frame, soon: with others, or when `receive` has to wait. Nothing happens at a closed end."""
        data = packed(frame)
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        if self._waiting_bytes >= _TOGETHER_BYTES or len(self._waiting) >= _TOGETHER:
            self._write()

    def receive(self, timeout_s: float | None) -> Frame | None:
        """Return the next frame; None when none came in time.

        Raises:
            EOFError: the other end is closed, and everything it had sent was returned before.
        """
        if self._received:
            return self._received.popleft()
        self._write()
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
        if len(self._waiting) > 1 and self._waiting_bytes < _CHUNK:
            self._waiting = deque([b"".join(self._waiting)])
        while self._waiting:
            data = self._waiting[0]
            try:
                sent = self._end.send(data)
            except BlockingIOError:
                return
            except (BrokenPipeError, ConnectionResetError):
                self._waiting.clear()  # `receive` tells of the end, behind what was answered before it
                self._waiting_bytes = 0
                return
            self._waiting_bytes -= sent
            if sent == len(data):
                self._waiting.popleft()
            else:
                self._waiting[0] = memoryview(data)[sent:]


class ModelEnd:
    """The end of the model's process, which does one thing after the other."""

    def __init__(self, end: socket.socket, answered: Counter) -> None:
        """`answered` tells the driver how many frames were sent, those among them that wait for others."""
        end.setblocking(True)
        self._end = end
        self._answered = answered
        self._count = 0
        self._unpacker = Unpacker()
        self._received: deque[Frame] = deque()
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._since = 0.0  #: when frames were sent last, on the monotonic clock

    def receive(self) -> Frame | None:
        """Wait for the next frame; None when the driver has closed its end.

        What waits is sent before, unless there is a next frame already and the last ones went off a moment ago.
        """
        if self._waiting and (not self._received or time.monotonic() - self._since >= _TOGETHER_S):
            self._flush()
        while not self._received:
            data = self._end.recv(_CHUNK)
            if not data:
                return None
            self._received.extend(self._unpacker.feed(data))
        return self._received.popleft()

    def send(self, frame: Frame) -> None:
        """Send a frame, soon: with others, or when `receive` is called and has to wait or a moment has gone by."""
        data = packed(frame)
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        self._count += 1
        self._answered.set(self._count)
        if self._waiting_bytes >= _TOGETHER_BYTES:
            self._flush()

    def _flush(self) -> None:
        write_all(self._end.fileno(), b"".join(self._waiting))
        self._waiting.clear()
        self._waiting_bytes = 0
        self._since = time.monotonic()
