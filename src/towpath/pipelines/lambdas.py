"""Lambda steps as values: what is asked of which function, and what is told of it. Pure."""

import json

from towpath.functions.model import InvocationSpec, InvocationState
from towpath.kernel.resource import Document, Resource, view


def request_of(arguments: Document, members: Document) -> Document:
    """Return what a step asks for, from what it says in and beside its Arguments."""
    return {
        "FunctionArn": members.get("FunctionArn"),
        "Payload": json.dumps(arguments, ensure_ascii=False),
        "OutputParameters": members.get("OutputParameters") or [],
    }


def told_of(call: Resource) -> Document:
    """Return what ListPipelineExecutionSteps tells of a Lambda step."""
    spec, state = view(InvocationSpec, call.spec), view(InvocationState, call.state)
    told: Document = {"Arn": spec.function_arn}
    if not state.outputs:
        return told
    declared = [each["OutputName"] for each in spec.output_parameters or ()]
    shown = [{"Name": name, "Value": _text(state.outputs[name])} for name in declared if name in state.outputs]
    return {**told, "OutputParameters": shown}


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
