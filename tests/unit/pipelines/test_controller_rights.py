"""Executions whose author or starter may not do everything, on a real store."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.pipelines.test_controller import Platform

from towpath.callers import Role
from towpath.kernel.operations import Operation, Request
from towpath.kernel.principals import PLATFORM, Caller
from towpath.kernel.resource import Document
from towpath.pipelines.ports import Shapes

PARAMETERS = [{"Name": "Approval", "Type": "String", "DefaultValue": "PendingManualApproval"}]
REGISTER = {
    "Name": "Register",
    "Type": "RegisterModel",
    "Arguments": {"ModelPackageGroupName": "reviews", "ModelApprovalStatus": {"Get": "Parameters.Approval"}},
}
DEFINITION = json.dumps({"Version": "2020-12-01", "Parameters": PARAMETERS, "Steps": [REGISTER]})


def caller(name: str, *roles: Role) -> Caller:
    return Caller(name, "request", roles=frozenset(roles))


ADMIN = caller("root", Role.ADMINISTRATOR)
SCIENTIST = caller("ada", Role.DATA_SCIENTIST)
OPERATOR = caller("olga", Role.OPERATOR)


@pytest.fixture
def run(tmp_path: Path, shapes: Shapes) -> Any:
    """Return a function that gives how an execution ended that one has written and another started."""
    platform = Platform(tmp_path, shapes)

    def ended(author: Caller, starter: Caller, approval: str) -> tuple[str, str]:
        asked = {"PipelineName": "reviews", "PipelineDefinition": DEFINITION, "RoleArn": "arn:aws:iam::1:role/r"}
        platform.call("CreatePipeline", author, **asked)
        parameters = [{"Name": "Approval", "Value": approval}]
        arn = platform.call("StartPipelineExecution", starter, PipelineName="reviews", PipelineParameters=parameters)
        platform.engine.run_until_idle()
        step = platform.steps(arn["PipelineExecutionArn"])["Register"]
        return step["StepStatus"], step.get("FailureReason", "")

    yield ended
    platform.store.close()


Run = Callable[[Caller, Caller, str], tuple[str, str]]


def test_an_operator_starts_what_a_data_scientist_wrote(run: Run) -> None:
    assert run(SCIENTIST, OPERATOR, "PendingManualApproval") == ("Succeeded", "")


def test_a_pipeline_is_no_way_around_the_approval(run: Run) -> None:
    status, why = run(SCIENTIST, ADMIN, "Approved")
    assert status == "Failed"
    assert "the author of the definition is not authorized to perform sagemaker:ApproveModelPackage" in why


def test_nor_is_a_parameter_of_one_whose_author_may_approve(run: Run) -> None:
    status, why = run(ADMIN, SCIENTIST, "Approved")
    assert status == "Failed"
    assert "ada is not authorized to perform sagemaker:ApproveModelPackage" in why


def test_an_administrator_s_pipeline_approves_for_an_administrator(run: Run) -> None:
    assert run(ADMIN, ADMIN, "Approved") == ("Succeeded", "")


def test_a_step_calls_with_the_roles_of_the_definition_s_author(tmp_path: Path, shapes: Shapes) -> None:
    platform = Platform(tmp_path, shapes)
    name, found = "CreateModelPackage", platform.operations["CreateModelPackage"]
    callers: list[Caller] = []

    def noted(transaction: Any, request: Request) -> Document:
        callers.append(request.caller)
        return found.function(transaction, request)

    platform.operations = {**platform.operations, name: Operation(name=name, function=noted)}
    platform.engine = platform.new_engine()
    platform.call("CreatePipeline", SCIENTIST, PipelineName="reviews", PipelineDefinition=DEFINITION, RoleArn="r")
    platform.call("StartPipelineExecution", OPERATOR, PipelineName="reviews")
    platform.engine.run_until_idle()
    assert [(one.principal, one.roles) for one in callers] == [("olga", frozenset({Role.DATA_SCIENTIST}))]
    platform.store.close()


def test_who_is_given_no_role_has_none() -> None:
    assert Caller("ada").roles == frozenset()
    assert PLATFORM.roles == {Role.ADMINISTRATOR}
