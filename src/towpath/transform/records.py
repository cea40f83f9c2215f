"""Splitting: from the bytes of a file to its records. Pure, and never more than a record and a chunk in memory."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

NEWLINE = b"\n"


class TooLarge(ValueError):
    """A record is larger than a payload may be."""

    def __init__(self, line: int | None, limit: int) -> None:
        super().__init__(f"the record is larger than MaxPayloadInMB allows, which is {limit} bytes")
        self.line = line


class Record(NamedTuple):
    """One record of a file."""

    line: int  #: on which it stands, from 1 on; 0 for a file that is not split
    data: bytes  #: without the newline at its end


def lines(chunks: Iterable[bytes], limit: int | None) -> Iterator[Record]:
    """Yield the lines of a file that are not empty; an empty line is no record, and counts as a line.

    Args:
        limit: bytes of the longest record, None: any.
    Raises:
        TooLarge: a line is longer; it is not read to its end.
    """
    number = 1
    begun: list[bytes] = []  # what earlier chunks hold of the line under way
    size = 0
    for chunk in chunks:
        parts = chunk.split(NEWLINE)
        if len(parts) > 1 and begun:
            parts[0] = b"".join((*begun, parts[0]))
            begun, size = [], 0
        for data in parts[:-1]:
            if data:
                yield _checked(Record(number, data), limit)
            number += 1
        if parts[-1]:
            begun.append(parts[-1])
            size += len(parts[-1])
            if limit is not None and size > limit:
                raise TooLarge(number, limit)
    if begun:
        yield _checked(Record(number, b"".join(begun)), limit)


def whole(chunks: Iterable[bytes], limit: int | None) -> Iterator[Record]:
    """Yield a file as its one record, nothing for one that is empty.

    Raises:
        TooLarge: it is larger than `limit` bytes; it is not read to its end.
    """
    held: list[bytes] = []
    size = 0
    for chunk in chunks:
        held.append(chunk)
        size += len(chunk)
        if limit is not None and size > limit:
            raise TooLarge(None, limit)
    if size:
        yield Record(0, b"".join(held))


def _checked(record: Record, limit: int | None) -> Record:
    if limit is not None and len(record.data) > limit:
        raise TooLarge(record.line, limit)
    return record
