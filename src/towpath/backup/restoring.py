"""How a home is made of a backup: unpacked beside its place, checked, and begun anew."""

import os
import shutil
import tarfile
from pathlib import Path
from uuid import uuid4

from towpath.app import KINDS
from towpath.backup.archive import CHUNK, Backup, Description, Summing, not_in_bucket, read
from towpath.home import HomeFolder
from towpath.hosting.kinds import ENDPOINT, ENDPOINT_CONFIG
from towpath.hosting.model import EndpointSpec, EndpointStatus
from towpath.kernel.errors import Conflict, Invalid
from towpath.kernel.events import Event
from towpath.kernel.ports import Query
from towpath.kernel.principals import PLATFORM
from towpath.kernel.queries import every_in
from towpath.kernel.resource import view
from towpath.objects.location import FOLDER
from towpath.runner.folder import sync_folder
from towpath.store import SqliteStore, SqlTransaction
from towpath.store import backup as store_backup

RESTORED = "Home Restored"


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
        description = read(file, lambda member, stream: _extract(fresh.path, member, stream))
        _check_restored(fresh, file)
        _revive(fresh, description)
        os.sync()  # thousands of small files: one sync is cheaper than one each
        if home.path.exists():
            home.path.rmdir()
        fresh.path.rename(home.path)
        sync_folder(home.path.parent)
    except BaseException:
        shutil.rmtree(fresh.path, ignore_errors=True)
        raise
    return Backup(description=description, size=file.stat().st_size, file=file)


def _extract(folder: Path, member: tarfile.TarInfo, stream: Summing) -> None:
    place = folder / member.name
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    mode = 0o444 if member.name.startswith("objects/") else 0o600
    with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb") as out:
        while data := stream.read(CHUNK):
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
        gone = not_in_bucket(home, lie, blobs)
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
    for endpoint in list(every_in(transaction, Query(kind=ENDPOINT.noun, sort_by="name"))):
        config = view(EndpointSpec, endpoint.spec).endpoint_config_name
        if endpoint.status in {EndpointStatus.DELETING, EndpointStatus.FAILED}:
            continue
        if transaction.resources.find(ENDPOINT_CONFIG.noun, config) is None:
            continue  # its fleet is described in its state: that is started again as it was
        transaction.resources.replace(
            endpoint, status=kind.undeleted_status, state={}, generation=endpoint.generation + 1
        )
        transaction.work.schedule(endpoint.uid, transaction.now)
