"""A backup as a tar file: what it tells of itself, what its members are called, and how it is read and checked."""

import hashlib
import re
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import msgspec

from towpath import __version__, settings
from towpath.app import missing_from_bucket
from towpath.home import HomeFolder
from towpath.kernel.errors import Invalid
from towpath.objects.location import FOLDER
from towpath.runner.folder import LOG, METRICS
from towpath.store.backup import BlobFacts

FORMAT = 1
DESCRIPTION = "towpath-backup.json"
SUMS = "SHA256SUMS"
STORE = "towpath.db"
SETTINGS = "towpath.toml"
CREDENTIALS = "credentials"
CHUNK = 1 << 20
_MEMBER = re.compile(
    r"towpath\.db|towpath\.toml|credentials|objects/blobs/([0-9A-Za-z]{2})/\1[0-9A-Za-z._-]*"
    rf"|jobs/[A-Za-z0-9][A-Za-z0-9._-]*/(?:{re.escape(LOG)}|{re.escape(METRICS)})"
)


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


@dataclass(slots=True)
class Summing:
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


def read(file: Path, take: Callable[[tarfile.TarInfo, Summing], None]) -> Description:
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
                summing = Summing(stream)
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


def _described(file: Path, member: tarfile.TarInfo, stream: Summing) -> Description:
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


def skip(stream: Summing) -> None:
    """Read to the end, for the digest alone."""
    while stream.read(CHUNK):
        pass


def not_in_bucket(home: HomeFolder, lie: str, blobs: dict[str, BlobFacts]) -> list[str]:
    """Return those of the blobs that are not in the bucket in which the bytes of objects lie."""
    sizes = {name: facts.size for name, facts in blobs.items()}
    return missing_from_bucket(settings.load(home.settings_file), lie, sizes)
