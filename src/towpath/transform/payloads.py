"""Batching: from records to what the model is given at once. Pure, and never more than one payload in memory."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from towpath.transform.records import NEWLINE, Record, TooLarge

LARGEST_BATCH = 100 << 20  #: bytes of records put together where nothing limits them


class Payload(NamedTuple):
    """What the model is given at once."""

    first: int  #: line of its first record; 0 for a file that is not split
    last: int
    records: int  #: how many it holds
    body: bytes
    size: int = 0  #: bytes of the records as they were read
    sources: tuple[bytes, ...] = ()  #: the records as they were read, where the answer is joined with them


def payloads(
    records: Iterable[Record],
    *,
    many: bool,
    limit: int | None,
    filtered: Callable[[Record], bytes] | None = None,
    keep: bool = False,
) -> Iterator[Payload]:
    """Yield payloads that hold all records in order, each at most `limit` bytes.

    Args:
        many: put as many records into a payload as it can hold, with newlines between them.
        filtered: what the model gets of a record.
        keep: the records themselves are needed again; of them too a payload has at most `limit` bytes.
    Raises:
        TooLarge: what the model would get of a single record is larger.
    """
    most = LARGEST_BATCH if limit is None else limit
    held: list[Record] = []
    bodies: list[bytes] = []
    size = source_size = 0
    for record in records:
        body = record.data if filtered is None else filtered(record)
        if limit is not None and len(body) > limit:
            raise TooLarge(record.line or None, limit)
        adds = len(body) + bool(bodies)
        fits = size + adds <= most and (not keep or source_size + len(record.data) <= most)
        if bodies and not (many and fits):
            yield _payload(held, bodies, source_size, keep=keep)
            held, bodies, size, source_size, adds = [], [], 0, 0, len(body)
        held.append(record)
        bodies.append(body)
        size += adds
        source_size += len(record.data)
    if bodies:
        yield _payload(held, bodies, source_size, keep=keep)


def cut(chunks: Iterable[bytes], limit: int | None) -> Iterator[Payload]:
    """Yield payloads of as many lines as each can hold, without a look at single lines: thousands of times as quick.

    They are those that `payloads` makes of `records.lines`, but that where lines are empty a payload may hold fewer.

    Raises:
        TooLarge: a line is larger than `limit` bytes.
    """
    most = LARGEST_BATCH if limit is None else limit
    line = 1
    held = bytearray()
    for chunk in chunks:
        held += chunk
        while len(held) > most:
            end = held.rfind(NEWLINE, 0, most + 1)
            if end < 0 and limit is not None:
                raise TooLarge(line, limit)
            if end < 0 and (end := held.find(NEWLINE, most)) < 0:
                break  # a line that may be as long as it is
            yield from _block(bytes(held[:end]), line)
            line += held.count(NEWLINE, 0, end) + 1
            del held[: end + 1]
    yield from _block(bytes(held.removesuffix(NEWLINE)), line)


def _block(body: bytes, line: int) -> Iterator[Payload]:
    """Yield the payload of whole lines, the first of which stands on `line`; none where all are empty."""
    last = line + body.count(NEWLINE)
    if body and not body.startswith(NEWLINE) and not body.endswith(NEWLINE) and NEWLINE * 2 not in body:
        yield Payload(line, last, last - line + 1, body, len(body) - (last - line))
        return
    held = [Record(number, data) for number, data in enumerate(body.split(NEWLINE), line) if data]
    if held:
        yield _payload(held, [record.data for record in held], sum(len(record.data) for record in held), keep=False)


def _payload(held: list[Record], bodies: list[bytes], size: int, *, keep: bool) -> Payload:
    return Payload(
        first=held[0].line,
        last=held[-1].line,
        records=len(held),
        body=bodies[0] if len(bodies) == 1 else NEWLINE.join(bodies),
        size=size,
        sources=tuple(record.data for record in held) if keep else (),
    )


def assembled(answer: bytes, *, with_line: bool) -> bytes:
    """Return what an output file gets of an answer: with AssembleWith Line a newline is at its end, once."""
    return answer + NEWLINE if with_line and not answer.endswith(NEWLINE) else answer
