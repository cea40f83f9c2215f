"""What is asked of a function, read and checked: its name, its configuration, and what is not to be had here. Pure."""

import re
from typing import Any

from towpath.functions.model import (
    LARGEST_MB,
    LATEST,
    LONGEST_S,
    MOST_EVENT,
    MOST_PAYLOAD,
    SMALLEST_MB,
    FunctionSpec,
)
from towpath.kernel.arns import Home
from towpath.kernel.errors import Invalid, LimitExceeded, NotFound, Unsupported
from towpath.kernel.resource import Document
from towpath.kernel.texts import read_json

INVALID = "InvalidParameterValueException"
_NAME = re.compile(
    r"(?:arn:aws[a-z-]*:lambda:(?P<region>[a-z0-9-]+):)?(?:(?P<account>\d{12}):)?(?:function:)?"
    r"(?P<name>[A-Za-z0-9_-]+)(?::(?P<qualifier>\$LATEST|[A-Za-z0-9_-]+))?"
)
_LONGEST_NAME = 64
#: Bytes of all names and values. Source: AWS Lambda quotas.
_MOST_VARIABLES = 4096
_VARIABLE = re.compile(r"[a-zA-Z]([a-zA-Z0-9_])+")
#: Set by the platform. Source: AWS Lambda Developer Guide, "Defined runtime environment variables".
_RESERVED = re.compile(
    r"_HANDLER|_X_AMZN_TRACE_ID|AWS_(DEFAULT_)?REGION|AWS_EXECUTION_ENV|AWS_LAMBDA_\w+|LAMBDA_TASK_ROOT"
)
#: Member -> what to do without it. None of them has an equal in a process of this host.
_NOT_HERE = {
    "CapacityProviderConfig": "a function runs on the platform's own host",
    "CodeSigningConfigArn": "the code's digest is CodeSha256",
    "DeadLetterConfig": "a call that was given up stands in the function's log",
    "DurableConfig": "make a pipeline of the steps",
    "FileSystemConfigs": "put files into the archive, or read them through S3",
    "ImageConfig": "send the code as an archive",
    "ImageUri": "send the code as an archive (ZipFile, or S3Bucket and S3Key)",
    "KMSKeyArn": "name secrets as {{secrets.NAME}} in the variables",
    "SourceKMSKeyArn": "send the code unencrypted",
    "Layers": "put the packages into the archive, or install them in the environment that runs the function",
    "PublishTo": "$LATEST is the one version",
    "TenancyConfig": "every call is a process of its own",
}


def named(given: str, home: Home, qualifier: str | None = None) -> str:
    """Return the bare name of a function given by name or by ARN, whole or in part.

    Raises:
        NotFound: it is of another region or account, or names a version that there is not.
        Invalid: it is no name of a function.
    """
    found = _NAME.fullmatch(given)
    if found is None or len(found["name"]) > _LONGEST_NAME:
        raise Invalid(
            f"{given!r} names no function; expected up to {_LONGEST_NAME} letters, digits, '-' and '_', or an ARN",
            code=INVALID,
        )
    whole = f"arn:aws:lambda:{home.region}:{home.account}:function:{found['name']}"
    for wanted, here in ((found["region"], home.region), (found["account"], home.account)):
        if wanted not in (None, here):
            raise NotFound(f"Function not found: {given}; here are those of {whole}", code="ResourceNotFoundException")
    for asked in (found["qualifier"], qualifier):
        if asked not in (None, "", LATEST):
            raise NotFound(
                f"Function not found: {whole}:{asked}. A function has the one version {LATEST} here, and no aliases",
                code="ResourceNotFoundException",
            )
    return found["name"]


def is_name(given: str) -> bool:
    """Return whether a text may name a function."""
    return _NAME.fullmatch(given) is not None


def arn_of(name: str, home: Home) -> str:
    """Return the ARN of a function."""
    return f"arn:aws:lambda:{home.region}:{home.account}:function:{name}"


def refuse_what_is_not_here(asked: Document) -> None:
    """Raise Unsupported where a request asks for something that functions do not have here."""
    for member, instead in _NOT_HERE.items():
        if asked.get(member):
            raise Unsupported(f"{member} is not supported: {instead}. Leave it out", code=INVALID)
    if asked.get("PackageType", "Zip") != "Zip":
        raise Unsupported(
            "PackageType Image is not supported: functions run in Python environments of this host. Send an archive",
            code=INVALID,
        )
    if asked.get("Publish"):
        raise Unsupported(f"Publish is not supported: {LATEST} is the one version of a function", code=INVALID)
    if any((asked.get("VpcConfig") or {}).get(name) for name in ("SubnetIds", "SecurityGroupIds")):
        raise Unsupported(
            "VpcConfig is not supported: a function has the network of its host. Leave it out", code=INVALID
        )
    if (asked.get("SnapStart") or {}).get("ApplyOn", "None") != "None":
        raise Unsupported("SnapStart is not supported: every call is a fresh process. Leave it out", code=INVALID)
    logging: Document = asked.get("LoggingConfig") or {}
    if logging.get("LogFormat", "Text") != "Text" or logging.get("LogGroup"):
        raise Unsupported("LoggingConfig: only text in the group /aws/lambda/NAME is supported", code=INVALID)


def configuration(asked: Document, before: FunctionSpec | None = None) -> FunctionSpec:
    """Return the configuration that a request leads to.

    Args:
        before: that of the function as it is; None for a new one.
    Raises:
        Invalid, Unsupported: a member is out of bounds, or the runtime is not Python.
    """
    refuse_what_is_not_here(asked)
    told: Document = {} if before is None else {
        "runtime": before.runtime,
        "handler": before.handler,
        "timeout": before.timeout,
        "memory_size": before.memory_size,
        "variables": before.variables,
    }  # fmt: skip
    for member, field in (("Runtime", "runtime"), ("Handler", "handler"), ("Timeout", "timeout")):
        if asked.get(member) is not None:
            told[field] = asked[member]
    if asked.get("MemorySize") is not None:
        told["memory_size"] = asked["MemorySize"]
    if asked.get("Environment") is not None:
        told["variables"] = asked["Environment"].get("Variables") or {}
    for field, member in (("runtime", "Runtime"), ("handler", "Handler")):
        if not told.get(field):
            raise Invalid(f"{member} is missing; a function that is an archive needs it", code=INVALID)
    spec = FunctionSpec(**told)
    _check(spec)
    return spec


def _check(spec: FunctionSpec) -> None:
    if not spec.runtime.startswith("python3"):
        raise Unsupported(
            f"Runtime {spec.runtime} is not supported: functions run in Python environments of this host. "
            "Use python3.11, for example",
            code=INVALID,
        )
    module, dot, function = spec.handler.rpartition(".")
    if not dot or not module or not function:
        raise Invalid(f"Handler {spec.handler!r} is not of the form MODULE.FUNCTION", code=INVALID)
    if not 1 <= spec.timeout <= LONGEST_S:
        raise Invalid(f"Timeout is {spec.timeout}; expected 1 to {LONGEST_S} seconds", code=INVALID)
    if not SMALLEST_MB <= spec.memory_size <= LARGEST_MB:
        raise Invalid(f"MemorySize is {spec.memory_size}; expected {SMALLEST_MB} to {LARGEST_MB} MB", code=INVALID)
    for name in spec.variables:
        if not _VARIABLE.fullmatch(name):
            raise Invalid(
                f"Environment: {name!r} is no name of a variable; expected a letter, then letters, digits and '_'",
                code=INVALID,
            )
        if _RESERVED.fullmatch(name):
            raise Invalid(f"Environment: {name} is set by the platform and cannot be set here", code=INVALID)
    if sum(len(name) + len(value.encode()) for name, value in spec.variables.items()) > _MOST_VARIABLES:
        raise Invalid(f"Environment: names and values have more than {_MOST_VARIABLES} bytes together", code=INVALID)


def payload_of(given: Any, *, awaited: bool) -> str:
    """Return what a function is called with, as JSON text; nothing is an empty object, as on AWS.

    Raises:
        LimitExceeded: it is too large.
        Invalid: it is not JSON.
    """
    raw: bytes = given if isinstance(given, bytes) else (given or "").encode()
    most = MOST_PAYLOAD if awaited else MOST_EVENT
    if len(raw) > most:
        raise LimitExceeded(
            f"Request must be smaller than {most} bytes for the InvokeFunction operation",
            code="RequestTooLargeException",
        )
    if not raw.strip():
        return "{}"
    try:
        text = raw.decode("utf-8")
        read_json(text)
    except ValueError as error:
        raise Invalid(
            f"Could not parse request body into json: {error}", code="InvalidRequestContentException"
        ) from error
    return text
