"""What the events that triggers commonly wait for are known to have, so that a path to nothing is told at once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from towpath.sdk.known import did_you_mean

_OF_ALL = ("version", "id", "detail-type", "source", "account", "time", "region", "resources")
#: Type of an event -> the members of its detail.
OF_DETAIL: Mapping[str, tuple[str, ...]] = {
    "Object Created": (
        *("version", "bucket.name", "object.key", "object.size", "object.etag", "object.version-id", "object.sha256"),
        *("requester", "reason"),
    ),
    "SageMaker Model Package State Change": (
        *("ModelPackageName", "ModelPackageGroupName", "ModelPackageVersion", "ModelPackageArn", "ModelPackageStatus"),
        *("ModelApprovalStatus", "PreviousModelApprovalStatus", "ApprovalDescription", "CustomerMetadataProperties"),
        *("InferenceSpecification", "CreationTime", "LastModifiedTime", "UpdatedModelPackageFields"),
    ),
    "Scheduled Event": (),
}
#: Members whose own members, or items, vary.
_OPEN = (
    *("resources", "detail.CustomerMetadataProperties", "detail.InferenceSpecification"),
    "detail.UpdatedModelPackageFields",
)
_SOURCES = {"Object Created": "aws.s3", "SageMaker Model Package State Change": "aws.sagemaker"}


def read_in_vain(
    pattern: Mapping[str, object] | None, schedule: str | None, parameters: Mapping[str, str]
) -> list[str]:
    """Return in sentences which parameters are read from where the events that are waited for have nothing."""
    kind = "Scheduled Event" if schedule is not None else _kind(pattern or {})
    if kind is None:
        return []
    known = [*_OF_ALL, *(f"detail.{name}" for name in OF_DETAIL[kind])]
    return [
        f"parameter {name} is read from {path}, and events of the type {kind!r} have nothing there"
        + did_you_mean(path, (f"$.{each}" for each in known))
        for name, path in parameters.items()
        if path.startswith("$.") and not _leads_to(path.removeprefix("$."), known)
    ]


def _kind(pattern: Mapping[str, object]) -> str | None:
    """Return the type of all events that a pattern describes, None where they may be of several or of another one."""
    types, sources = pattern.get("detail-type"), pattern.get("source")
    if not isinstance(types, list) or len(types) != 1 or types[0] not in _SOURCES:
        return None
    return str(types[0]) if sources == [_SOURCES[types[0]]] else None


def _leads_to(path: str, known: Sequence[str]) -> bool:
    plain = re.sub(r"\[['\"](.+?)['\"]\]", r".\1", path)
    if plain in known or any(name.startswith(f"{plain}.") for name in known):
        return True
    return any(plain.startswith((f"{name}.", f"{name}[")) for name in _OPEN)
