"""Reads small objects whole: property files and definitions that were uploaded."""

from typing import Any

from towpath.kernel.errors import Absent, Invalid
from towpath.kernel.objects import ObjectRef, ObjectStore, ObjectVersion, parse_s3_uri
from towpath.kernel.ports import Store
from towpath.kernel.resource import Uid
from towpath.kernel.texts import read_json
from towpath.lineage import artifact_of

LARGEST = 16 * 1024 * 1024  #: bytes; what is read whole is held in memory


class StoredDocuments:
    """Implements `pipelines.ports.Documents`: JSON documents by URI."""

    def __init__(self, store: Store, objects: ObjectStore) -> None:
        self._store = store
        self._texts = StoredTexts(store, objects)

    def read(self, uri: str, *, written_by: Uid | None) -> Any:
        """Return the JSON document at `uri`, in the version that the job `written_by` wrote, or in the latest one.

        Raises:
            Absent: there is no such object.
            Invalid: it is too large, or it does not hold JSON.
        """
        bucket, key = parse_s3_uri(uri)
        version_id = None if written_by is None else self._version_of(uri, written_by)
        try:
            return read_json(self._texts.read(bucket, key, version_id), not_a_number=True)
        except ValueError as error:
            raise Invalid(f"{uri} does not hold JSON: {error}") from error

    def _version_of(self, uri: str, job: Uid) -> str:
        found = self._store.read(lambda transaction: artifact_of(transaction, job, uri))
        if found is None:
            # What lies there now may be the work of another execution, and would decide for this one.
            raise Absent(f"There is no object {uri} that the step's own job wrote")
        return found.version_id


class StoredTexts:
    """Implements `pipelines.ports.Definitions`: UTF-8 texts by bucket, key and version."""

    def __init__(self, store: Store, objects: ObjectStore) -> None:
        self._store = store
        self._objects = objects

    def read(self, bucket: str, key: str, version_id: str | None) -> str:
        """Return the text of an object.

        Raises:
            Absent: there is no such object.
            Invalid: it is too large, or it is not UTF-8.
        """
        version = self._version(ObjectRef(bucket, key, version_id))
        try:
            return b"".join(self._objects.read(version)).decode("utf-8")
        except UnicodeDecodeError as error:
            raise Invalid(f"{version.uri} is not UTF-8 text: {error}") from error

    def _version(self, ref: ObjectRef) -> ObjectVersion:
        version = self._store.read(lambda transaction: transaction.objects.get(ref))
        if version is None or version.is_delete_marker:
            raise Absent(f"There is no object {ref.uri}")
        if version.size > LARGEST:
            raise Invalid(f"{ref.uri} is {version.size} bytes long; at most {LARGEST} are read here")
        return version
