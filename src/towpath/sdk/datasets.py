"""Datasets of the lake, as a pipeline names them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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


def datasets_read(definition: Any) -> list[str]:
    """Return the names of the datasets that the steps of a definition document read."""
    found: dict[str, None] = {}
    waiting = [definition]
    while waiting:
        part = waiting.pop(0)
        if isinstance(part, Mapping):
            waiting += part.values()
            for member in ("S3Input", "S3DataSource"):
                found |= dict.fromkeys(_names_in(json.dumps(part.get(member))))
        elif isinstance(part, list):
            waiting += part
    return list(found)


def _names_in(text: str) -> list[str]:
    return re.findall(re.escape(f"s3://{BUCKET}/datasets/") + r"([^/\"]+)/", text)


def dataset(name: str) -> Dataset:
    """Return the dataset called `name`, to be read by a step or put and got by a client."""
    return Dataset(name)
