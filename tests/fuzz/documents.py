"""Documents for the input shapes of operations: right ones, and such as no client ought to send."""

import base64
import json
import re
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from towpath.kernel.shapes import compile_pattern

_MOST_OPTIONAL = 4  #: optional members of one structure
_DEEPEST = 6  #: of what is right; beyond it recursive shapes get no optional members
EXECUTION = "arn:aws:sagemaker:us-east-1:000000000000:pipeline/fuzz/execution/abcdefghijkl"
PACKAGE = "arn:aws:sagemaker:us-east-1:000000000000:model-package/fuzz/1"
ARTIFACT = "arn:aws:sagemaker:us-east-1:000000000000:artifact/fuzz"
#: Names, ARNs and texts that resources of the server have, or could have.
KNOWN = (
    "fuzz", "fuzz-a", "fuzz/1", "a", "Fuzz1", "1", "default", "s3://fuzz/key", "s3://fuzz/", "s3://nowhere/at/all",
    "python", "towpath",
    "arn:aws:iam::000000000000:role/any", "application/json", "/opt/ml/processing/in", "/", "{}", "[]",
    '{"Version": "2020-12-01", "Steps": []}',
    '{"Version": "2020-12-01", "Steps": [{"Name": "F", "Type": "Fail", "Arguments": {"ErrorMessage": "f"}}]}',
    '{"Version":"2012-10-17","Statement":[]}', "/aws/sagemaker/TrainingJobs", "fuzz-a-fuzz-a-fuzz-a-fuzz-a-fuzz-a",
    *(f"arn:aws:sagemaker:us-east-1:000000000000:{kind}/fuzz" for kind in (
        "pipeline", "training-job", "processing-job", "model", "endpoint", "endpoint-config", "model-package-group",
        "experiment", "experiment-trial", "experiment-trial-component", "action", "context", "model-card", "artifact",
    )),
    PACKAGE,
    EXECUTION,
    "arn:aws:sagemaker:us-east-1:000000000000:lineage-group/sagemaker-default-lineage-group",
)  # fmt: skip
_IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
_FAILS = '{"Version": "2020-12-01", "Steps": [{"Name": "F", "Type": "Fail", "Arguments": {"ErrorMessage": "f"}}]}'
_POLICY = '{"Version":"2012-10-17","Statement":[]}'
#: What members of some names mostly hold, so that requests get beyond the first refusal.
MEMBERS: dict[str, list[Any]] = {
    "AccessKeyId": ["AKIDAKIDAKIDAKID"],
    "AssumeRolePolicyDocument": [_POLICY, "{", "[]"],
    "CallbackToken": ["a" * 10],
    "Content": ["{}", '{"model_overview": {"model_id": 1}}', '{"intended_uses": []}', "[1]", "x"],
    "Image": [_IMAGE],
    "ImageUri": [_IMAGE],
    "LineageGroupName": ["sagemaker-default-lineage-group"],
    "ModelDataUrl": ["s3://fuzz/key"],
    "ModelPackageName": ["fuzz/1", PACKAGE],
    "ModelPackageGroupName": ["fuzz"],
    "PipelineDefinition": [_FAILS, '{"Version": "2020-12-01", "Steps": []}', "{}", "{"],
    "PolicyArn": ["arn:aws:iam::000000000000:policy/fuzz"],
    "PolicyDocument": [_POLICY, "{", "[]"],
    "PolicyName": ["fuzz"],
    "PolicySourceArn": ["arn:aws:iam::000000000000:role/fuzz"],
    "QueueName": ["fuzz"],
    "QueueUrl": ["http://127.0.0.1:7400/000000000000/fuzz", "https://sqs.us-east-1.amazonaws.com/000000000000/none"],
    "ReceiptHandle": ["YTpi"],
    "ResourceKind": ["Pipeline", "TrainingJob", "ModelPackage", "Experiment", "Trial", "Action", "ModelCardVersion"],
    "ResourcePolicy": [_POLICY, "{"],
    "RoleArn": ["arn:aws:iam::000000000000:role/any"],
    "RoleName": ["fuzz"],
    "SourceUri": ["s3://fuzz/key"],
    "TrainingImage": [_IMAGE],
    "UserName": ["fuzz"],
    "WaitTimeSeconds": [0, 1],
    "logGroupName": ["/aws/sagemaker/TrainingJobs", "/aws/sagemaker/ProcessingJobs", "/aws/sagemaker/Endpoints/fuzz"],
    "logStreamName": ["fuzz/algo-1-1"],
    **{
        name: ["fuzz"]
        for name in (
            "ActionName", "ArtifactName", "ContextName", "DatasetName", "EndpointConfigName", "EndpointName",
            "ExperimentName", "ModelCardName", "ModelName", "PipelineName", "ProcessingJobName", "ResourceName",
            "TrainingJobName", "TrialComponentName", "TrialName",
        )
    },
}  # fmt: skip
#: Members that make most requests end early, and so are there only now and then.
_SELDOM = frozenset({"NextToken", "Marker", "nextToken", "SelectiveExecutionConfig", "CrossAccountFilterOption"})
_FRESH = st.integers(0, 10**9).map("fresh-{}".format)  # so that something can be made
ODD_TEXTS = (
    "", " ", "\x00", "a\x00b", "\ud800", "a\udfff", "\u202egnp", "e\u0301", "\U0001f600", "\ufeff", "\r\n", "'", '"',
    "; DROP TABLE resource; --", "%", "%00", "../../etc/passwd", "${jndi:x}", "{{7*7}}", "<a>&", "NaN", "null",
    "arn:", "arn:aws:sagemaker:us-east-1:000000000000:", "arn:aws:sagemaker:us-east-1:000000000000:x/", "s3://",
    "s3:///", "s3://a", "s3://fuzz/\x00", "x" * 100_000, "\U0001f600" * 300, "a/" * 300, "W10=", "WzEsMl0=",
    "WyJhIiwxXQ==", "WzFlOTk5LDFd", "9" * 400, "-1", "1e999", "PT1H", "9999-12-31T23:59:59+14:00",
    "0001-01-01T00:00:00",
)  # fmt: skip
ODD_NUMBERS = (
    0, -1, 1, 2**31, 2**31 - 1, -(2**31) - 1, 2**63, 2**63 - 1, -(2**63), 2**70, 10**400, 0.5, -0.0, 1e308, 5e-324,
    float("nan"), float("inf"), -float("inf"), 253_402_300_799, 253_402_300_800, -62_135_596_800, -62_135_596_801,
)  # fmt: skip


def nested(depth: int) -> Any:
    """Return a document that is nested deep."""
    value: Any = "x"
    for number in range(depth):
        value = [value] if number % 2 else {"a": value}
    return value


odd_values: SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(ODD_TEXTS),
    st.sampled_from(ODD_NUMBERS),
    st.text(st.characters(), max_size=20),
    # Copies: a document may be spoilt further in place.
    st.sampled_from([[], {}, [None], [[]], {"": ""}, {"a": None}, ["a"] * 300, {str(n): n for n in range(300)}]).map(
        deepcopy
    ),
    st.sampled_from([3, 63, 64, 65, 99, 101, 200]).map(nested),
)


@st.composite
def right(draw: DrawFn, shape: Any, depth: int = 0) -> Any:
    """Draw a document that a shape allows."""
    match shape.type_name:
        case "structure":
            return draw(_structures(shape, depth))
        case "list":
            count = draw(st.integers(shape.metadata.get("min", 0), max(shape.metadata.get("min", 0), 2)))
            return [draw(right(shape.member, depth + 1)) for _ in range(count)]
        case "map":
            count = draw(st.integers(shape.metadata.get("min", 0), max(shape.metadata.get("min", 0), 2)))
            return {draw(right(shape.key, depth + 1)): draw(right(shape.value, depth + 1)) for _ in range(count)}
        case "boolean":
            return draw(st.booleans())
        case "timestamp":
            return draw(st.sampled_from([0, 1.5, 1_700_000_000, 4_000_000_000, -1, *ODD_NUMBERS[-4:-3]]))
        case "blob":
            return base64.b64encode(draw(st.binary(max_size=20))).decode()
        case "integer" | "long":
            least = max(shape.metadata.get("min", -5), -(2**31))
            most = min(shape.metadata.get("max", max(1000, least)), 2**31 - 1)
            return draw(st.sampled_from([least, most]) | st.integers(least, max(least, most)))
        case "float" | "double" | "bigdecimal":
            least = shape.metadata.get("min", 0)
            return draw(st.sampled_from([least, shape.metadata.get("max", 1.5), least + 0.5]))
        case _:
            return draw(_texts(shape))


@st.composite
def _structures(draw: DrawFn, shape: Any, depth: int) -> dict[str, Any]:
    required: Sequence[str] = shape.required_members
    seldom = draw(st.integers(0, 4)) == 0
    optional = [name for name in shape.members if name not in required and (seldom or name not in _SELDOM)]
    some: list[str] = []
    if optional and depth < _DEEPEST:
        most = 1 if shape.metadata.get("union") else _MOST_OPTIONAL
        some = draw(st.lists(st.sampled_from(optional), max_size=most, unique=True))
    return {name: draw(_members(name, shape.members[name], depth)) for name in [*required, *some]}


def _members(name: str, shape: Any, depth: int) -> SearchStrategy[Any]:
    """Return values of a member: mostly such as members of its name have."""
    anything = right(shape, depth + 1)
    if name not in MEMBERS or shape.type_name != "string":
        return anything
    usual = st.sampled_from(MEMBERS[name])
    if name.endswith("Name"):
        return st.one_of(usual, usual, _FRESH, anything)
    return st.one_of(usual, usual, usual, anything)


_TEXTS: dict[str, SearchStrategy[str]] = {}


def _texts(shape: Any) -> SearchStrategy[str]:
    """Return texts that a shape allows: known ones where they fit."""
    if shape.enum:
        return st.sampled_from(shape.enum)
    found = _TEXTS.get(shape.name)
    if found is None:
        found = _TEXTS[shape.name] = _texts_of(shape)
    return found


def _texts_of(shape: Any) -> SearchStrategy[str]:
    least, most = shape.metadata.get("min", 0), min(shape.metadata.get("max", 200), 4000)
    pattern = shape.metadata.get("pattern")
    compiled = None if pattern is None else compile_pattern(pattern)
    fitting = [
        text
        for text in (*KNOWN, "f" * max(least, 1))
        if least <= len(text) <= most and (compiled is None or compiled.fullmatch(text))
    ]
    texts: list[SearchStrategy[str]] = [st.sampled_from(fitting)] if fitting else []
    if compiled is not None and not fitting:
        bounded = re.compile(compiled.pattern.replace("{0,", "{0,").rstrip("$").lstrip("^"), re.ASCII)
        texts.append(st.from_regex(bounded, fullmatch=True).filter(lambda text: least <= len(text) <= most))
    elif compiled is None:
        texts.append(st.text(min_size=least, max_size=max(least, min(most, 20))))
    return st.one_of(texts)


@st.composite
def spoilt(draw: DrawFn, shape: Any) -> Any:
    """Draw a document in which one to three things are not as the shape wants them."""
    document = draw(right(shape))
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(document))
        if not places:
            return draw(odd_values)
        holder, key = draw(st.sampled_from(places))
        what = draw(st.sampled_from(["replace", "replace", "drop", "add", "whole"]))
        if what == "replace":
            holder[key] = draw(odd_values)
        elif what == "drop" and isinstance(holder, dict):
            holder.pop(key, None)
        elif what == "add" and isinstance(holder, dict):
            holder[draw(st.sampled_from(ODD_TEXTS))] = draw(odd_values)
        elif what == "whole":
            return draw(odd_values)
    return document


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Return every place of a document that can be written: what holds it, and under which key."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        holder = waiting.pop()
        inner = holder.items() if isinstance(holder, dict) else enumerate(holder) if isinstance(holder, list) else ()
        for key, item in inner:
            found.append((holder, key))
            waiting.append(item)
    return found


@st.composite
def broken(draw: DrawFn, shape: Any) -> bytes:
    """Draw bytes that are hardly a document."""
    whole = json.dumps(draw(right(shape))).encode()
    how = draw(st.sampled_from(["cut", "byte", "noise", "deep", "key", "digits", "twice"]))
    if how == "cut":
        return whole[: draw(st.integers(0, len(whole)))]
    if how == "byte":
        at = draw(st.integers(0, len(whole)))
        return whole[:at] + draw(st.binary(min_size=1, max_size=4)) + whole[at:]
    if how == "noise":
        return draw(st.binary(max_size=200))
    if how == "deep":
        return draw(st.sampled_from([b"[" * 100_000, b'{"a":' * 50_000, b"[" * 5_000 + b"]" * 5_000]))
    if how == "key":
        return b'{"' + b"k" * draw(st.sampled_from([10, 70_000])) + b'": 1}'
    if how == "digits":
        return whole.replace(b"1", draw(st.sampled_from([b"9" * 5000, b"1" * 4000, b"1e400", b"0.1e-999", b"01"])))
    return whole * 2
