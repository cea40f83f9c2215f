"""The registry over HTTP among many versions, beside a bare HTTP answer plus the same rows in bare SQLite."""

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from client_and_server import BARE
from measuring import Row, alternate, home_with_server, started, wall_ms

from towpath import Client

GROUP = "bench"
PAGE = 100


def registry(repeat: int, *, count: int = 10_000) -> Iterator[Row]:
    """Measure create, describe, latest approved and a page of 100 among `count` versions of one group."""
    with (
        tempfile.TemporaryDirectory(prefix="towpath-bench-") as scratch,
        home_with_server() as (home, _),
        started(BARE, dict(os.environ)) as bare,
        closing(rows(Path(scratch), count)) as database,
    ):
        client = Client(home=home)
        client.call("SageMaker.CreateModelPackageGroup", {"ModelPackageGroupName": GROUP})
        approved = ""
        for number in range(count):
            arn = create(client)
            approved = arn if number == count // 2 else approved
        update = {"ModelPackageArn": approved, "ModelApprovalStatus": "Approved"}
        client.call("SageMaker.UpdateModelPackage", update)
        echo = HTTPConnection("127.0.0.1", int(bare.told))

        def http() -> None:
            echo.request("POST", "/", b"{}")
            echo.getresponse().read()

        def listed(size: int, **more: str) -> Any:
            asked = {"ModelPackageGroupName": GROUP, "MaxResults": size, "SortBy": "CreationTime", **more}
            return client.call("SageMaker.ListModelPackages", asked)["ModelPackageSummaryList"]

        if [each["ModelPackageArn"] for each in listed(1, ModelApprovalStatus="Approved")] != [approved]:
            raise RuntimeError("the latest approved version is not the one that was approved")
        what = {
            "create a version": (lambda: create(client), lambda: insert(database)),
            "latest approved version": (lambda: listed(1, ModelApprovalStatus="Approved"), lambda: latest(database)),
            "describe a version": (lambda: described(client, approved), lambda: one(database, count // 2 + 1)),
            f"page of {PAGE}": (lambda: listed(PAGE), lambda: page(database)),
        }
        for name, (ours, theirs) in what.items():

            def measured(action: Any = ours) -> float:
                return wall_ms(action)

            def least(action: Any = theirs) -> float:
                return wall_ms(http) + wall_ms(action)

            floor, each = alternate(10 * repeat, least, measured)
            yield Row(
                what=f"registry, {count:,} versions: {name}",
                measured=each,
                floor=floor,
                unit="ms",
                floor_is="bare HTTP + bare SQLite",
                target="3",
            )


def create(client: Client) -> str:
    """Create a version and return its ARN."""
    created = client.call("SageMaker.CreateModelPackage", {"ModelPackageGroupName": GROUP})
    return str(created["ModelPackageArn"])


def rows(folder: Path, count: int) -> sqlite3.Connection:
    """Return a bare database with as many versions."""
    database = sqlite3.connect(folder / "floor.db", isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        database.execute(f"PRAGMA {pragma}")
    database.execute("CREATE TABLE version (number INTEGER PRIMARY KEY, status TEXT, document TEXT)")
    database.execute("CREATE INDEX by_status ON version (status, number)")
    document = "x" * 500
    database.executemany(
        "INSERT INTO version (status, document) VALUES (?, ?)",
        [("Approved" if number == count // 2 else "Pending", document) for number in range(count)],
    )
    return database


def insert(database: sqlite3.Connection) -> None:
    """Add a version, durably."""
    database.execute("INSERT INTO version (status, document) VALUES ('Pending', ?)", ("x" * 500,))


def described(client: Client, arn: str) -> None:
    """Describe a version."""
    client.call("SageMaker.DescribeModelPackage", {"ModelPackageName": arn})


def one(database: sqlite3.Connection, number: int) -> None:
    """Read a version."""
    database.execute("SELECT * FROM version WHERE number = ?", (number,)).fetchall()


def latest(database: sqlite3.Connection) -> None:
    """Read the latest approved version."""
    database.execute("SELECT * FROM version WHERE status = 'Approved' ORDER BY number DESC LIMIT 1").fetchall()


def page(database: sqlite3.Connection) -> None:
    """Read a page of versions."""
    database.execute("SELECT * FROM version ORDER BY number DESC LIMIT ?", (PAGE,)).fetchall()
