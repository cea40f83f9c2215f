"""Events in EventBridge's form. Pure.

Source: Amazon EventBridge User Guide, "AWS service event metadata"; Amazon S3 User Guide, "EventBridge event message
structure"; AWS CloudTrail User Guide, "CloudTrail record contents".
"""

from datetime import datetime
from uuid import uuid4

from towpath.kernel.arns import Home
from towpath.kernel.events import Event
from towpath.kernel.objects import ObjectVersion
from towpath.kernel.resource import Document

API_CALL = "AWS API Call via CloudTrail"
OBJECT_CREATED = "Object Created"
SCHEDULED = "Scheduled Event"
SAGEMAKER = "aws.sagemaker"
CLOUDWATCH = "aws.cloudwatch"
S3 = "aws.s3"
EVENTS = "aws.events"
SCHEDULER = "aws.scheduler"


def envelope(
    home: Home, *, source: str, detail_type: str, at: datetime, detail: Document, resources: tuple[str, ...] = ()
) -> Document:
    """Return an event in the form in which rules see it and targets get it."""
    return {
        "version": "0",
        "id": str(uuid4()),
        "detail-type": detail_type,
        "source": source,
        "account": home.account,
        "time": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        "region": home.region,
        "resources": list(resources),
        "detail": detail,
    }


def of_event(home: Home, event: Event) -> Document:
    """Return what rules see of an event of ours: a change of state under its own name, anything else as an API call."""
    resources = (event.subject_arn,) if event.subject_arn else ()
    if " " in event.type:
        source = CLOUDWATCH if event.type.startswith("CloudWatch ") else SAGEMAKER
        return envelope(
            home, source=source, detail_type=event.type, at=event.at, detail=event.detail, resources=resources
        )
    detail: Document = {
        "eventSource": "sagemaker.amazonaws.com",
        "eventName": event.type,
        "awsRegion": home.region,
        "userIdentity": {
            "type": "IAMUser",
            "principalId": event.principal,
            "arn": f"arn:aws:iam::{home.account}:user/{event.principal}",
            "accountId": home.account,
            "userName": event.principal,
        },
        "requestID": event.detail.get("request_id"),
        "resources": [{"ARN": arn} for arn in resources],
    }
    return envelope(home, source=SAGEMAKER, detail_type=API_CALL, at=event.at, detail=detail, resources=resources)


def of_object(home: Home, version: ObjectVersion) -> Document:
    """Return what rules see of a new version of an object."""
    detail: Document = {
        "version": "0",
        "bucket": {"name": version.bucket},
        "object": {
            "key": version.key,
            "size": version.size,
            "etag": version.etag,
            "version-id": version.version_id,
            "sha256": version.sha256,
        },
        "requester": version.created_by,
        "reason": "PutObject",
    }
    return envelope(
        home,
        source=S3,
        detail_type=OBJECT_CREATED,
        at=version.created_at,
        detail=detail,
        resources=(f"arn:aws:s3:::{version.bucket}",),
    )
