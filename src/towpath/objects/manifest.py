"""What a version of a dataset holds: a manifest of files, its digest, and how two of them differ."""

import hashlib
from collections.abc import Iterable, Iterator

import msgspec

from towpath.kernel.objects import ObjectRef, ObjectRows, ObjectVersion
from towpath.kernel.resource import Document, view

_PAGE = 1000


class ManifestFile(msgspec.Struct, frozen=True, array_like=True):
    """One file of a dataset version. Stored as an array, because a manifest may have very many."""

    path: str  #: relative to what was imported; the same file keeps its path wherever it lies
    bucket: str
    key: str
    version_id: str
    size: int  #: bytes
    sha256: str  #: hex

    @property
    def ref(self) -> ObjectRef:
        """The reference that names exactly this version."""
        return ObjectRef(self.bucket, self.key, self.version_id)

    @property
    def document(self) -> Document:
        """The file as the API shows it."""
        return {
            "Path": self.path,
            "S3Uri": self.ref.uri,
            "VersionId": self.version_id,
            "Size": self.size,
            "Sha256": self.sha256,
        }


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """What changed from one manifest to another; files are the same when path and digest are."""

    added: list[ManifestFile]
    removed: list[ManifestFile]
    changed: list[tuple[ManifestFile, ManifestFile]]  #: (before, after)
    unchanged: int  #: number of files


def files_of(document: Document) -> list[ManifestFile]:
    """Return the manifest kept in the state of a dataset version."""
    return view(list[ManifestFile], document["Manifest"], strict=True)


def digest(files: Iterable[ManifestFile]) -> str:
    """Return the SHA-256, in hex, of what a manifest says about content: paths, sizes and digests, by path.

    Buckets, keys and object versions are left out: the same files put again, or elsewhere, are the same data.
    """
    told = hashlib.sha256()
    for file in sorted(files, key=lambda file: file.path.encode()):
        told.update(msgspec.json.encode([file.path, file.size, file.sha256]) + b"\n")
    return told.hexdigest()


def difference(before: Iterable[ManifestFile], after: Iterable[ManifestFile]) -> Difference:
    """Return what changed from one manifest to another, each list by path."""
    old = {file.path: file for file in before}
    new = {file.path: file for file in after}
    both = sorted(old.keys() & new.keys(), key=str.encode)
    changed = [(old[path], new[path]) for path in both if old[path].sha256 != new[path].sha256]
    return Difference(
        added=[new[path] for path in sorted(new.keys() - old.keys(), key=str.encode)],
        removed=[old[path] for path in sorted(old.keys() - new.keys(), key=str.encode)],
        changed=changed,
        unchanged=len(both) - len(changed),
    )


def path_below(source: str, uri: str) -> str | None:
    """Return the path that the object at `uri` has in a dataset imported from `source`, None when it lies elsewhere.

    A source that ends with a slash is a folder; any other is a single object, whose path is its name.
    """
    if source.endswith("/"):
        return uri[len(source) :] if uri.startswith(source) and uri != source else None
    return source.rpartition("/")[2] if uri == source else None


def import_from(rows: ObjectRows, bucket: str, key: str) -> tuple[str, list[ManifestFile]]:
    """Return the source that `bucket` and `key` name, and the latest versions of its objects as a manifest.

    A key that is an object means this object; any other means the folder of that name, with or without the slash.
    """
    if key and not key.endswith("/"):
        exact = rows.get(ObjectRef(bucket, key))
        if exact is not None and not exact.is_delete_marker:
            return exact.uri, [_file(exact, key.rpartition("/")[2])]
    folder = key if not key or key.endswith("/") else f"{key}/"
    found = [_file(version, version.key[len(folder) :]) for version in _all_below(rows, bucket, folder)]
    return f"s3://{bucket}/{folder}", found


def _all_below(rows: ObjectRows, bucket: str, folder: str) -> Iterator[ObjectVersion]:
    """Yield the latest versions below a folder; empty objects that stand for folders (`a/b/`) are no files."""
    after = folder
    while page := rows.listing(bucket, folder, after=after, limit=_PAGE):
        yield from (version for version in page if version.size > 0 or not version.key.endswith("/"))
        after = page[-1].key


def _file(version: ObjectVersion, path: str) -> ManifestFile:
    return ManifestFile(
        path=path,
        bucket=version.bucket,
        key=version.key,
        version_id=version.version_id,
        size=version.size,
        sha256=version.sha256,
    )
