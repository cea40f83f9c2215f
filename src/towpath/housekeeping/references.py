"""Which exact object versions a stored document names.

Documents are searched for the forms in which versions are written down, not member by member: a kind that is added
later, or an upgrade that moves members, cannot be forgotten here.
"""

from collections.abc import Iterator
from typing import Any

from towpath.housekeeping.model import VersionKey
from towpath.kernel.errors import Invalid
from towpath.kernel.objects import parse_s3_uri

_SHA256_LENGTH = 64
_VERSION_MEMBERS = ("version_id", "VersionId", "versionId")


def references(document: Any) -> Iterator[VersionKey]:
    """Yield every exact object version that a document names, at whatever depth.

    The forms are: `[path, bucket, key, version id, size, digest]`, as inputs and manifests are stored; a mapping with
    bucket, key and version id; a mapping with an S3 URI and a version id.
    """
    waiting = [document]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            yield from _of_mapping(item)
            waiting.extend(item.values())
        elif isinstance(item, list | tuple):
            found = _of_list(item)
            if found is not None:
                yield found
            else:
                waiting.extend(item)


def _of_list(item: Any) -> VersionKey | None:
    if len(item) != 6 or not all(isinstance(part, str) for part in (*item[:4], item[5])):
        return None
    if not isinstance(item[4], int) or len(item[5]) != _SHA256_LENGTH:
        return None
    return VersionKey(item[1], item[2], item[3])


def _of_mapping(item: dict[str, Any]) -> Iterator[VersionKey]:
    version = next((item[name] for name in _VERSION_MEMBERS if isinstance(item.get(name), str)), None)
    if version is None:
        return
    bucket, key = item.get("bucket", item.get("Bucket")), item.get("key", item.get("Key"))
    if isinstance(bucket, str) and isinstance(key, str):
        yield VersionKey(bucket, key, version)
    for value in item.values():
        if isinstance(value, str) and value.startswith("s3://"):
            try:
                yield VersionKey(*parse_s3_uri(value), version)
            except Invalid:
                continue  # it only looks like an address
