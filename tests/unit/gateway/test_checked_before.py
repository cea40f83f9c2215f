"""A definition is checked before the transaction that records it, so that others can write meanwhile."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from towpath.gateway import Gateway, application
from towpath.kernel.ports import Store
from towpath.kernel.principals import AccessKey
from towpath.pipelines.definition import Step
from towpath.pipelines.service import operations


@pytest.mark.parametrize("operation", ["CreatePipeline", "UpdatePipeline"])
def test_others_can_write_while_a_definition_is_checked(
    make_gateway: Callable[..., Gateway], ask: Callable[..., Any], store: Store, ada: AccessKey, operation: str
) -> None:
    written: list[str] = []

    def check(step: Step) -> None:
        # It waits for a transaction of its own, which never came if this were part of another one.
        store.write(lambda transaction: transaction.resources.next_number(f"{operation}/{step.name}"))
        written.append(step.name)

    table = {each.name: each for each in operations(check_arguments=check)}
    app = application(make_gateway(operations=table))
    arguments = {"AppSpecification": {"ImageUri": "towpath"}}
    steps = [{"Name": name, "Type": "Processing", "Arguments": arguments} for name in ("A", "B")]

    def asked(name: str) -> None:
        members = {
            "PipelineName": "checked",
            "PipelineDefinition": json.dumps({"Version": "2020-12-01", "Steps": steps}),
            "RoleArn": "arn:aws:iam::123456789012:role/any",
            **({"ClientRequestToken": "x" * 32} if name == "CreatePipeline" else {}),
        }
        headers = {"x-amz-target": f"SageMaker.{name}", "authorization": f"Bearer {ada.token}"}
        headers["content-type"] = "application/x-amz-json-1.1"
        answer = ask(app, "POST", "/", headers, json.dumps(members).encode())
        assert answer.status == 200, answer.body

    asked("CreatePipeline")
    if operation == "UpdatePipeline":
        written.clear()
        steps.reverse()
        asked("UpdatePipeline")
        assert written == ["B", "A"], "once each"
    else:
        assert written == ["A", "B"], "once each"
