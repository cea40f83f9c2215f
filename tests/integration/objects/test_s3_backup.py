"""A backup of a home whose bytes lie in a bucket holds all but those, and is restored only where they still are."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests.s3_server import ADA, Served, s3_client, served

from towpath.app import object_store
from towpath.backup import back_up, restore
from towpath.home import HomeFolder
from towpath.kernel.errors import Invalid
from towpath.kernel.objects import ObjectRef, ObjectVersion
from towpath.objects.location import location_of
from towpath.settings import load
from towpath.store import SqliteStore

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("home")) as running:
        s3_client(running.url).create_bucket(Bucket="lake")
        yield running


@pytest.fixture
def home(server: Served, tmp_path: Path) -> HomeFolder:
    """Return a home with two objects whose bytes lie in the bucket."""
    home = HomeFolder(tmp_path / "home")
    home.make()
    home.settings_file.write_text(
        f'objects = "s3://lake/{uuid4().hex}?endpoint={server.url}"\n'
        f'objects_access_key = "{ADA.access_key}"\nobjects_secret_key = "{ADA.secret_key}"\n'
    )
    store = SqliteStore(home.database)
    objects = object_store(home, load(home.settings_file), store)
    for key in ("a", "b"):
        blob = objects.write([key.encode() * 1000])
        version = ObjectVersion(
            bucket="models",
            key=key,
            version_id=key * 32,
            size=blob.size,
            sha256=blob.sha256,
            etag=blob.etag,
            blob=blob.blob,
            created_at=store.clock.now(),
            created_by="ada",
        )
        store.write(lambda transaction, version=version: transaction.objects.put(version))  # type: ignore[misc]
    store.close()
    return home


def remove_one(server: Served, home: HomeFolder) -> str:
    """Remove the bytes of one blob from the bucket, as somebody else might; return its name."""
    location = location_of(load(home.settings_file).objects)
    assert location is not None
    s3: Any = s3_client(server.url)
    found = s3.list_objects_v2(Bucket="lake", Prefix=location.prefix)["Contents"][0]["Key"]
    s3.delete_object(Bucket="lake", Key=found)
    return str(found.rpartition("/")[2])


def test_all_but_the_bytes_is_in_the_backup_and_a_restored_home_reads_them(home: HomeFolder, tmp_path: Path) -> None:
    done = back_up(home, tmp_path / "backup.tar")
    location = location_of(load(home.settings_file).objects)
    assert location is not None
    assert done.description.objects_lie == location.uri
    assert (done.description.objects, done.description.object_bytes) == (2, 2000)
    other = HomeFolder(tmp_path / "other")
    assert restore(done.file, other).description == done.description
    store = SqliteStore(other.database)
    objects = object_store(other, load(other.settings_file), store)
    version = store.read(lambda transaction: transaction.objects.get(ObjectRef("models", "b")))
    assert version is not None
    assert b"".join(objects.read(version)) == b"b" * 1000
    store.close()


def test_bytes_that_are_gone_from_the_bucket_are_named_and_nothing_is_restored(
    server: Served, home: HomeFolder, tmp_path: Path
) -> None:
    file = back_up(home, tmp_path / "backup.tar").file
    blob = remove_one(server, home)
    with pytest.raises(Invalid, match=f"The bytes of 1 of 2 blobs, {blob} for one, are not in s3://lake/"):
        restore(file, HomeFolder(tmp_path / "other"))
    assert not (tmp_path / "other").exists()
    with pytest.raises(Invalid, match=f"The bytes of blob {blob} are missing from s3://lake/"):
        back_up(home, tmp_path / "second.tar")
    assert not (tmp_path / "second.tar").exists()


def test_a_setting_that_leads_elsewhere_is_refused(
    home: HomeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = back_up(home, tmp_path / "backup.tar").file
    monkeypatch.setenv("TOWPATH_OBJECTS", "s3://another")
    with pytest.raises(Invalid, match=r"the setting objects says s3://another\. Set it"):
        restore(file, HomeFolder(tmp_path / "other"))
    assert not (tmp_path / "other").exists()
