"""LookupEvents of CloudTrail: who read and wrote which objects.

Source: AWS CloudTrail API Reference, "LookupEvents"; AWS CloudTrail User Guide, "CloudTrail record contents"; Amazon S3
User Guide, "Example: CloudTrail log file entries for Amazon S3".
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from towpath.kernel import paging
from towpath.kernel.accesses import AccessQuery, ObjectAccess
from towpath.kernel.arns import Home
from towpath.kernel.errors import Invalid, Unsupported
from towpath.kernel.objects import parse_s3_uri
from towpath.kernel.operations import Operation, Request
from towpath.kernel.ports import Transaction
from towpath.kernel.resource import Document

SOURCE = "s3.amazonaws.com"
_BUCKET, _OBJECT = "AWS::S3::Bucket", "AWS::S3::Object"
_ARN = "arn:aws:s3:::"
_MOST = 50  #: events in an answer
_VERSION = "?versionId="  #: stands between an object and its version, as in S3's own URLs


def lookup_operations(flush: Callable[[], None]) -> dict[str, Operation]:
    """Return the operation by its name.

    Args:
        flush: has recorded what was read before the question.
    """
    return {
        "LookupEvents": Operation(name="LookupEvents", function=lookup_events, writes=False, prepare=lambda _: flush())
    }


def lookup_events(transaction: Transaction, request: Request) -> Document:
    """Carry out LookupEvents: the last recorded first. Of several attributes all have to fit.

    Raises:
        Invalid: an attribute, a time or the token is none.
        Unsupported: what is asked for is not recorded here.
    """
    asked = request.input
    if asked.get("EventCategory") is not None:
        raise Unsupported(
            f"EventCategory {asked['EventCategory']!r}: there are no insights here; leave EventCategory out",
            code="InvalidEventCategoryException",
        )
    since, until = _time(asked.get("StartTime")), _time(asked.get("EndTime"))
    if since is not None and until is not None and since > until:
        raise Invalid("StartTime is after EndTime", code="InvalidTimeRangeException")
    query: AccessQuery | None = AccessQuery(since=since, until=until)
    for attribute in asked.get("LookupAttributes") or ():
        query = _narrowed(query, attribute["AttributeKey"], attribute["AttributeValue"])
    if query is None:
        return {"Events": []}
    limit = int(asked.get("MaxResults") or _MOST)
    try:
        before = paging.position(asked.get("NextToken"))
    except Invalid as error:
        raise Invalid(error.message, code="InvalidNextTokenException") from None
    found = transaction.accesses.page(query, before=before, limit=limit + 1)
    answer: Document = {"Events": [_event(transaction.home, access) for access in found[:limit]]}
    return answer if len(found) <= limit else {**answer, "NextToken": str(found[limit - 1].number)}


def _narrowed(query: AccessQuery | None, key: str, value: str) -> AccessQuery | None:
    """Return a query that one more attribute has to fit, None where nothing can fit all of them."""
    wanted = _wanted(key, value)
    if query is None or wanted is None:
        return None
    for name, each in wanted.items():
        if getattr(query, name) not in {None, each}:
            return None
    return replace(query, **wanted)


def _wanted(key: str, value: str) -> dict[str, Any] | None:
    """Return what an attribute asks for by the names of `AccessQuery`, None where nothing here fits it."""
    match key:
        case "EventName":
            return {"operation": value}
        case "Username":
            return {"principal": value}
        case "AccessKeyId":
            return {"access_key": value}
        case "ReadOnly" if value in {"true", "false"}:
            return {"reads": value == "true"}
        case "EventSource":
            return {} if value == SOURCE else None
        case "ResourceType":
            return {} if value in {_BUCKET, _OBJECT} else None
        case "ResourceName":
            return _resource(value)
        case "EventId":
            number = _number(value)
            return None if number is None else {"number": number}
    raise Invalid(f"{key} {value[:80]!r}: expected true or false", code="InvalidLookupAttributesException")


def _resource(name: str) -> dict[str, Any]:
    """Return the bucket, the object or the version of an object that a name means.

    It is the name of a bucket, an ARN of S3 or an S3 URI; `?versionId=` stands before a version.
    """
    plain, _, version = name.partition(_VERSION)
    uri = plain if plain.startswith("s3://") else f"s3://{plain.removeprefix(_ARN)}"
    bucket, key = parse_s3_uri(uri)
    wanted = {"bucket": bucket, "key": key, "version_id": version}
    return {member: value for member, value in wanted.items() if value}


def _number(event_id: str) -> int | None:
    try:
        number = UUID(event_id).int
    except ValueError:
        return None
    return number if 0 < number < 2**63 else None


def _time(epoch_s: float | None) -> datetime | None:
    """Return a moment; what lies outside of a calendar lies at its end.

    Raises:
        Invalid: it is no time.
    """
    if epoch_s is None:
        return None
    try:
        return datetime.fromtimestamp(float(epoch_s), UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise Invalid(f"{epoch_s!r} is no time", code="InvalidTimeRangeException") from error


def _event(home: Home, access: ObjectAccess) -> Document:
    return {
        "EventId": str(UUID(int=access.number)),
        "EventName": access.operation,
        "ReadOnly": "true" if access.reads else "false",
        "AccessKeyId": access.access_key,
        "EventTime": access.last_at.timestamp(),
        "EventSource": SOURCE,
        "Username": access.principal,
        "Resources": [
            {"ResourceType": _OBJECT, "ResourceName": f"{_ARN}{access.bucket}/{access.key}"},
            {"ResourceType": _BUCKET, "ResourceName": access.bucket},
        ],
        "CloudTrailEvent": json.dumps(_record(home, access)),
    }


def _record(home: Home, access: ObjectAccess) -> Document:
    """Return an access in the form of CloudTrail's records; with additionalEventData for the rest."""
    return {
        "eventVersion": "1.11",
        "userIdentity": {
            "type": "IAMUser",
            "principalId": access.principal,
            "arn": f"arn:aws:iam::{home.account}:user/{access.principal}",
            "accountId": home.account,
            "accessKeyId": access.access_key,
            "userName": access.principal,
        },
        "eventTime": f"{access.last_at:%Y-%m-%dT%H:%M:%SZ}",
        "eventSource": SOURCE,
        "eventName": access.operation,
        "awsRegion": home.region,
        "requestParameters": {"bucketName": access.bucket, "key": access.key, "versionId": access.version_id},
        "additionalEventData": {
            "firstEventTime": f"{access.first_at:%Y-%m-%dT%H:%M:%SZ}",
            "requestCount": access.count,
        },
        "requestID": access.request_id,
        "eventID": str(UUID(int=access.number)),
        "readOnly": access.reads,
        "resources": [
            {"type": _OBJECT, "ARN": f"{_ARN}{access.bucket}/{access.key}"},
            {"type": _BUCKET, "ARN": f"{_ARN}{access.bucket}", "accountId": home.account},
        ],
        "eventType": "AwsApiCall",
        "managementEvent": False,
        "recipientAccountId": home.account,
        "eventCategory": "Data",
    }
