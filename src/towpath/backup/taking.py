"""How a backup is taken: what goes into it is held on to, written, and read again before the file gets its name."""

import contextlib
import errno
import fcntl
import hashlib
import io
import os
import shutil
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import msgspec

from towpath import __version__
from towpath.backup.archive import (
    CREDENTIALS,
    DESCRIPTION,
    SETTINGS,
    STORE,
    SUMS,
    Backup,
    Description,
    Summing,
    not_in_bucket,
    read,
    skip,
)
from towpath.home import HomeFolder
from towpath.jobs.kinds import TERMINAL
from towpath.kernel.errors import Conflict, Invalid
from towpath.objects.location import FOLDER
from towpath.runner.folder import LOG, METRICS, sync_folder
from towpath.store import backup as store_backup
from towpath.store.backup import BlobFacts

_STAGING = ".backup-"
_TRIES = 20  #: snapshots until one is found whose bytes are all still there
_CANNOT_LINK = {errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.EXDEV}


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
        database = staging / STORE
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
            read(fresh, lambda _member, stream: skip(stream))
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise
        fresh.rename(file)
        sync_folder(file.parent)
    return Backup(description=description, size=file.stat().st_size, file=file)


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
        store_backup.snapshot(home.database, staging / STORE, with_keys=with_keys)
        lie = store_backup.objects_lie(staging / STORE) or FOLDER
        blobs = store_backup.blobs(staging / STORE)
        if lie == FOLDER:
            gone = [name for name in blobs if not _hold(home.objects / "blobs" / name[:2] / name, held / name)]
        else:
            gone = not_in_bucket(home, lie, blobs)
        if not gone:
            return lie, blobs
        if gone[0] == missing:
            break  # it was gone with the snapshot before: nobody deletes it just now
        missing = gone[0]
    place = home.objects if lie == FOLDER else lie
    raise Invalid(f"The bytes of blob {missing} are missing from {place}, although the store refers to them.")


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


def _write(
    tar: tarfile.TarFile, home: HomeFolder, staging: Path, description: Description, blobs: dict[str, BlobFacts]
) -> None:
    sums: dict[str, str] = {}

    def add(name: str, path: Path) -> str:
        with path.open("rb") as stream:
            status = os.fstat(stream.fileno())
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.mode = status.st_size, int(status.st_mtime), 0o600
            summing = Summing(stream)
            tar.addfile(member, summing)
        sums[name] = summing.sha256.hexdigest()
        return sums[name]

    def add_text(name: str, text: bytes) -> None:
        member = tarfile.TarInfo(name)
        member.size, member.mtime, member.mode = len(text), int(description.created_at), 0o600
        tar.addfile(member, io.BytesIO(text))
        sums[name] = hashlib.sha256(text).hexdigest()

    add_text(DESCRIPTION, msgspec.json.format(msgspec.json.encode(description), indent=1))
    add(STORE, staging / STORE)
    if home.settings_file.exists():
        add(SETTINGS, home.settings_file)
    if description.with_keys and home.credentials_file.exists():
        add(CREDENTIALS, home.credentials_file)
    for name, facts in sorted(blobs.items()) if description.has_bytes else ():
        if add(f"objects/blobs/{name[:2]}/{name}", staging / "blobs" / name) != facts.sha256:
            raise Invalid(f"The blob {name} in {home.objects} is damaged: its digest is not the one that was recorded.")
    for name, path in _logs(home, staging / STORE):
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
