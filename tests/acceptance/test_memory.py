"""A server that stores and serves a large object holds little of it at a time."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from tests.acceptance.conftest import Machine

import towpath.aws

pytestmark = pytest.mark.faults

PIECE = bytes(range(256)) * 4096
PIECES = 1024  #: of 1 MiB
#: The aim of docs/benchmarks.md: all that the server holds resident, its imports (about 85 MB) among it.
MOST_MB = 128


class Pieces:
    """A file of 1 GiB that is nowhere: its pieces are all the same."""

    def __init__(self) -> None:
        self.at = 0

    def read(self, size: int = -1) -> bytes:
        left = PIECES * len(PIECE) - self.at
        size = left if size < 0 else min(size, left)
        start = self.at % len(PIECE)
        self.at += size
        return (PIECE * (size // len(PIECE) + 2))[start : start + size]


def most_resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def streamed(s3: Any, first: int, last: int) -> int:
    """Read a range and return how many of its pieces are as they were sent."""
    body = s3.get_object(Bucket="lake", Key="large", Range=f"bytes={first}-{last - 1}")["Body"]
    return sum(piece == PIECE for piece in body.iter_chunks(len(PIECE)))


def test_a_gibibyte_is_put_in_parts_and_served_to_four_at_once_in_little_memory(machine: Machine) -> None:
    server = machine.up()
    s3 = towpath.aws.session(machine.home.path).client("s3")
    s3.create_bucket(Bucket="lake")
    s3.upload_fileobj(Pieces(), "lake", "large", Config=TransferConfig(multipart_chunksize=16 << 20, max_concurrency=4))
    size = PIECES * len(PIECE)
    assert s3.head_object(Bucket="lake", Key="large")["ContentLength"] == size
    assert streamed(s3, 0, size) == PIECES
    quarter = size // 4
    with ThreadPoolExecutor(4) as readers:
        read = readers.map(lambda part: streamed(s3, part * quarter, (part + 1) * quarter), range(4))
        assert sum(read) == PIECES
    assert most_resident_mb(server.pid) <= MOST_MB
