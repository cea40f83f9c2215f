"""A definition is checked before the transaction that records it, and compiled before the one that starts it, so that
others can write meanwhile."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.gateway.conftest import HOME

from towpath.gateway import Gateway, application
from towpath.kernel.ports import Store
from towpath.kernel.principals import AccessKey
from towpath.pipelines import plans
from towpath.pipelines.definition import Definition, Step
from towpath.pipelines.graph import Plan
from towpath.pipelines.graph import compile as compiled
from towpath.pipelines.service import operations
from towpath.store import SqliteStore


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


def test_others_can_write_while_the_plan_of_what_is_started_or_tried_again_is_compiled(
    make_gateway: Callable[..., Gateway],
    ask: Callable[..., Any],
    tmp_path: Path,
    ada: AccessKey,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun: list[str] = []
    store = SqliteStore(tmp_path / "store.db", home=HOME)

    def compile_plan(definition: Definition) -> Plan:
        store.write(lambda transaction: transaction.resources.next_number("compiled"))
        begun.append(definition.steps[0].name)
        return compiled(definition)

    monkeypatch.setattr(plans, "compile", compile_plan)
    app = application(make_gateway(store=store, operations={each.name: each for each in operations(store=store)}))

    def asked(name: str, status: int = 200, **members: Any) -> Any:
        headers = {"x-amz-target": f"SageMaker.{name}", "authorization": f"Bearer {ada.token}"}
        headers["content-type"] = "application/x-amz-json-1.1"
        answer = ask(app, "POST", "/", headers, json.dumps(members).encode())
        assert answer.status == status, answer.body
        return json.loads(answer.body)

    step = {"Name": "Compiled", "Type": "Processing", "Arguments": {"AppSpecification": {"ImageUri": "towpath"}}}
    definition = json.dumps({"Version": "2020-12-01", "Steps": [step]})
    token, role = "y" * 32, "arn:aws:iam::123456789012:role/any"
    asked(
        "CreatePipeline",
        PipelineName="compiled",
        PipelineDefinition=definition,
        RoleArn=role,
        ClientRequestToken=token,
    )
    started = {"PipelineName": "compiled", "ClientRequestToken": token}
    arn = asked("StartPipelineExecution", 200, **started)["PipelineExecutionArn"]
    assert begun == ["Compiled"], "once, in no transaction"
    assert asked("StartPipelineExecution", 200, **started)["PipelineExecutionArn"] == arn

    monkeypatch.setattr(plans, "_PLANS", plans._Plans())
    asked("RetryPipelineExecution", 400, PipelineExecutionArn=arn, ClientRequestToken="z" * 32)  # it has not ended
    assert begun == ["Compiled", "Compiled"], "a server that was started anew knows no plans"
    store.close()
