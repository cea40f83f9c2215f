"""Who read and wrote which objects of the lake."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from towpath.sdk.client import Client

_LOOKUP = "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents"


@dataclass(frozen=True, kw_only=True)
class Access:
    """What somebody did with one version of an object within an hour of the clock, by one operation of S3."""

    operation: str  #: GetObject, PutObject, CopyObject, CompleteMultipartUpload or DeleteObject
    principal: str
    uri: str  #: the `s3://` form
    version_id: str
    last_at: float  #: seconds since 1970
    requests: int  #: a large object is read by many, range by range


def accesses(
    client: Client, uri: str | None = None, *, by: str | None = None, operation: str | None = None
) -> Iterator[Access]:
    """Yield who read and wrote objects, the last recorded first.

    Args:
        uri: only of this bucket, object, or version of one: `s3://bucket`, `s3://bucket/key`,
            `s3://bucket/key?versionId=ID`.
        by: only what this principal did.
        operation: only by this operation of S3.
    """
    wanted = {"ResourceName": uri, "Username": by, "EventName": operation}
    attributes = [{"AttributeKey": key, "AttributeValue": value} for key, value in wanted.items() if value is not None]
    for event in client.pages(_LOOKUP, "Events", {"LookupAttributes": attributes}):
        record = json.loads(event["CloudTrailEvent"])
        asked = record["requestParameters"]
        yield Access(
            operation=event["EventName"],
            principal=event["Username"],
            uri=f"s3://{asked['bucketName']}/{asked['key']}",
            version_id=asked["versionId"],
            last_at=float(event["EventTime"]),
            requests=record["additionalEventData"]["requestCount"],
        )
