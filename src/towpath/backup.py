"""Backups of a home: taken while it is in use, checked by their digests, and restored into an empty folder.

A backup is a tar file. It holds, in this order: what it is (`towpath-backup.json`), the store as it stood at one
moment, the settings, the bytes of every object version that the store refers to, the logs of jobs that had ended, and
the SHA-256 of all of them. Where the bytes lie in a bucket they stay there: the backup says in which, and the store
names the keys, each of which is used once. What a job or a model server works with is not in it: those are started
again.
"""

import contextlib
import errno
import fcntl
import hashlib
import io
import os
import re
import shutil
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from uuid import uuid4

import msgspec

from towpath import __version__, settings
from towpath.app import KINDS, missing_from_bucket
from towpath.home import HomeFolder
from towpath.hosting.kinds import ENDPOINT, ENDPOINT_CONFIG
from towpath.hosting.model import EndpointSpec, EndpointStatus
from towpath.jobs.kinds import TERMINAL
from towpath.kernel.errors import Conflict, Invalid
from towpath.kernel.events import Event
from towpath.kernel.ports import Query
from towpath.kernel.principals import PLATFORM
from towpath.kernel.resource import Resource, view
from towpath.objects.location import FOLDER
from towpath.runner.folder import LOG, METRICS
from towpath.store import SqliteStore, SqlTransaction
from towpath.store import backup as store_backup
from towpath.store.backup import BlobFacts

FORMAT = 1
DESCRIPTION = "towpath-backup.json"
SUMS = "SHA256SUMS"
RESTORED = "Home Restored"
_STORE = "towpath.db"
_SETTINGS = "towpath.toml"
_CREDENTIALS = "credentials"
_STAGING = ".backup-"
_CHUNK = 1 << 20
_TRIES = 20  #: snapshots until one is found whose bytes are all still there
_MEMBER = re.compile(
    r"towpath\.db|towpath\.toml|credentials|objects/blobs/([0-9A-Za-z]{2})/\1[0-9A-Za-z._-]*"
    rf"|jobs/[A-Za-z0-9][A-Za-z0-9._-]*/(?:{re.escape(LOG)}|{re.escape(METRICS)})"
)
_CANNOT_LINK = {errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.EXDEV}


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup tells of itself."""

    format: int = FORMAT
    release: str
    schema: str  #: revision of the store's tables
    home_id: str
    account: str
    region: str
    created_at: float  #: epoch seconds
    with_keys: bool
    objects: int  #: blobs
    object_bytes: int
    objects_lie: str = FOLDER  #: `folder`: their bytes are in the backup; else the bucket and prefix that have them

    @property
    def has_bytes(self) -> bool:
        """Whether the bytes of objects are in the backup."""
        return self.objects_lie == FOLDER


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """A backup that was written or restored."""

    description: Description
    size: int  #: of the file, in bytes
    file: Path


def back_up(home: HomeFolder, file: Path, *, with_keys: bool = False) -> Backup:
    """Write a backup of a home, whether or not a server uses it, and check what was written.

    Args:
        file: must not exist; appears when it is whole.
        with_keys: put the keys of all principals into it; without them a restored home makes new ones.
    Raises:
        Conflict: there is such a file.
        Invalid: there is no home, or bytes of an object are missing or damaged; names it.
        Unavailable: they lie in a bucket, and its service does not answer.
    """
    if not home.database.is_file():
        raise Invalid(f"{home.path} holds no home; name one with --home or TOWPATH_HOME")
    if file.exists():
        raise Conflict(f"{file} exists already; choose another name")
    fresh = file.with_name(f"{file.name}.part")
    with _staging(home) as staging:
        database = staging / _STORE
        lie, blobs = _gather(home, staging, with_keys=with_keys)
        stored = store_backup.facts(database)
        description = Description(
            release=__version__,
            schema=stored.schema,
            home_id=stored.home_id,
            account=stored.account,
            region=stored.region,
            created_at=time.time(),
            with_keys=with_keys,
            objects=len(blobs),
            object_bytes=sum(facts.size for facts in blobs.values()),
            objects_lie=lie,
        )
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as out:
                with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
                    _write(tar, home, staging, description, blobs)
                out.flush()
                os.fsync(out.fileno())
            _read(fresh, lambda _member, stream: _skip(stream))
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise
        fresh.rename(file)
        _sync(file.parent)
    return Backup(description=description, size=file.stat().st_size, file=file)


def restore(file: Path, home: HomeFolder) -> Backup:
    """Make a home of a backup; it appears when it is whole and checked. Endpoints start again with the first server.

    Args:
        home: must not exist, or be empty.
    Raises:
        Conflict: there is something in the folder.
        Invalid: it is no backup, a newer release wrote it, or it is damaged; says where. Or bytes are gone from the
            bucket in which they lay.
        Unavailable: the service of that bucket does not answer.
    """
    if home.path.exists() and (not home.path.is_dir() or any(home.path.iterdir())):
        raise Conflict(f"{home.path} is not empty; a backup is restored into a new or empty folder only")
    home.path.parent.mkdir(parents=True, exist_ok=True)
    fresh = HomeFolder(home.path.with_name(f".{home.path.name}.restoring-{uuid4().hex[:8]}"))
    fresh.path.mkdir(mode=0o700)
    try:
        description = _read(file, lambda member, stream: _extract(fresh.path, member, stream))
        _check_restored(fresh, file)
        _revive(fresh, description)
        os.sync()  # thousands of small files: one sync is cheaper than one each
        if home.path.exists():
            home.path.rmdir()
        fresh.path.rename(home.path)
        _sync(home.path.parent)
    except BaseException:
        shutil.rmtree(fresh.path, ignore_errors=True)
        raise
    return Backup(description=description, size=file.stat().st_size, file=file)


# -- gathering


@contextmanager
def _staging(home: HomeFolder) -> Iterator[Path]:
    """Make a folder in the home that holds on to what goes into the backup, and remove it in the end."""
    for left in home.path.glob(f"{_STAGING}*"):
        with contextlib.suppress(BlockingIOError), _locked(left):
            shutil.rmtree(left)  # of a backup that was killed
    staging = home.path / f"{_STAGING}{uuid4().hex[:8]}"
    staging.mkdir(mode=0o700)
    with _locked(staging):
        try:
            yield staging
        finally:
            shutil.rmtree(staging)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _gather(home: HomeFolder, staging: Path, *, with_keys: bool) -> tuple[str, dict[str, BlobFacts]]:
    """Take a snapshot of the store and hold on to the bytes that it refers to; return where they lie and what they are.

    Bytes in a bucket are not held on to: they are looked for there.

    Objects may be deleted while we do. Then another snapshot is taken, which does not refer to them; what was held on
    to already stays, so that there is less to do each time.
    """
    held = staging / "blobs"
    held.mkdir()
    missing, lie = "", FOLDER
    for _ in range(_TRIES):
        store_backup.snapshot(home.database, staging / _STORE, with_keys=with_keys)
        lie = store_backup.objects_lie(staging / _STORE) or FOLDER
        blobs = store_backup.blobs(staging / _STORE)
        if lie == FOLDER:
            gone = [name for name in blobs if not _hold(home.objects / "blobs" / name[:2] / name, held / name)]
        else:
            gone = _not_in_bucket(home, lie, blobs)
        if not gone:
            return lie, blobs
        if gone[0] == missing:
            break  # it was gone with the snapshot before: nobody deletes it just now
        missing = gone[0]
    place = home.objects if lie == FOLDER else lie
    raise Invalid(f"The bytes of blob {missing} are missing from {place}, although the store refers to them.")


def _not_in_bucket(home: HomeFolder, lie: str, blobs: dict[str, BlobFacts]) -> list[str]:
    sizes = {name: facts.size for name, facts in blobs.items()}
    return missing_from_bucket(settings.load(home.settings_file), lie, sizes)


def _hold(blob: Path, to: Path) -> bool:
    """Make `to` the bytes of a blob, which then stay whatever becomes of it; False when it is gone."""
    try:
        os.link(blob, to)
    except FileExistsError:
        return True
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno not in _CANNOT_LINK:
            raise
        try:
            shutil.copyfile(blob, to)
        except FileNotFoundError:
            return False
    return True


# -- writing


@dataclass(slots=True)
class _Summing:
    """A stream that adds up the digest and size of what is read from it."""

    stream: IO[bytes]
    size: int = 0
    sha256: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        data = self.stream.read(size)
        self.sha256.update(data)
        self.size += len(data)
        return data


def _write(
    tar: tarfile.TarFile, home: HomeFolder, staging: Path, description: Description, blobs: dict[str, BlobFacts]
) -> None:
    sums: dict[str, str] = {}

    def add(name: str, path: Path) -> str:
        with path.open("rb") as stream:
            status = os.fstat(stream.fileno())
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.mode = status.st_size, int(status.st_mtime), 0o600
            summing = _Summing(stream)
            tar.addfile(member, summing)
        sums[name] = summing.sha256.hexdigest()
        return sums[name]

    def add_text(name: str, text: bytes) -> None:
        member = tarfile.TarInfo(name)
        member.size, member.mtime, member.mode = len(text), int(description.created_at), 0o600
        tar.addfile(member, io.BytesIO(text))
        sums[name] = hashlib.sha256(text).hexdigest()

    add_text(DESCRIPTION, msgspec.json.format(msgspec.json.encode(description), indent=1))
    add(_STORE, staging / _STORE)
    if home.settings_file.exists():
        add(_SETTINGS, home.settings_file)
    if description.with_keys and home.credentials_file.exists():
        add(_CREDENTIALS, home.credentials_file)
    for name, facts in sorted(blobs.items()) if description.has_bytes else ():
        if add(f"objects/blobs/{name[:2]}/{name}", staging / "blobs" / name) != facts.sha256:
            raise Invalid(f"The blob {name} in {home.objects} is damaged: its digest is not the one that was recorded.")
    for name, path in _logs(home, staging / _STORE):
        with contextlib.suppress(FileNotFoundError):  # collected just now
            add(name, path)
    add_text(SUMS, "".join(f"{digest}  {name}\n" for name, digest in sums.items()).encode())


def _logs(home: HomeFolder, database: Path) -> Iterator[tuple[str, Path]]:
    """Yield member names and paths of the logs of jobs that had ended in the snapshot."""
    ended = store_backup.with_status(database, frozenset(TERMINAL))
    for folder in sorted(home.jobs.iterdir()) if home.jobs.is_dir() else ():
        if folder.name.partition("-")[0] in ended:
            for file in (LOG, METRICS):
                if (folder / file).is_file():
                    yield f"jobs/{folder.name}/{file}", folder / file


# -- reading


def _read(file: Path, take: Callable[[tarfile.TarInfo, _Summing], None]) -> Description:
    """Hand every member of a backup to `take`, and check all of them; return what the backup is.

    Raises:
        Invalid: it is no backup, a newer release wrote it, or it is damaged; says where.
    """
    found: dict[str, str] = {}
    told: dict[str, str] | None = None
    description: Description | None = None
    try:
        with tarfile.open(file, mode="r:") as tar:
            for member in tar:
                stream = tar.extractfile(member) if member.isreg() else None
                if stream is None:
                    raise Invalid(f"{file} is no backup of Towpath: {member.name!r} is not a plain file")
                summing = _Summing(stream)
                if description is None:
                    description = _described(file, member, summing)
                elif member.name == SUMS:
                    told = _sums(summing.read())
                    continue
                elif not _MEMBER.fullmatch(member.name) or ".." in member.name:
                    raise Invalid(f"{file} is no backup of Towpath: it holds {member.name!r}")
                else:
                    take(member, summing)
                found[member.name] = summing.sha256.hexdigest()
    except tarfile.TarError as error:
        raise Invalid(f"{file} is no backup of Towpath, or it is damaged: {error}") from error
    if description is None or told is None:
        raise Invalid(f"{file} is damaged: its end is missing")
    wrong = sorted(name for name in found.keys() | told.keys() if found.get(name) != told.get(name))
    if wrong:
        raise Invalid(f"{file} is damaged: {wrong[0]} is not what its digest says")
    return description


def _described(file: Path, member: tarfile.TarInfo, stream: _Summing) -> Description:
    if member.name != DESCRIPTION:
        raise Invalid(f"{file} is no backup of Towpath: it begins with {member.name!r}")
    document = stream.read()
    try:
        asked = msgspec.json.decode(document, type=dict)
        if int(asked.get("format", 0)) > FORMAT:
            raise Invalid(
                f"{file} is a backup in format {asked['format']}, written by the newer release {asked.get('release')}; "
                f"this one ({__version__}) reads formats up to {FORMAT}. Restore it with that release or a later one."
            )
        return msgspec.convert(asked, Description)
    except (msgspec.MsgspecError, ValueError, TypeError) as error:
        raise Invalid(f"{file} is no backup of Towpath: {DESCRIPTION} cannot be read: {error}") from error


def _sums(document: bytes) -> dict[str, str]:
    lines = (line.partition("  ") for line in document.decode("utf-8", "replace").splitlines())
    return {name: digest for digest, _, name in lines}


def _skip(stream: _Summing) -> None:
    """Read to the end, for the digest alone."""
    while stream.read(_CHUNK):
        pass


def _extract(folder: Path, member: tarfile.TarInfo, stream: _Summing) -> None:
    place = folder / member.name
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    mode = 0o444 if member.name.startswith("objects/") else 0o600
    with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb") as out:
        while data := stream.read(_CHUNK):
            out.write(data)
    os.utime(place, (member.mtime, member.mtime))


def _check_restored(home: HomeFolder, file: Path) -> None:
    """Make sure that the store is whole, that this release knows it, and that every blob that it names is there."""
    if not home.database.exists():
        raise Invalid(f"{file} is damaged: there is no store in it")
    store_backup.facts(home.database)
    home.objects.mkdir(exist_ok=True)
    blobs = store_backup.blobs(home.database)
    lie = store_backup.objects_lie(home.database) or FOLDER
    if lie != FOLDER:
        gone = _not_in_bucket(home, lie, blobs)
        if gone:
            raise Invalid(
                f"The bytes of {len(gone)} of {len(blobs)} blobs, {gone[0]} for one, are not in {lie} any more: they "
                f"were removed since {file} was written. Bring them back there, or restore a newer backup."
            )
        return
    for name, facts in blobs.items():
        blob = home.objects / "blobs" / name[:2] / name
        if not blob.exists() or blob.stat().st_size != facts.size:
            raise Invalid(f"{file} is damaged: the bytes of blob {name} are not in it")


def _revive(home: HomeFolder, description: Description) -> None:
    """Let endpoints begin anew from their specs: the model servers that the store tells of run elsewhere, if at all."""
    store = SqliteStore(home.database)
    try:
        store.write(lambda transaction: _begin_anew(transaction, description))
    finally:
        store.close()


def _begin_anew(transaction: SqlTransaction, description: Description) -> None:
    detail = {"backed_up_at": description.created_at, "release": description.release}
    transaction.events.append(
        Event(type=RESTORED, subject=None, principal=PLATFORM.principal, at=transaction.now, detail=detail)
    )
    kind = KINDS[ENDPOINT.noun]
    for endpoint in list(_endpoints(transaction)):
        config = view(EndpointSpec, endpoint.spec).endpoint_config_name
        if endpoint.status in {EndpointStatus.DELETING, EndpointStatus.FAILED}:
            continue
        if transaction.resources.find(ENDPOINT_CONFIG.noun, config) is None:
            continue  # its fleet is described in its state: that is started again as it was
        transaction.resources.replace(
            endpoint, status=kind.undeleted_status, state={}, generation=endpoint.generation + 1
        )
        transaction.work.schedule(endpoint.uid, transaction.now)


def _endpoints(transaction: SqlTransaction) -> Iterator[Resource]:
    token = None
    while True:
        page = transaction.resources.query(Query(kind=ENDPOINT.noun, token=token, sort_by="name"))
        yield from page.items
        token = page.token
        if token is None:
            return


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
