"""Sends messages to webhooks. One request each, no redirects, no proxies but those of the environment."""

import http.client
import urllib.error
import urllib.request
from typing import Any

from towpath.triggers.ports import Answer, Message

TIMEOUT_S = 5.0  #: of silence. Source: Amazon EventBridge User Guide, "API destinations": five seconds
_MOST_TOLD = 512  #: characters of an answer that a failure tells of


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Takes a redirect for an answer: what was sent to one host is not sent on to another."""

    def redirect_request(self, *_: Any) -> None:
        """Return no request that would follow it."""


_OPENER = urllib.request.build_opener(_NoRedirects)


def post(message: Message) -> Answer:
    """Implements `triggers.ports.Post` over HTTP and HTTPS."""
    request = urllib.request.Request(
        message.url, data=message.body.encode(), headers={"User-Agent": "towpath", **message.headers}, method="POST"
    )
    try:
        with _OPENER.open(request, timeout=TIMEOUT_S) as answer:
            return Answer(status=answer.status)
    except urllib.error.HTTPError as error:
        with error:
            told = error.read(_MOST_TOLD).decode("utf-8", "replace")
        return Answer(status=error.code, reason=told)
    except (OSError, http.client.HTTPException) as error:
        return Answer(reason=f"{message.url} cannot be reached: {error}")
