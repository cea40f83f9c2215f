"""Callback steps as values: what is asked of whom, what an answer must be like, and what comes of it. Pure.

Source: Amazon SageMaker Developer Guide, "Callback step", for the message and for how it is answered.
"""

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec

from towpath.kernel.errors import Invalid
from towpath.kernel.resource import Document, Resource, Uid
from towpath.pipelines.definition import Parameter, ParameterType
from towpath.pipelines.parameters import typed
from towpath.pipelines.paths import describe

MOST_OUTPUTS = 50  #: of a step. Source: SageMaker API Reference, CallbackStepMetadata
LONGEST_ADDRESS = 256  #: characters. Source: the same


class CallbackStatus(StrEnum):
    """How a wait for an answer stands."""

    WAITING = "Waiting"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    STOPPED = "Stopped"


class Output(msgspec.Struct, frozen=True, rename="pascal"):
    """A value that an answer has to bring."""

    output_name: str
    output_type: str = ParameterType.STRING.value


class CallbackSpec(msgspec.Struct, frozen=True, rename="pascal"):
    """What a step asks, and of whom."""

    callback_token: str
    pipeline_execution_arn: str
    sqs_queue_url: str  #: of a queue, or of a webhook
    arguments: Document = {}
    output_parameters: tuple[Output, ...] = ()


class CallbackState(msgspec.Struct, frozen=True, rename="pascal", omit_defaults=True):
    """What came of it."""

    delivery: Uid | None = None  #: of the message to a webhook
    outputs: dict[str, str | int | float | bool] = {}  #: of the answer, in their types
    failure_reason: str | None = None
    answer_token: str | None = None  #: ClientRequestToken of the answer
    answer_digest: str | None = None  #: of the request that brought it with a token


def request_of(arguments: Document, members: Document) -> Document:
    """Return what a step asks for, from what it says in and beside its Arguments."""
    return {
        "Arguments": arguments,
        "SqsQueueUrl": members.get("SqsQueueUrl"),
        "OutputParameters": members.get("OutputParameters") or [],
    }


def told_of(callback: Resource) -> Document:
    """Return what ListPipelineExecutionSteps tells of a Callback step."""
    outputs = callback.state.get("Outputs")
    declared = [output["OutputName"] for output in callback.spec["OutputParameters"]]
    told = {"CallbackToken": callback.spec["CallbackToken"], "SqsQueueUrl": callback.spec["SqsQueueUrl"]}
    if not outputs:
        return told
    shown = [{"Name": name, "Value": _text(outputs[name])} for name in declared if name in outputs]
    return {**told, "OutputParameters": shown}


def yielded_by(callback: Resource) -> Document:
    """Return what a step yields once it was answered: its outputs by name."""
    return {"OutputParameters": callback.state.get("Outputs") or {}}


def message(spec: CallbackSpec, status: str) -> str:
    """Return the text of the message that tells of a step."""
    # Escaped, so that it holds no character that a queue refuses.
    return json.dumps(
        {
            "token": spec.callback_token,
            "pipelineExecutionArn": spec.pipeline_execution_arn,
            "arguments": spec.arguments,
            "status": status,
        }
    )


def outputs_of(declared: Sequence[Output], given: Sequence[Document]) -> dict[str, Any]:
    """Return what an answer brings, each value in the type that the step declares.

    Raises:
        Invalid: a value is not of its type, or the step declares no such output; every fault is named.
    """
    types = {output.output_name: output.output_type for output in declared}
    found: dict[str, Any] = {}
    faults = []
    for each in given:
        name, text = each["Name"], each["Value"]
        if name not in types:
            faults.append(f"the step declares no output {name!r}; it declares {', '.join(types) or 'none'}")
            continue
        if name in found:
            faults.append(f"output {name!r} is given twice")
            continue
        try:
            found[name] = typed(Parameter(name=name, type=ParameterType(types[name])), text)
        except Invalid as error:
            faults.append(f"output {name!r}: {error.message}")
    if faults:
        raise Invalid("The output parameters are not valid: " + "; ".join(faults), code="ValidationException")
    return found


def check_complete(declared: Sequence[Output], found: Mapping[str, Any]) -> None:
    """Refuse an answer that leaves out an output: steps that read it would fail for good, as a retry keeps this one.

    Raises:
        Invalid: an output is missing; every one is named with its type.
    """
    missing = [f"{each.output_name} ({each.output_type})" for each in declared if each.output_name not in found]
    if missing:
        raise Invalid(
            f"The answer leaves out outputs that the step declares: {', '.join(missing)}; give each of them a value",
            code="ValidationException",
        )


def output_faults(declared: Any) -> list[tuple[int | None, str]]:
    """Return what is wrong with the OutputParameters of a step: (number of the item, or None for the whole; why)."""
    if not isinstance(declared, list):
        return [(None, f"expected a list of objects with OutputName and OutputType, found {describe(declared)}")]
    faults: list[tuple[int | None, str]] = []
    if len(declared) > MOST_OUTPUTS:
        faults.append((None, f"there are {len(declared)}; expected at most {MOST_OUTPUTS}"))
    seen = set()
    for number, output in enumerate(declared):
        if not isinstance(output, Mapping) or not isinstance(output.get("OutputName"), str) or not output["OutputName"]:
            faults.append((number, f"expected an object with OutputName and OutputType, found {describe(output)}"))
            continue
        kind = output.get("OutputType", ParameterType.STRING.value)
        if kind not in list(ParameterType):
            faults.append((number, f"{kind!r} is not a type of outputs; expected one of {', '.join(ParameterType)}"))
        if output["OutputName"] in seen:
            faults.append((number, f"the name {output['OutputName']!r} is taken by another output"))
        seen.add(output["OutputName"])
    return faults


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
