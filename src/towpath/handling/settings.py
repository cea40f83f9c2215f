"""What one call of a function is told, and what it leaves: names and documents below /opt/ml."""

import json
from pathlib import Path
from typing import NamedTuple

SETTINGS = "input/config/function.json"  #: below /opt/ml, as all of these
EVENT = "input/event.json"
ARCHIVE = "input/function.zip"
CODE = "code"  #: the archive, unpacked: LAMBDA_TASK_ROOT
ANSWER = "output/answer"  #: folder of the two below
PAYLOAD = "payload"  #: what the function returned, or the document of its error; JSON
OUTCOME = "outcome.json"
#: Of an answer, in bytes. Source: AWS Lambda quotas, and the message of its error.
MOST_PAYLOAD = 6_291_556


# Tuples, and no data classes: to import those takes a fifth of the time in which a call begins.


class Call(NamedTuple):
    """One call of a function."""

    request_id: str
    handler: str  #: MODULE.FUNCTION; the module may lie in folders, as in `folder/module.function`
    timeout_s: float  #: for the handler; importing its module has at least `IMPORT_S`
    function_name: str
    function_arn: str
    memory_mb: int
    log_group: str
    log_stream: str
    client_context: str = ""  #: JSON

    def text(self) -> str:
        """Return the call as it is written down."""
        return json.dumps(self._asdict(), ensure_ascii=False)


class Outcome(NamedTuple):
    """How a call ended. Beside it lies the payload."""

    error: str | None  #: in the words of X-Amz-Function-Error; None when the handler returned
    import_ms: float  #: until the handler was found
    duration_ms: float  #: of the handler
    memory_mb: int  #: most that was used

    def text(self) -> str:
        """Return the outcome as it is written down."""
        return json.dumps(self._asdict())


def read_call(base: Path) -> Call:
    """Return the call of the job whose /opt/ml is `base`."""
    return Call(**json.loads((base / SETTINGS).read_text("utf-8")))
