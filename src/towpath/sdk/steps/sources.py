"""What a step may read from, and the way it stands in a request."""

from __future__ import annotations

from typing import Any, TypeAlias

from towpath.sdk.datasets import Dataset
from towpath.sdk.errors import DefinitionError
from towpath.sdk.expressions import Expression
from towpath.sdk.steps.step import StepResult

#: What a step may read: an `s3://` URI, a dataset, another step's output, or an expression that gives an S3 URI.
Source: TypeAlias = str | Dataset | Expression


def source_uri(source: Any, *, reader: str) -> str | Expression:
    """Return the S3 URI of a source.

    Args:
        reader: what reads it, for the message.
    Raises:
        DefinitionError: it is nothing that a step can read.
    """
    if isinstance(source, StepResult):
        return source.folder
    if isinstance(source, Expression):
        return source
    if isinstance(source, Dataset):
        return source.uri
    if isinstance(source, str) and source.startswith("s3://"):
        return source
    raise DefinitionError(
        f"{reader} cannot read {source!r}; expected an s3:// URI, dataset(name), step.output(name), or a parameter "
        "(a local file goes into the lake first: towpath data put NAME FILE)"
    )


def s3_input(uri: str | Expression) -> dict[str, Any]:
    """Return the members that a processing input and a training channel share."""
    return {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
