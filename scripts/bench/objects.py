"""Objects over S3 by boto3: small ones, a large one, and by itself a long list; beside floors and SeaweedFS."""

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
from urllib.parse import urlsplit

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from client_and_server import BARE
from measuring import Row, alternate, home_with_server, most_resident_mb, started, wall_ms

from towpath.home import HomeFolder
from towpath.kernel.objects import ObjectVersion
from towpath.kernel.ports import Transaction
from towpath.objects import FolderObjects
from towpath.store import SqliteStore

ROOT = Path(__file__).parents[2]
BUCKET = "bench"
SMALL = b"x" * 4096
CLIENTS = 8  #: that put at the same time
LARGE = 1 << 30  #: bytes
TRANSFER = TransferConfig(multipart_chunksize=16 << 20, max_concurrency=4)
KEYS = 100_000  #: to be listed
TOGETHER = 5_000  #: rows that are written in one transaction
PAGE = 1000


def objects(repeat: int) -> Iterator[Row]:
    """Measure S3 as clients see it; the peer's figure of the same minute stands beside ours."""
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="towpath-bench-")))
        home, running = stack.enter_context(home_with_server())
        bare = stack.enter_context(started(BARE, dict(os.environ)))
        services = {"ours": (client_of(home), running.pid)}
        services |= peer(stack, scratch)
        for s3, _ in services.values():
            s3.create_bucket(Bucket=BUCKET)
        each = {name: s3 for name, (s3, _) in services.items()}
        yield from small(repeat, scratch, int(bare.told), each)
        yield from large(scratch, each)
        told = {name: most_resident_mb(pid) for name, (_, pid) in services.items()}
        yield row("S3 server, most memory until now", told, most_resident_mb(bare.pid), "MB", "uvicorn, three lines")


def lists(_: int) -> Iterator[Row]:
    """Measure the walk over a long list, beside the peer's; a server of its own holds the keys."""
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="towpath-bench-")))
        others = {name: s3 for name, (s3, _) in peer(stack, scratch).items()}
        for s3 in others.values():
            s3.create_bucket(Bucket=BUCKET)
        yield from many(scratch, others)


def peer(stack: ExitStack, scratch: Path) -> dict[str, tuple[Any, int]]:
    """Return SeaweedFS with its process id where `scripts/environments lanes seaweedfs` has installed it."""
    sys.path.insert(0, str(ROOT))
    from tests import seaweedfs

    if not seaweedfs.WEED.exists():
        return {}
    folder = scratch / "seaweedfs"
    folder.mkdir()
    found = stack.enter_context(seaweedfs.seaweedfs(folder))
    return {"SeaweedFS": (client(found.url, seaweedfs.ACCESS_KEY, seaweedfs.SECRET_KEY), found.process.pid)}


def client_of(home: Path) -> Any:
    """Return a client of the server that runs on a home."""
    keys, server = HomeFolder(home).credentials(), HomeFolder(home).server()
    assert keys is not None and server is not None
    return client(server.url, keys.access_key, keys.secret_key)


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
    numbers = iter(range(1 << 40))

    def http() -> None:
        bare.request("POST", "/", SMALL)
        bare.getresponse().read()

    def answered() -> float:
        bare.close()  # the server has closed it where the others took their time
        bare.connect()
        bare.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return wall_ms(http)

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

    floor, *puts = alternate(20 * repeat, lambda: answered() + wall_ms(durable), *map(put, services.values()))
    yield row("S3 put of 4 KiB", dict(zip(services, puts, strict=True)), floor, "ms", "bare HTTP + a synced file")
    floor, *gets = alternate(20 * repeat, answered, *map(get, services.values()))
    yield row("S3 get of 4 KiB", dict(zip(services, gets, strict=True)), floor, "ms", "bare HTTP")

    def together(one: Callable[[Any], Callable[[], float]]) -> Callable[[Any], Callable[[], float]]:
        def of(s3: Any) -> Callable[[], float]:
            ask = one(s3)

            def work() -> None:
                with ThreadPoolExecutor(CLIENTS) as pool:
                    list(pool.map(lambda _: ask(), range(40 * CLIENTS)))

            return lambda: wall_ms(work) / (40 * CLIENTS)

        return of

    floor, *puts = alternate(3, lambda: wall_ms(durable), *map(together(put), services.values()))
    what = f"S3 put of 4 KiB, {CLIENTS} clients, for each object"
    yield row(what, dict(zip(services, puts, strict=True)), floor, "ms", "a synced file")
    floor, *gets = alternate(3, answered, *map(together(get), services.values()))
    what = f"S3 get of 4 KiB, {CLIENTS} clients, for each object"
    yield row(what, dict(zip(services, gets, strict=True)), floor, "ms", "bare HTTP")


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

    def stream(s3: Any) -> None:
        got = sum(len(chunk) for chunk in s3.get_object(Bucket=BUCKET, Key="large")["Body"].iter_chunks(1 << 20))
        if got != LARGE:
            raise RuntimeError(f"{got} bytes came; the object has {LARGE}")

    def read() -> None:
        with source.open("rb") as file:
            while file.read(1 << 20):
                pass

    floor = wall_ms(read) / 1000
    told = {name: wall_ms(lambda s3=s3: stream(s3)) / 1000 for name, s3 in services.items()}
    yield row(f"S3 get of {size} as one stream", told, floor, "s", "reading the file")
    source.unlink()
    target.unlink()


def many(scratch: Path, others: dict[str, Any]) -> Iterator[Row]:
    """Measure a walk over all keys of a long list: of a server of ours on a home that holds them, and of the others.

    Our rows are written by the store's own repository, as copies of one empty object; the others' objects are put.
    """
    with home_with_server(filled) as (home, _):
        services = {"ours": client_of(home), **others}
        for s3 in others.values():
            put_many(s3)
        told = {name: wall_ms(lambda s3=s3: walk(s3)) / (KEYS // PAGE) for name, s3 in services.items()}
    floor = wall_ms(walk_of_rows(scratch)) / (KEYS // PAGE)
    yield row(f"S3 list of {KEYS:,} keys, a page of {PAGE:,}", told, floor, "ms", "the same page of bare SQLite")


def walk(s3: Any) -> None:
    """List all keys of the long list, and see that they are all there."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix="many/")
    found = sum(len(page["Contents"]) for page in pages)
    if found != KEYS:
        raise RuntimeError(f"{found} keys were listed; {KEYS} are there")


def filled(home: Path) -> None:
    """Make a home whose bucket holds as many keys as are listed."""
    folder = HomeFolder(home)
    folder.make()
    blob = FolderObjects(folder.objects).write([])
    store = SqliteStore(folder.database)

    def rows(first: int) -> Callable[[Transaction], None]:
        def put(transaction: Transaction) -> None:
            transaction.objects.put_all(
                [
                    ObjectVersion(
                        bucket=BUCKET,
                        key=f"many/{number:08d}",
                        version_id=f"{number:032x}",
                        size=blob.size,
                        sha256=blob.sha256,
                        etag=blob.etag,
                        blob=blob.blob,
                        created_at=transaction.now,
                        created_by="bench",
                    )
                    for number in range(first, first + TOGETHER)
                ]
            )

        return put

    try:
        store.write(lambda transaction: transaction.objects.create_bucket(BUCKET, transaction.now))
        for first in range(0, KEYS, TOGETHER):
            store.write(rows(first))
    finally:
        store.close()


def put_many(s3: Any) -> None:
    """Put as many empty objects as are listed, by signed requests without what else boto3 does for each."""
    url = urlsplit(s3.meta.endpoint_url)
    credentials = s3._request_signer._credentials

    def put(numbers: range) -> None:
        connection = HTTPConnection(url.netloc)
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number in numbers:
            request = AWSRequest("PUT", f"{s3.meta.endpoint_url}/{BUCKET}/many/{number:08d}", data=b"")
            S3SigV4Auth(credentials, "s3", "us-east-1").add_auth(request)
            connection.request("PUT", urlsplit(request.url).path, b"", dict(request.headers))
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise RuntimeError(f"a put was answered with {answer.status}")
        connection.close()

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(put, [range(first, KEYS, CLIENTS) for first in range(CLIENTS)]))


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
