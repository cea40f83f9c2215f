"""The second argument of handlers.

Source: AWS Lambda Developer Guide, "Using the Lambda context object to retrieve Python function information".
"""

import json
import time
from types import SimpleNamespace
from typing import Any

from towpath.handling.settings import Call

VERSION = "$LATEST"


class Context:
    """What a handler is told of its call."""

    function_version = VERSION

    def __init__(self, call: Call, *, ends_at: float) -> None:
        """`ends_at` is when the call is given up, on the monotonic clock."""
        self.function_name = call.function_name
        self.invoked_function_arn = call.function_arn
        self.memory_limit_in_mb = str(call.memory_mb)  # a text there, too
        self.aws_request_id = call.request_id
        self.log_group_name = call.log_group
        self.log_stream_name = call.log_stream
        self.identity = SimpleNamespace(cognito_identity_id=None, cognito_identity_pool_id=None)
        self.client_context = _client_context(call.client_context)
        self.tenant_id = None
        self._ends_at = ends_at

    def get_remaining_time_in_millis(self) -> int:
        """Return how long the call may still take, in milliseconds."""
        return max(0, int((self._ends_at - time.monotonic()) * 1000))

    def log(self, message: str) -> None:
        """Write a line into the log."""
        print(message, flush=True)


def _client_context(text: str) -> Any:
    if not text:
        return None
    told = json.loads(text)
    return SimpleNamespace(
        client=SimpleNamespace(**(told.get("client") or {})), custom=told.get("custom"), env=told.get("env")
    )
