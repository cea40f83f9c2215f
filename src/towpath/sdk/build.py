"""What a step needs to know of its pipeline to write itself out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from towpath.sdk.expressions import Document, Expression, Join, execution
from towpath.sdk.packing import Bundle

#: Where the code of a step lies, as `Build.prefix_of` says.
_CODE = re.compile(r"s3://[^/]+/[^/]+/code/[0-9a-f]{64}/")


def is_code(uri: str) -> bool:
    """Return whether an S3 URI is that of code which a pipeline takes along."""
    return _CODE.match(uri) is not None


@dataclass(frozen=True, kw_only=True)
class Defaults:
    """What is filled in where a step names nothing. Towpath runs steps with these; AWS wants real ones."""

    role: str = "arn:aws:iam::000000000000:role/towpath"
    image: str = "towpath/default"
    instance_type: str = "ml.m5.large"
    bucket: str = "sagemaker-us-east-1-000000000000"


@dataclass(frozen=True, kw_only=True)
class Code:
    """The code that a step asks for, as paths."""

    script: str
    source_dir: str | None = None
    include: tuple[str, ...] = ()
    root: Path | None = None  #: folder that the other paths start from, where it is not the pipeline's
    requirements: str | None = None  #: text in place of the requirements.txt beside the code


@dataclass(frozen=True, kw_only=True)
class Build:
    """A pipeline while its definition is written."""

    pipeline: str
    defaults: Defaults
    bundles: Mapping[str, Bundle]  #: by step name
    tags: Mapping[str, list[dict[str, str]]]  #: where the code came from, by step name
    runtime: Bundle  #: what runs functions as steps
    round: Expression | None = None  #: inside a ForEach, what tells its rounds apart

    def location(self, step: str, *more: str) -> Join:
        """Return the S3 URI below which a step's outputs lie in each execution."""
        inside = () if self.round is None else (self.round,)
        return Join(("s3:/", self.defaults.bucket, self.pipeline, execution.id, step, *inside, *more), on="/")

    def code_prefix(self, step: str) -> str:
        """Return the key prefix of a step's code; it is the same as long as the code is."""
        return self.prefix_of(self.bundles[step])

    def prefix_of(self, bundle: Bundle) -> str:
        """Return the key prefix of a bundle."""
        return f"{self.pipeline}/code/{bundle.digest}/"

    @property
    def runtime_uri(self) -> str:
        """The S3 URI of what runs functions as steps."""
        return f"s3://{self.defaults.bucket}/{self.prefix_of(self.runtime)}"

    def code_uri(self, step: str, name: str = "") -> str:
        """Return the S3 URI of a file of the step's code, or of all of it."""
        return f"s3://{self.defaults.bucket}/{self.code_prefix(step)}{name}"

    def resources(self, *, instance_type: Any, instance_count: Any, volume_gb: Any) -> Document:
        """Return the part of a job's request that says on what it runs."""
        return {
            "InstanceType": self.defaults.instance_type if instance_type is None else instance_type,
            "InstanceCount": instance_count,
            "VolumeSizeInGB": volume_gb,
        }
