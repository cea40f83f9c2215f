"""What the server that answers is, and which settings it runs with: its file may have been changed since."""

import json
from collections.abc import Mapping
from typing import Any

from towpath.kernel.operations import Operation, Request
from towpath.kernel.ports import Transaction
from towpath.kernel.resource import Document


def server_operations(version: str, settings: Mapping[str, Any]) -> list[Operation]:
    """Return the operation of the service `towpath`; `settings` are those that may be shown."""
    answer: Document = {
        "Version": version,
        "Settings": [{"Name": name, "Value": json.dumps(value)} for name, value in settings.items()],
    }

    def describe_server(_: Transaction, __: Request) -> Document:
        """Carry out DescribeServer."""
        return answer

    return [Operation(name="DescribeServer", function=describe_server, writes=False)]
