"""Objects over S3 by boto3: small ones, a large one, a long list; beside floors, and SeaweedFS where it is there."""

import hashlib
import os
import socket
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from client_and_server import BARE
from measuring import Row, alternate, home_with_server, resident_mb, started, wall_ms

from towpath.home import HomeFolder

ROOT = Path(__file__).parents[2]
BUCKET = "bench"
SMALL = b"x" * 4096
CLIENTS = 8  #: that put at the same time
LARGE = 1 << 30  #: bytes
TRANSFER = TransferConfig(multipart_chunksize=16 << 20, max_concurrency=4)
KEYS = 10_000  #: to be listed; putting them is what takes the time of this part
PAGE = 1000


def objects(repeat: int) -> Iterator[Row]:
    """Measure S3 as clients see it; the peer's figure of the same minute stands beside ours."""
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="towpath-bench-")))
        home, running = stack.enter_context(home_with_server())
        bare = stack.enter_context(started(BARE, dict(os.environ)))
        keys, server = HomeFolder(home).credentials(), HomeFolder(home).server()
        assert keys is not None and server is not None
        services = {"ours": (client(server.url, keys.access_key, keys.secret_key), running.pid)}
        services |= peer(stack, scratch)
        for s3, _ in services.values():
            s3.create_bucket(Bucket=BUCKET)
        each = {name: s3 for name, (s3, _) in services.items()}
        yield from small(repeat, scratch, int(bare.told), each)
        yield from large(scratch, each)
        yield from many(scratch, each)
        told = {name: resident_mb(pid) for name, (_, pid) in services.items()}
        yield row("S3 server, memory after all of this", told, resident_mb(bare.pid), "MB", "uvicorn, three lines")


def peer(stack: ExitStack, scratch: Path) -> dict[str, tuple[Any, int]]:
    """Return SeaweedFS with its process id where `scripts/lanes seaweedfs` has installed it."""
    sys.path.insert(0, str(ROOT))
    from tests import seaweedfs

    if not seaweedfs.WEED.exists():
        return {}
    folder = scratch / "seaweedfs"
    folder.mkdir()
    found = stack.enter_context(seaweedfs.seaweedfs(folder))
    return {"SeaweedFS": (client(found.url, seaweedfs.ACCESS_KEY, seaweedfs.SECRET_KEY), found.process.pid)}


def client(url: str, access_key: str, secret_key: str) -> Any:
    """Return a client for as many threads as are used here."""
    return boto3.client(
        "s3",
        endpoint_url=url,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        region_name="us-east-1",
        config=Config(max_pool_connections=2 * CLIENTS),
    )


def small(repeat: int, scratch: Path, port: int, services: dict[str, Any]) -> Iterator[Row]:
    """Measure puts and gets of 4 KiB, one after the other, and puts of several clients."""
    bare = HTTPConnection("127.0.0.1", port)
    bare.connect()
    bare.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    numbers = iter(range(1 << 40))

    def http() -> None:
        bare.request("POST", "/", SMALL)
        bare.getresponse().read()

    def durable() -> None:
        with (scratch / f"file-{next(numbers)}").open("wb") as file:
            file.write(SMALL)
            file.flush()
            os.fsync(file.fileno())

    def put(s3: Any) -> Callable[[], float]:
        return lambda: wall_ms(lambda: s3.put_object(Bucket=BUCKET, Key=f"small/{next(numbers)}", Body=SMALL))

    def get(s3: Any) -> Callable[[], float]:
        s3.put_object(Bucket=BUCKET, Key="get", Body=SMALL)
        return lambda: wall_ms(lambda: s3.get_object(Bucket=BUCKET, Key="get")["Body"].read())

    floor, *puts = alternate(20 * repeat, lambda: wall_ms(http) + wall_ms(durable), *map(put, services.values()))
    yield row("S3 put of 4 KiB", dict(zip(services, puts, strict=True)), floor, "ms", "bare HTTP + a synced file")
    floor, *gets = alternate(20 * repeat, lambda: wall_ms(http), *map(get, services.values()))
    yield row("S3 get of 4 KiB", dict(zip(services, gets, strict=True)), floor, "ms", "bare HTTP")

    def together(s3: Any) -> Callable[[], float]:
        def work() -> None:
            with ThreadPoolExecutor(CLIENTS) as pool:
                list(pool.map(lambda _: put(s3)(), range(40 * CLIENTS)))

        return lambda: wall_ms(work) / (40 * CLIENTS)

    floor, *each = alternate(3, lambda: wall_ms(durable), *map(together, services.values()))
    told = dict(zip(services, each, strict=True))
    yield row(f"S3 put of 4 KiB, {CLIENTS} clients, for each object", told, floor, "ms", "a synced file")


def large(scratch: Path, services: dict[str, Any]) -> Iterator[Row]:
    """Measure a file of 1 GiB up in parts and down in ranges."""
    source, target = scratch / "large", scratch / "back"
    block = os.urandom(1 << 20)
    with source.open("wb") as file:
        for _ in range(LARGE >> 20):
            file.write(block)
    size = f"{LARGE >> 30} GiB"

    def copied() -> None:
        with source.open("rb") as reading, target.open("wb") as writing:
            while chunk := reading.read(1 << 20):
                writing.write(chunk)
            writing.flush()
            os.fsync(writing.fileno())

    def digested() -> str:
        with source.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    floor = (wall_ms(copied) + wall_ms(digested)) / 1000
    told = {
        name: wall_ms(lambda s3=s3: s3.upload_file(str(source), BUCKET, "large", Config=TRANSFER)) / 1000
        for name, s3 in services.items()
    }
    yield row(f"S3 put of {size} in parts of 16 MiB", told, floor, "s", "a synced copy + its SHA-256")
    floor = wall_ms(copied) / 1000
    told = {
        name: wall_ms(lambda s3=s3: s3.download_file(BUCKET, "large", str(target), Config=TRANSFER)) / 1000
        for name, s3 in services.items()
    }
    yield row(f"S3 get of {size} in ranges of 16 MiB", told, floor, "s", "a synced copy")
    source.unlink()
    target.unlink()


def many(scratch: Path, services: dict[str, Any]) -> Iterator[Row]:
    """Measure a walk over all keys of a long list."""
    told = {}
    for name, s3 in services.items():
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(lambda number, s3=s3: s3.put_object(Bucket=BUCKET, Key=f"many/{number:08d}"), range(KEYS)))
        pages = s3.get_paginator("list_objects_v2")

        def walk(pages: Any = pages) -> None:
            found = sum(len(page["Contents"]) for page in pages.paginate(Bucket=BUCKET, Prefix="many/"))
            if found != KEYS:
                raise RuntimeError(f"{found} keys were listed; {KEYS} are there")

        told[name] = wall_ms(walk) / (KEYS // PAGE)
    floor = wall_ms(walk_of_rows(scratch)) / (KEYS // PAGE)
    yield row(f"S3 list of {KEYS:,} keys, a page of {PAGE:,}", told, floor, "ms", "the same page of bare SQLite")


def walk_of_rows(folder: Path) -> Callable[[], None]:
    """Return how as many keys are walked in a bare database."""
    database = sqlite3.connect(folder / "keys.db")
    database.execute("CREATE TABLE object (key TEXT PRIMARY KEY, size INTEGER, etag TEXT, at REAL) WITHOUT ROWID")
    rows = ((f"many/{number:08d}", 0, "d41d8cd98f00b204e9800998ecf8427e", 0.0) for number in range(KEYS))
    database.executemany("INSERT INTO object VALUES (?, ?, ?, ?)", rows)
    database.commit()

    def walk() -> None:
        after = ""
        while page := database.execute(
            "SELECT * FROM object WHERE key > ? ORDER BY key LIMIT ?", (after, PAGE)
        ).fetchall():
            after = page[-1][0]

    return walk


def row(what: str, told: dict[str, float], floor: float, unit: str, floor_is: str) -> Row:
    """Return our figure with the peer's beside it."""
    others = "; ".join(f"{name} {value:,.1f} {unit}" for name, value in told.items() if name != "ours")
    return Row(what=what, measured=told["ours"], floor=floor, unit=unit, floor_is=floor_is, beside=others)
