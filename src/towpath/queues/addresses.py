"""The addresses of queues: `https://sqs.REGION.amazonaws.com/ACCOUNT/NAME`, or the same below the address of a server.

A server may answer at another port after each start, and code that was written for AWS names its hosts. What says which
queue is meant is therefore the name alone. Pure.
"""

import re
from urllib.parse import urlsplit

from towpath.kernel.arns import Home
from towpath.kernel.errors import Invalid, NotFound

ARN_SERVICE = "sqs"
NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")
_PATH = re.compile(r"/([0-9]{12})/([^/]+)")
#: Source: Amazon SQS Developer Guide, "Amazon SQS endpoints", and the AWS General Reference for its older hosts.
_HOST_OF_AWS = re.compile(
    r"(sqs(-fips)?\.[a-z0-9-]+|([a-z0-9-]+\.)?queue)\.amazonaws\.com(\.cn)?|sqs\.[a-z0-9-]+\.api\.(aws|amazonwebservices\.com\.cn)"
)


def url_of(name: str, home: Home, server: str) -> str:
    """Return the address of a queue at a server."""
    return f"{server.rstrip('/')}/{home.account}/{name}"


def arn_of(name: str, home: Home) -> str:
    """Return the ARN of a queue."""
    return f"arn:aws:{ARN_SERVICE}:{home.region}:{home.account}:{name}"


def queue_of(address: str, home: Home) -> str | None:
    """Return the name of the queue here that an address means, None where it means something else.

    Raises:
        Invalid: it is the address of a queue as there is none here.
    """
    parts = urlsplit(address)
    if parts.scheme not in {"http", "https"}:
        return None
    of_aws = _HOST_OF_AWS.fullmatch(parts.hostname or "") is not None
    path = _PATH.fullmatch(parts.path)
    if path is None or not (of_aws or path[1] == home.account):
        if of_aws:
            raise Invalid(f"{address!r} is not the address of a queue; expected https://HOST/ACCOUNT/NAME")
        return None
    if NAME.fullmatch(path[2]) is None:
        raise Invalid(f"{path[2]!r} is not the name of a queue here; {expected_name(path[2])}")
    return path[2]


def asked_for(url: str) -> str:
    """Return the name of the queue that a request of SQS is about.

    Raises:
        NotFound: the address is not one of a queue.
    """
    path = _PATH.search(urlsplit(url).path)
    if path is None:
        raise NotFound(f"{url!r} is not the address of a queue: it has no /ACCOUNT/NAME.", code="QueueDoesNotExist")
    return path[2]


def expected_name(name: str) -> str:
    """Return in words what names of queues are like, said of one that is not."""
    if name.endswith(".fifo"):
        return "FIFO queues are not there: messages come at least once, and mostly in their order"
    return "expected 1 to 80 letters, digits, '-' and '_'"
