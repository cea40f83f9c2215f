"""Datasets of the lake, as a pipeline names them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from towpath.sdk.errors import DefinitionError

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
BUCKET = "sagemaker-us-east-1-000000000000"


@dataclass(frozen=True)
class Dataset:
    """A named list of versions in the lake. A step reads the newest version at the time it starts."""

    name: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise DefinitionError(f"{self.name!r} is not a dataset name; expected letters and digits, inside . _ - too")

    @property
    def prefix(self) -> str:
        """The key prefix below which the dataset's files lie."""
        return f"datasets/{self.name}/"

    @property
    def uri(self) -> str:
        """The S3 URI of the dataset's folder."""
        return f"s3://{BUCKET}/{self.prefix}"


def dataset(name: str) -> Dataset:
    """Return the dataset called `name`, to be read by a step or put and got by a client."""
    return Dataset(name)
