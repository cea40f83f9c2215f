"""Putting datasets into the lake and getting them out, version by version."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from towpath.sdk.datasets import BUCKET, dataset
from towpath.sdk.errors import DefinitionError, NotFound
from towpath.sdk.expressions import Document
from towpath.sdk.known import nothing_called

if TYPE_CHECKING:
    from towpath.sdk.client import Client


@dataclass(frozen=True, kw_only=True)
class DatasetVersion:
    """A version of a dataset."""

    dataset: str
    version: int
    files: int
    size: int  #: bytes
    created: bool = False  #: made by the put that returned it; otherwise the content was there already

    @property
    def name(self) -> str:
        """`NAME/VERSION`."""
        return f"{self.dataset}/{self.version}"


def split_dataset(name: str) -> tuple[str, int | None]:
    """Return (name, version) of `NAME` or `NAME/VERSION`; None means the newest."""
    plain, _, version = name.partition("/")
    dataset(plain)  # refuses what is no name
    if version in {"", "latest"}:
        return plain, None
    if not version.isdigit() or int(version) < 1:
        raise DefinitionError(f"{name!r} is no dataset version; expected NAME or NAME/VERSION, for example reviews/2")
    return plain, int(version)


class DatasetVersions:
    """The datasets of a server."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def put(self, name: str, paths: Sequence[str | Path], *, description: str | None = None) -> DatasetVersion:
        """Make files and folders the newest version of a dataset; the same content keeps its number.

        The version holds exactly what is put: files of the version before are not carried over. A folder's content
        lies at the dataset's root.

        Raises:
            DefinitionError: there is no such file, or two of the same name.
        """
        wanted = dataset(name)
        files = _local_files(paths)
        lake = self._client.lake
        lake.ensure_bucket(BUCKET)
        there = {entry.key: entry for entry in lake.objects(wanted.uri)}
        for relative, path in files.items():
            known = there.pop(f"{wanted.prefix}{relative}", None)
            # What lies there with the same content is not stored again, so that its version stays the same too.
            if known is None or known.size != path.stat().st_size or known.etag != _md5(path):
                lake.put_file(f"{wanted.uri}{relative}", path)
        for stale in there.values():
            lake.delete(stale.uri)
        request: Document = {"DatasetName": name, "S3Uri": wanted.uri}
        if description:
            request["Description"] = description
        answer = self._client.call("Towpath.CreateDatasetVersion", request)
        return DatasetVersion(
            dataset=name,
            version=int(answer["Version"]),
            files=int(answer["FileCount"]),
            size=int(answer["TotalSize"]),
            created=bool(answer["Created"]),
        )

    def get(self, name: str, folder: Path, *, progress: Callable[[str, int], None] | None = None) -> DatasetVersion:
        """Write a version of a dataset into a folder; the server records who took which version.

        Args:
            name: `NAME` for the newest version, or `NAME/VERSION`.
            progress: called with each file's name and size once it is written.
        """
        plain, version = split_dataset(name)
        request: Document = {"DatasetName": plain}
        if version is not None:
            request["Version"] = version
        with self._naming(plain):
            answer = self._client.call("Towpath.CheckOutDataset", request)
        for entry in answer["Files"]:
            relative = _safe(str(entry["Path"]))
            self._client.lake.get_file(entry["S3Uri"], folder / relative, version_id=entry["VersionId"])
            if progress is not None:
                progress(str(relative), int(entry["Size"]))
        return DatasetVersion(
            dataset=plain,
            version=int(answer["Version"]),
            files=len(answer["Files"]),
            size=sum(int(entry["Size"]) for entry in answer["Files"]),
        )

    def names(self) -> Iterator[Document]:
        """Yield the datasets, as ListDatasets shows them."""
        return self._client.pages("Towpath.ListDatasets", "Datasets")

    def versions(self, name: str) -> Iterator[Document]:
        """Yield the versions of a dataset, newest first."""
        with self._naming(name):
            yield from self._client.pages("Towpath.ListDatasetVersions", "DatasetVersions", {"DatasetName": name})

    def check_outs(self, name: str) -> Iterator[Document]:
        """Yield who took which version of a dataset, and when, newest first."""
        with self._naming(name):
            yield from self._client.pages("Towpath.ListDatasetCheckOuts", "CheckOuts", {"DatasetName": name})

    def diff(self, name: str, before: int, after: int) -> Document:
        """Return what was added, removed and changed between two versions of a dataset."""
        request = {"DatasetName": name, "FromVersion": before, "ToVersion": after}
        with self._naming(name):
            return self._client.call("Towpath.DiffDatasetVersions", request)

    @contextmanager
    def _naming(self, name: str) -> Iterator[None]:
        """Name the datasets that there are where it is the dataset that is not there, and not a version of it."""
        try:
            yield
        except NotFound as missing:
            known = [str(each["DatasetName"]) for each in self.names()]
            if name in known:
                raise
            make = "make one: towpath data put NAME FILE"
            raise nothing_called("dataset", name, known, missing, make=make) from missing


def _local_files(paths: Sequence[str | Path]) -> dict[str, Path]:
    """Return the files to put by their path in the dataset."""
    files: dict[str, Path] = {}
    for given in map(Path, paths):
        if given.is_dir():
            found = [(path.relative_to(given).as_posix(), path) for path in sorted(given.rglob("*")) if path.is_file()]
        elif given.is_file():
            found = [(given.name, given)]
        else:
            raise DefinitionError(f"there is no file or folder {str(given)!r}")
        for relative, path in found:
            if relative in files:
                raise DefinitionError(f"{files[relative]} and {path} would both be {relative!r} in the dataset")
            files[relative] = path
    if not files:
        raise DefinitionError(f"nothing to put: {', '.join(map(str, paths))} holds no file")
    return files


def _safe(relative: str) -> PurePosixPath:
    """Return a path that stays below the folder it is appended to."""
    path = PurePosixPath(relative)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise DefinitionError(f"the dataset holds an object called {relative!r}, which cannot be a file in a folder")
    return path


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
