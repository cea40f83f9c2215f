"""The demo with its bytes in a bucket of another S3 service: of ours in another home, and SeaweedFS."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.conftest import EXAMPLE, Machine, clients
from tests.replays import Again
from tests.s3_server import s3_client

from tests import seaweedfs
from towpath.home import HomeFolder
from towpath.objects.location import S3Location
from towpath.objects.s3 import S3Objects

pytestmark = pytest.mark.timeout(600)
PREFIX = "teams/reviews"


@dataclass(frozen=True)
class Service:
    """An S3 service with a bucket `lake`."""

    url: str
    access_key: str
    secret_key: str

    @property
    def s3(self) -> Any:
        return s3_client(self.url, self.access_key, self.secret_key)


def on_towpath(folder: Path) -> Iterator[Service]:
    another = Machine(HomeFolder(folder / "another"))
    url = another.up().url
    try:
        keys = another.home.credentials()
        assert keys is not None
        yield Service(url, keys.access_key, keys.secret_key)
    finally:
        another.towpath("down", "--all")


def on_seaweedfs(folder: Path) -> Iterator[Service]:
    with seaweedfs.seaweedfs(folder) as server:
        yield Service(server.url, seaweedfs.ACCESS_KEY, seaweedfs.SECRET_KEY)


@pytest.fixture(
    params=[
        pytest.param(on_towpath, marks=pytest.mark.acceptance, id="towpath"),
        pytest.param(on_seaweedfs, marks=[pytest.mark.slow, pytest.mark.clients], id="seaweedfs"),
    ]
)
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, again: Again
) -> Iterator[Service]:
    """Return a service; what was decided by objects in its bucket is decided again before it goes."""
    for found in request.param(tmp_path_factory.mktemp("service")):
        found.s3.create_bucket(Bucket="lake")
        yield found
        location = S3Location(bucket="lake", prefix=PREFIX, endpoint=found.url)
        again.decide(tmp_path, S3Objects(found.s3, location, tmp_path_factory.mktemp("again"), cache_bytes=1 << 20))


def blobs_in(home: HomeFolder) -> set[str]:
    """Return the blobs that the store of a home refers to."""
    with closing(sqlite3.connect(home.database)) as connection:
        rows = connection.execute("SELECT blob FROM object_version WHERE blob IS NOT NULL")
        return {name for (name,) in rows}


def test_from_raw_data_to_an_endpoint_with_all_bytes_in_the_bucket(machine: Machine, service: Service) -> None:
    machine.home.make()
    keys = f'objects_access_key = "{service.access_key}"\nobjects_secret_key = "{service.secret_key}"\n'
    machine.home.settings_file.write_text(f'objects = "s3://absent?endpoint=http://127.0.0.1:9"\n{keys}')
    assert "does not answer" in machine.towpath("up", "--background", code=3)
    machine.home.settings_file.write_text(f'objects = "s3://lake/{PREFIX}?endpoint={service.url}"\n{keys}')
    told = machine.towpath("demo", str(EXAMPLE), "--quick")
    assert "reviews/1 is Approved, by admin" in told
    answers = [json.loads(line) for line in told.splitlines() if line.strip().startswith('{"label"')]
    assert [answer["label"] for answer in answers] == ["negative", "neutral", "positive"]

    pages = service.s3.get_paginator("list_objects_v2").paginate(Bucket="lake", Prefix=f"{PREFIX}/blobs/")
    stored = {item["Key"].rpartition("/")[2] for page in pages for item in page.get("Contents", [])}
    assert stored == blobs_in(machine.home)
    assert not (machine.home.objects / "blobs").exists()

    # Another process, without a copy of anything, puts the model on another endpoint and reads the data.
    machine.towpath("down", "--all")
    copies = list((machine.home.objects / "cache").glob("??/*"))
    assert copies, "what jobs read was fetched"
    for path in copies:
        path.unlink()
    machine.up()
    machine.towpath("deploy", "reviews/1", "--endpoint", "again")
    assert "positive" in machine.towpath("invoke", "again", "--text", "Love this dress! It fits perfectly.")
    assert machine.json("gc", "--dry-run")["Count"] == 0

    file = machine.home.path.parent / "backup.tar"
    assert f"are all in s3://lake/{PREFIX}, and stay there" in machine.towpath("backup", str(file))
    machine.towpath("down", "--all")
    restored = Machine(HomeFolder(machine.home.path.parent / "restored"))
    assert f"their bytes in s3://lake/{PREFIX}" in restored.towpath("restore", str(file))
    restored.up()
    again = clients(restored)["sagemaker"].get_waiter("endpoint_in_service")
    again.wait(EndpointName="again", WaiterConfig={"Delay": 1, "MaxAttempts": 100})
    assert "positive" in restored.towpath("invoke", "again", "--text", "Love this dress! It fits perfectly.")
    restored.towpath("down", "--all")
    machine.home.settings_file.write_text("")
    assert "Nothing moves them" in machine.towpath("up", "--background", code=3)
