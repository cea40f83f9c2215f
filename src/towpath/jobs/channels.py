"""Which objects a job reads: from the S3 members of a request to exact object versions and places below /opt/ml."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from posixpath import normpath

import msgspec

from towpath.jobs.model import InputFile
from towpath.kernel.errors import Invalid, Unsupported
from towpath.kernel.objects import ObjectRef, ObjectRows, ObjectVersion, naming_unreadable, parse_s3_uri
from towpath.kernel.texts import read_json

ROOT = "/opt/ml"
_NAMED = 5  #: of what lies beside a folder that is not there


class Role(StrEnum):
    """What an input is to its job; the lineage tells data from code by it."""

    DATA = "data"
    CODE = "code"
    CHECKPOINT = "checkpoint"


class WantedInput(msgspec.Struct, frozen=True, kw_only=True):
    """Objects that a request asks for, not yet looked up."""

    name: str
    uri: str
    path: str  #: below /opt/ml, relative: the folder in which the objects are laid out
    manifest: bool = False  #: `uri` names a JSON manifest of objects, not a prefix
    unpack: bool = False
    role: Role = Role.DATA
    optional: bool = False  #: may match nothing (checkpoints of a first run)
    sharded: bool = False  #: ShardedByS3Key: of several hosts each gets a part of the objects


class PinnedObject(msgspec.Struct, frozen=True, array_like=True):
    """One exact object version and where the job sees it. Stored as an array: a job may have thousands."""

    path: str  #: below /opt/ml, relative; the folder itself for an archive to unpack
    bucket: str
    key: str
    version_id: str
    size: int
    sha256: str

    @property
    def uri(self) -> str:
        """The `s3://bucket/key` form."""
        return f"s3://{self.bucket}/{self.key}"

    @property
    def ref(self) -> ObjectRef:
        """The reference that names exactly this version."""
        return ObjectRef(self.bucket, self.key, self.version_id)


class PinnedInput(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An input whose objects have been looked up once; runner, cache and lineage use exactly these."""

    name: str
    uri: str
    path: str
    unpack: bool = False
    role: Role = Role.DATA
    objects: tuple[PinnedObject, ...] = ()


def below_root(local_path: str, *, what: str) -> str:
    """Return an absolute path of a request relative to /opt/ml.

    Raises:
        Unsupported: it lies elsewhere; only /opt/ml is the job's own.
    """
    path = normpath(local_path)
    if not path.startswith(ROOT + "/"):
        raise Unsupported(f"{what} is {local_path!r}; a job's own files lie below {ROOT}, choose a path there")
    return path[len(ROOT) + 1 :]


def pin(
    wanted: WantedInput, rows: ObjectRows, read_text: Callable[[ObjectVersion], str], *, page: int = 1000
) -> PinnedInput:
    """Return the input with the versions that are the latest now.

    An URI that names an object means this object; one that names a folder, with or without the slash at its end, means
    what lies in it; else every key that begins so, as S3 understands a prefix.

    Raises:
        Invalid: there is no such object, or the manifest is not one or cannot be read.
    """
    if wanted.manifest:
        objects = tuple(_of_manifest(wanted, rows, read_text, page))
    else:
        bucket, prefix = parse_s3_uri(wanted.uri)
        objects = tuple(_of_prefix(wanted, rows, bucket, prefix, page))
    if not objects and not wanted.optional:
        beside = "" if wanted.manifest else _beside(wanted.uri, rows, page)
        raise Invalid(f"There are no objects under {wanted.uri} (input {wanted.name!r}){beside}")
    if wanted.unpack:
        if len(objects) != 1:
            raise Invalid(f"{wanted.uri} (input {wanted.name!r}) must name one tar archive, it matches {len(objects)}")
        objects = (msgspec.structs.replace(objects[0], path=wanted.path),)
    return PinnedInput(
        name=wanted.name, uri=wanted.uri, path=wanted.path, unpack=wanted.unpack, role=wanted.role, objects=objects
    )


def _of_prefix(wanted: WantedInput, rows: ObjectRows, bucket: str, prefix: str, page: int) -> Iterator[PinnedObject]:
    if prefix and not prefix.endswith("/"):
        exact = rows.get(ObjectRef(bucket, prefix))
        if exact is not None and not exact.is_delete_marker:
            yield _pinned(exact, f"{wanted.path}/{prefix.rpartition('/')[2]}")
            return
    folder = prefix if not prefix or prefix.endswith("/") else prefix + "/"
    found = False
    for version in _listed(rows, bucket, folder, page):
        found = True
        yield _pinned(version, f"{wanted.path}/{version.key[len(folder) :]}")
    if found or folder == prefix:
        return
    stem = prefix.rpartition("/")[0]
    cut = len(stem) + 1 if stem else 0
    for version in _listed(rows, bucket, prefix, page):
        yield _pinned(version, f"{wanted.path}/{version.key[cut:]}")


def _beside(uri: str, rows: ObjectRows, page: int) -> str:
    """Return what there is in the nearest folder above a URI under which nothing is, empty where that is nothing."""
    bucket, key = parse_s3_uri(uri)
    folder = key.rstrip("/")
    while folder:
        folder = folder.rpartition("/")[0]
        prefix = f"{folder}/" if folder else ""
        found = rows.listing(bucket, prefix, after="", limit=page)
        names = dict.fromkeys("".join(version.key[len(prefix) :].partition("/")[:2]) for version in found)
        if names:
            more = ", …" if len(names) > _NAMED or len(found) == page else ""
            return f"; s3://{bucket}/{prefix} holds {', '.join(list(names)[:_NAMED])}{more}"
    return ""


def _listed(rows: ObjectRows, bucket: str, prefix: str, page: int) -> Iterator[ObjectVersion]:
    after = ""
    while True:
        found = rows.listing(bucket, prefix, after=after, limit=page)
        for version in found:
            if not version.key.endswith("/"):  # an empty object that stands for a folder
                yield version
        if len(found) < page:
            return
        after = found[-1].key


def _of_manifest(
    wanted: WantedInput, rows: ObjectRows, read_text: Callable[[ObjectVersion], str], page: int
) -> Iterator[PinnedObject]:
    """Yield what a manifest names: `[{"prefix": "s3://bucket/a/"}, "1.csv", "b/2.csv"]`."""
    bucket, key = parse_s3_uri(wanted.uri)
    version = rows.get(ObjectRef(bucket, key))
    if version is None or version.is_delete_marker:
        raise Invalid(f"There is no manifest at {wanted.uri} (input {wanted.name!r})")
    try:
        with naming_unreadable(version):
            text = read_text(version)
        entries = read_json(text)
        prefix = entries[0]["prefix"]
        names = [str(name) for name in entries[1:]]
    except (ValueError, LookupError, TypeError) as error:
        raise Invalid(
            f'{wanted.uri} (input {wanted.name!r}) is not a manifest: expected [{{"prefix": "s3://…/"}}, "name", …]'
        ) from error
    bucket, folder = parse_s3_uri(prefix)
    for name in names:
        found = rows.get(ObjectRef(bucket, folder + name))
        if found is None or found.is_delete_marker:
            raise Invalid(f"The manifest {wanted.uri} names s3://{bucket}/{folder}{name}, which does not exist")
        yield _pinned(found, f"{wanted.path}/{name}")


def _pinned(version: ObjectVersion, path: str) -> PinnedObject:
    if any(part in {"", ".", ".."} for part in path.split("/")):
        raise Unsupported(f"{version.uri} cannot be laid out as a file: its path would be {ROOT}/{path}")
    return PinnedObject(path, version.bucket, version.key, version.version_id, version.size, version.sha256)


def sources(inputs: tuple[PinnedInput, ...], rows: ObjectRows) -> dict[ObjectRef, ObjectVersion]:
    """Return the version of each pinned object. Its bytes may have to be fetched, which is not for a transaction.

    Raises:
        Invalid: a version was removed since it was pinned.
    """
    found: dict[ObjectRef, ObjectVersion] = {}
    for pinned in inputs:
        for item in pinned.objects:
            version = rows.get(item.ref)
            if version is None or version.blob is None:
                raise Invalid(f"Version {item.version_id} of {item.uri} (input {pinned.name!r}) has been removed")
            found[item.ref] = version
    return found


def input_files(
    inputs: tuple[PinnedInput, ...],
    paths: Mapping[ObjectRef, str],
    *,
    divided: Collection[PinnedInput] = (),
    hosts: Sequence[str] = (),
) -> tuple[InputFile, ...]:
    """Return what a runner lays out for pinned inputs.

    Args:
        divided: those whose objects are divided among the hosts; all others are for each.
        hosts: of a job on several.
    """
    return tuple(
        InputFile(
            path=item.path,
            source=paths[item.ref],
            size=item.size,
            sha256=item.sha256,
            uri=item.uri,
            version_id=item.version_id,
            unpack=pinned.unpack,
            host=shard(position, hosts) if pinned in divided else "",
        )
        for pinned in inputs
        for position, item in enumerate(pinned.objects)
    )


def shard(position: int, hosts: Sequence[str]) -> str:
    """Return the host that gets an object of a sharded input, empty where there is one host only.

    In turn, by the order of the keys: the same objects always go the same way, and no host gets two more than another.
    """
    return hosts[position % len(hosts)] if hosts else ""


def empty_shards(divided: Iterable[PinnedInput], hosts: Sequence[str]) -> tuple[str, ...]:
    """Return what to say of sharded inputs that have fewer objects than there are hosts, which is allowed."""
    return tuple(
        f"input {item.name!r} has {len(item.objects)} object{'' if len(item.objects) == 1 else 's'} for {len(hosts)} "
        f"hosts that share them: {', '.join(hosts[len(item.objects) :])} get{'s' if missing == 1 else ''} none"
        for item in divided
        if (missing := len(hosts) - len(item.objects)) > 0
    )
