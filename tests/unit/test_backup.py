"""A backup holds what the home held at one moment, or there is none; a restored home is whole, or there is none."""

import io
import json
import sqlite3
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest

from towpath.backup import back_up, restore, taking
from towpath.home import HomeFolder
from towpath.kernel.errors import Conflict, Invalid
from towpath.kernel.objects import ObjectRef, ObjectVersion
from towpath.kernel.principals import AccessKey
from towpath.objects import FolderObjects
from towpath.store import SqliteStore

SECRET = "s3cr3t-" + "x" * 40


class Home:
    """A home in use."""

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.folder = HomeFolder(path)
        self.store = SqliteStore(self.folder.database)
        self.objects = FolderObjects(self.folder.objects)

    def put(self, key: str, body: bytes) -> ObjectVersion:
        blob = self.objects.write([body])
        version = ObjectVersion(
            bucket="lake",
            key=key,
            version_id=uuid4().hex,
            size=blob.size,
            sha256=blob.sha256,
            etag=blob.etag,
            blob=blob.blob,
            created_at=self.store.clock.now(),
            created_by="ada",
        )
        self.store.write(lambda transaction: transaction.objects.put(version))
        return version

    def read(self, key: str) -> bytes:
        found = self.store.read(lambda transaction: transaction.objects.get(ObjectRef("lake", key)))
        assert found is not None
        return b"".join(self.objects.read(found))

    def blob(self, version: ObjectVersion) -> Path:
        return Path(self.objects.path(version))


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path / "home")
    key = AccessKey(principal="admin", access_key="AK", secret_key=SECRET, created_at=made.store.clock.now())
    made.store.write(lambda transaction: transaction.keys.add(key))
    made.folder.credentials_file.write_text(SECRET)
    made.folder.settings_file.write_text('log_level = "DEBUG"\n')
    made.put("a", b"alpha")
    made.put("b", b"beta")
    yield made
    made.store.close()


@pytest.fixture
def elsewhere(tmp_path: Path) -> Callable[[Path], Home]:
    """Restore a backup, and open the home that it makes."""

    def open_restored(file: Path) -> Home:
        folder = HomeFolder(tmp_path / "elsewhere" / "home")
        restore(file, folder)
        return Home(folder.path)

    return open_restored


def rewritten(file: Path, change: Callable[[tarfile.TarInfo, bytes], tuple[str, bytes] | None]) -> Path:
    """Return a copy of a backup whose members went through `change`; None leaves one out."""
    other = file.with_name("other.tar")
    with tarfile.open(file) as source, tarfile.open(other, "w") as target:
        for member in source:
            stream = source.extractfile(member)
            assert stream is not None
            changed = change(member, stream.read())
            if changed is not None:
                member.name, data = changed
                member.size = len(data)
                target.addfile(member, io.BytesIO(data))
    return other


def test_a_restored_home_holds_what_the_home_held(
    home: Home, tmp_path: Path, elsewhere: Callable[[Path], Home]
) -> None:
    done = back_up(home.folder, tmp_path / "b.tar")
    assert (done.description.objects, done.description.object_bytes) == (2, 9)
    assert done.size == (tmp_path / "b.tar").stat().st_size
    assert (tmp_path / "b.tar").stat().st_mode & 0o777 == 0o600
    home.put("a", b"later")
    found = elsewhere(tmp_path / "b.tar")
    assert (found.read("a"), found.read("b")) == (b"alpha", b"beta")
    assert found.store.home_id == home.store.home_id
    assert found.folder.settings_file.read_text() == 'log_level = "DEBUG"\n'
    assert not list(home.folder.path.glob(".backup-*"))
    found.store.close()


def test_keys_are_left_out_unless_they_are_asked_for(
    home: Home, tmp_path: Path, elsewhere: Callable[[Path], Home]
) -> None:
    back_up(home.folder, tmp_path / "b.tar")
    assert SECRET.encode() not in (tmp_path / "b.tar").read_bytes()
    found = elsewhere(tmp_path / "b.tar")
    assert found.store.read(lambda transaction: transaction.keys.all()) == []
    assert not found.folder.credentials_file.exists()
    found.store.close()


def test_keys_that_are_asked_for_come_along(home: Home, tmp_path: Path, elsewhere: Callable[[Path], Home]) -> None:
    back_up(home.folder, tmp_path / "b.tar", with_keys=True)
    found = elsewhere(tmp_path / "b.tar")
    assert found.folder.credentials_file.read_text() == SECRET
    assert found.folder.credentials_file.stat().st_mode & 0o777 == 0o600
    (key,) = found.store.read(lambda transaction: transaction.keys.of("admin"))
    assert key.secret_key == SECRET
    found.store.close()


def test_objects_that_go_while_a_backup_is_taken_are_not_in_it(
    home: Home, tmp_path: Path, elsewhere: Callable[[Path], Home], monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = home.put("c", b"gamma")
    held = taking._hold
    done = False

    def meanwhile(blob: Path, to: Path) -> bool:
        """Delete an object and add another, behind the first snapshot."""
        nonlocal done
        if not done:
            done = True
            home.store.write(lambda transaction: transaction.objects.remove("lake", "c", gone.version_id))
            home.objects.discard(gone.blob or "")
            home.put("d", b"delta")
        return held(blob, to)

    monkeypatch.setattr(taking, "_hold", meanwhile)
    assert back_up(home.folder, tmp_path / "b.tar").description.objects == 3
    found = elsewhere(tmp_path / "b.tar")
    assert [found.read(key) for key in "abd"] == [b"alpha", b"beta", b"delta"]
    found.store.close()


def test_what_is_deleted_after_it_was_held_on_to_is_still_in_the_backup(
    home: Home, tmp_path: Path, elsewhere: Callable[[Path], Home], monkeypatch: pytest.MonkeyPatch
) -> None:
    version = home.put("c", b"gamma")
    write = taking._write

    def after_deletion(*arguments: object) -> None:
        home.store.write(lambda transaction: transaction.objects.remove("lake", "c", version.version_id))
        home.objects.discard(version.blob or "")
        write(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(taking, "_write", after_deletion)
    back_up(home.folder, tmp_path / "b.tar")
    found = elsewhere(tmp_path / "b.tar")
    assert found.read("c") == b"gamma"
    found.store.close()


def test_an_object_whose_bytes_are_missing_is_named_and_there_is_no_backup(home: Home, tmp_path: Path) -> None:
    version = home.put("c", b"gamma")
    home.blob(version).unlink()
    with pytest.raises(Invalid, match=f"blob {version.blob} are missing"):
        back_up(home.folder, tmp_path / "b.tar")
    assert list(tmp_path.glob("b.tar*")) == []
    assert not list(home.folder.path.glob(".backup-*"))


def test_an_object_that_is_damaged_on_the_disk_is_named_and_there_is_no_backup(home: Home, tmp_path: Path) -> None:
    version = home.put("c", b"gamma")
    home.blob(version).chmod(0o600)
    home.blob(version).write_bytes(b"gamme")
    with pytest.raises(Invalid, match=f"{version.blob}.*is damaged"):
        back_up(home.folder, tmp_path / "b.tar")
    assert list(tmp_path.glob("b.tar*")) == []


def test_a_file_that_is_there_is_not_overwritten(home: Home, tmp_path: Path) -> None:
    (tmp_path / "b.tar").write_text("last week's")
    with pytest.raises(Conflict, match="exists already"):
        back_up(home.folder, tmp_path / "b.tar")
    assert (tmp_path / "b.tar").read_text() == "last week's"


def test_a_folder_that_is_no_home_is_refused_and_left_alone(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="holds no home"):
        back_up(HomeFolder(tmp_path / "nothing"), tmp_path / "b.tar")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_backup_left_goes_with_the_next_one(home: Home, tmp_path: Path) -> None:
    left = home.folder.path / ".backup-dead"
    (left / "blobs").mkdir(parents=True)
    back_up(home.folder, tmp_path / "b.tar")
    assert not left.exists()


def test_a_home_with_anything_in_it_is_not_restored_into(home: Home, tmp_path: Path) -> None:
    back_up(home.folder, tmp_path / "b.tar")
    with pytest.raises(Conflict, match="is not empty"):
        restore(tmp_path / "b.tar", home.folder)
    assert home.read("a") == b"alpha"
    (tmp_path / "empty").mkdir()
    restore(tmp_path / "b.tar", HomeFolder(tmp_path / "empty"))


BREAKS: dict[str, tuple[Callable[[str, bytes], tuple[str, bytes] | None], str]] = {
    "a changed object": (lambda name, data: (name, data.replace(b"alpha", b"alphb")), "is not what its digest says"),
    "a missing object": (lambda name, data: None if data == b"alpha" else (name, data), "is not what its digest says"),
    "no digests": (lambda name, data: None if name == "SHA256SUMS" else (name, data), "its end is missing"),
    "a way out": (
        lambda name, data: ("objects/../../../evil", data) if data == b"alpha" else (name, data),
        "is no backup of Towpath",
    ),
    "another file": (lambda name, data: ("evil" if data == b"alpha" else name, data), "is no backup of Towpath"),
    "a newer format": (
        lambda name, data: (name, data.replace(b'"format": 1', b'"format": 2') if name.endswith(".json") else data),
        "format 2, written by the newer release",
    ),
    "no description": (lambda name, data: None if name.endswith(".json") else (name, data), "begins with 'towpath.db'"),
    "nonsense": (lambda name, data: (name, b"[" if name.endswith(".json") else data), "cannot be read"),
}


@pytest.mark.parametrize("what", BREAKS)
def test_a_backup_that_is_not_what_was_written_restores_nothing(home: Home, tmp_path: Path, what: str) -> None:
    back_up(home.folder, tmp_path / "b.tar")
    change, message = BREAKS[what]
    other = rewritten(tmp_path / "b.tar", lambda member, data: change(member.name, data))
    with pytest.raises(Invalid, match=message):
        restore(other, HomeFolder(tmp_path / "new" / "home"))
    assert list((tmp_path / "new").iterdir()) == []
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("length", [0, 100, 700, 5000, -600])
def test_a_backup_that_was_cut_off_restores_nothing(home: Home, tmp_path: Path, length: int) -> None:
    back_up(home.folder, tmp_path / "b.tar")
    whole = (tmp_path / "b.tar").read_bytes()
    end = len(whole.rstrip(b"\0")) + length if length < 0 else length
    (tmp_path / "cut.tar").write_bytes(whole[:end])
    with pytest.raises(Invalid, match=r"damaged|no backup"):
        restore(tmp_path / "cut.tar", HomeFolder(tmp_path / "new"))
    assert not (tmp_path / "new").exists()


def test_a_store_of_a_newer_release_is_not_restored(home: Home, tmp_path: Path) -> None:
    with closing(sqlite3.connect(home.folder.database)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    with pytest.raises(Invalid, match="newer release"):
        back_up(home.folder, tmp_path / "b.tar")
    assert not (tmp_path / "b.tar").exists()


def test_the_description_says_what_is_in_it_without_being_unpacked(home: Home, tmp_path: Path) -> None:
    done = back_up(home.folder, tmp_path / "b.tar")
    with tarfile.open(tmp_path / "b.tar") as tar:
        first = tar.next()
        assert first is not None
        stream = tar.extractfile(first)
        assert stream is not None
        assert (first.name, json.load(stream)) == ("towpath-backup.json", msgspec.to_builtins(done.description))
