"""The values of functions: what one is, and how a call of it stands.

Source: AWS Lambda API Reference, "FunctionConfiguration", and AWS Lambda quotas.
"""

from enum import StrEnum

import msgspec

from towpath.kernel.objects import ObjectRef
from towpath.kernel.resource import Document, Uid

LOG_GROUPS = "/aws/lambda/"  #: what the names of functions' log groups begin with
LATEST = "$LATEST"  #: the one version of a function
LONGEST_S = 900
SMALLEST_MB, LARGEST_MB = 128, 10_240
MB_OF_A_CORE = 1769  #: memory with which AWS gives a function the time of one virtual CPU
MOST_PAYLOAD = 6 * 1024 * 1024  #: bytes, of a call that is waited for
MOST_EVENT = 1024 * 1024  #: bytes, of one that is not
RETRIES = 2  #: of a call that nobody waits for. Source: AWS Lambda Developer Guide, "Asynchronous invocation"


class Code(msgspec.Struct, frozen=True, rename="pascal"):
    """The archive of a function's code, in one version."""

    bucket: str
    key: str
    version_id: str
    size: int
    sha256: str  #: hex
    is_ours: bool = False  #: it came with the request, and goes when the function goes

    @property
    def ref(self) -> ObjectRef:
        """The object version that holds it."""
        return ObjectRef(self.bucket, self.key, self.version_id)


class FunctionSpec(msgspec.Struct, frozen=True, rename="pascal"):
    """What was asked for, as far as a call depends on it."""

    runtime: str
    handler: str
    timeout: int = 3  #: seconds
    memory_size: int = SMALLEST_MB
    variables: dict[str, str] = {}  #: of Environment


class InvocationStatus(StrEnum):
    """How a call stands."""

    WAITING = "Waiting"
    IN_PROGRESS = "InProgress"
    STOPPING = "Stopping"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    STOPPED = "Stopped"

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes of it."""
        return self in {InvocationStatus.SUCCEEDED, InvocationStatus.FAILED, InvocationStatus.STOPPED}


class InvocationSpec(msgspec.Struct, frozen=True, rename="pascal"):
    """A call: of which function, as it was then, and with what."""

    function: Uid
    function_name: str
    function_arn: str
    code: Code
    configuration: FunctionSpec
    request_id: str  #: that the call is known by to the function, and in its log
    payload: str  #: JSON; empty once nobody can ask for it any more
    retries: int = 0  #: further attempts when the function fails
    client_context: str = ""  #: JSON
    output_parameters: tuple[Document, ...] | None = None  #: of the step that calls; None: no step does


class InvocationState(msgspec.Struct, frozen=True, rename="pascal", omit_defaults=True):
    """What came of a call."""

    attempt: int = 0  #: the last one that was begun
    environment: str | None = None  #: fingerprint of what the last attempt ran in, where a step calls
    seen: bool = False  #: whether the back end has told of it
    retry_at: float | None = None  #: epoch seconds; set while the next attempt waits for its time
    function_error: str | None = None  #: None when the function returned
    answer: str | None = None  #: what it returned, or the document of its error: JSON
    outputs: Document = {}  #: of a step, by name, in their types
    failure_reason: str | None = None
    ended_at: float | None = None  #: epoch seconds
    forgotten: bool = False  #: what it was called with and what it answered were removed


def attempt_key(uid: Uid, attempt: int) -> str:
    """Return the key under which an attempt is known to back ends."""
    return f"{uid}-{attempt}"


def attempt_keys(uid: Uid, state: InvocationState) -> list[str]:
    """Return the keys of all attempts so far, oldest first."""
    return [attempt_key(uid, number) for number in range(1, state.attempt + 1)]
