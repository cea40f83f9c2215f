"""Users with roles, by boto3 and the command line on a real server: what each may do, from one moment to the next."""

import io
import zipfile
from typing import Any

import pytest
from tests.acceptance.conftest import Machine
from tests.acceptance.test_identity import Door, refusal

pytestmark = pytest.mark.acceptance


@pytest.fixture
def door(machine: Machine) -> Door:
    return Door(machine, machine.up().url)


def made(door: Door, user: str, *roles: str) -> dict[str, str]:
    """Return a key of a new user with roles."""
    key: dict[str, str] = door.machine.json("keys", "create", user, *[f"--role={role}" for role in roles])
    return key


def test_each_service_refuses_what_a_role_does_not_allow(door: Door) -> None:
    viewer, scientist = made(door, "vera", "viewer"), made(door, "ada", "data-scientist")
    hers = door.client("sagemaker", viewer)
    assert hers.list_pipelines()["PipelineSummaries"] == []
    assert refusal(hers.create_model_package_group, ModelPackageGroupName="reviews") == "AccessDeniedException"
    assert refusal(door.client("s3", viewer).create_bucket, Bucket="lake") == "AccessDenied"
    assert refusal(door.client("iam", viewer).create_user, UserName="eve") == "AccessDenied"
    runtime = door.client("sagemaker-runtime", viewer)
    assert refusal(runtime.invoke_endpoint, EndpointName="live", Body=b"{}") == "AccessDeniedException"

    s3 = door.client("s3", scientist)
    s3.create_bucket(Bucket="lake")
    s3.put_object(Bucket="lake", Key="data", Body=b"rows")
    assert door.client("s3", viewer).get_object(Bucket="lake", Key="data")["Body"].read() == b"rows"
    assert refusal(door.client("s3", viewer).put_object, Bucket="lake", Key="data", Body=b"x") == "AccessDenied"
    assert refusal(door.client("s3", viewer).delete_objects, Bucket="lake", Delete={"Objects": [{"Key": "data"}]}) == (
        "AccessDenied"
    )
    theirs = door.client("sagemaker", scientist)
    theirs.create_model_package_group(ModelPackageGroupName="reviews")
    asked: dict[str, Any] = {"EndpointName": "live", "EndpointConfigName": "live"}
    assert refusal(theirs.create_endpoint, **asked) == "AccessDeniedException"
    engineer = door.client("sagemaker", made(door, "grace", "ml-engineer"))
    assert refusal(engineer.create_endpoint, **asked) == "ValidationException", "she may, and there is no such config"


def test_whoever_builds_a_model_registers_it_and_somebody_else_decides(door: Door) -> None:
    scientist = door.client("sagemaker", made(door, "ada", "data-scientist"))
    approver = door.client("sagemaker", made(door, "app", "approver"))
    scientist.create_model_package_group(ModelPackageGroupName="reviews")
    group: dict[str, Any] = {"ModelPackageGroupName": "reviews"}
    assert refusal(scientist.create_model_package, **group, ModelApprovalStatus="Approved") == "AccessDeniedException"
    registered = scientist.create_model_package(**group, ModelApprovalStatus="PendingManualApproval")
    package = {"ModelPackageName": registered["ModelPackageArn"]}
    decided: dict[str, Any] = {"ModelPackageArn": registered["ModelPackageArn"], "ModelApprovalStatus": "Approved"}
    assert refusal(scientist.update_model_package, **decided) == "AccessDeniedException"
    assert scientist.describe_model_package(**package)["ModelApprovalStatus"] == "PendingManualApproval"
    approver.update_model_package(**decided)
    told = scientist.describe_model_package(**package)
    assert (told["ModelApprovalStatus"], told["LastModifiedBy"]["UserProfileName"]) == ("Approved", "app")
    assert refusal(approver.create_model_package, **group) == "AccessDeniedException"
    scientist.update_model_package(ModelPackageArn=registered["ModelPackageArn"], CustomerMetadataProperties={"a": "b"})


@pytest.mark.shows("iam", "AttachUserPolicy", "DetachUserPolicy", "ListAttachedUserPolicies", how="stores")
def test_a_role_that_is_given_or_taken_counts_at_once_also_for_sessions(door: Door) -> None:
    iam, key = door.client("iam"), made(door, "ada", "data-scientist")
    session = door.client("sts", key).assume_role(
        RoleArn="arn:aws:iam::000000000000:role/any", RoleSessionName="nightly"
    )
    clients = [door.client("sagemaker", key), door.client("sagemaker", session["Credentials"])]
    for number, client in enumerate(clients):
        client.create_model_package_group(ModelPackageGroupName=f"group-{number}")
    iam.attach_user_policy(UserName="ada", PolicyArn="arn:aws:iam::aws:policy/TowpathViewer")
    iam.detach_user_policy(UserName="ada", PolicyArn="arn:aws:iam::aws:policy/TowpathDataScientist")
    attached = iam.list_attached_user_policies(UserName="ada")["AttachedPolicies"]
    assert [policy["PolicyName"] for policy in attached] == ["TowpathViewer"]
    for client in clients:
        assert refusal(client.create_model_package_group, ModelPackageGroupName="late") == "AccessDeniedException"
        assert len(client.list_model_package_groups()["ModelPackageGroupSummaryList"]) == 2
    iam.detach_user_policy(UserName="ada", PolicyArn="arn:aws:iam::aws:policy/TowpathViewer")
    assert refusal(clients[0].list_models) == "AccessDeniedException"
    assert door.client("sts", key).get_caller_identity()["Account"] == "000000000000"
    for arn in ("arn:aws:iam::aws:policy/AmazonSageMakerFullAccess", "arn:aws:iam::000000000000:policy/own"):
        assert refusal(iam.attach_user_policy, UserName="ada", PolicyArn=arn) == "UnsupportedOperation"


def test_an_administrator_is_always_left(door: Door) -> None:
    iam, policy = door.client("iam"), "arn:aws:iam::aws:policy/TowpathAdministrator"
    made(door, "vera", "viewer")
    (own,) = iam.list_access_keys()["AccessKeyMetadata"]
    assert refusal(iam.detach_user_policy, UserName="admin", PolicyArn=policy) == "DeleteConflict"
    assert refusal(iam.delete_access_key, AccessKeyId=own["AccessKeyId"]) == "DeleteConflict"
    root = door.client("iam", made(door, "root", "administrator"))
    root.detach_user_policy(UserName="admin", PolicyArn=policy)
    assert refusal(iam.create_user, UserName="eve") == "AccessDenied"


def test_simulations_answer_from_the_same_table(door: Door) -> None:
    iam = door.client("iam")
    made(door, "ada", "data-scientist", "approver")

    def decided(source: str, *actions: str) -> list[str]:
        arn = f"arn:aws:iam::000000000000:{source}"
        answer = iam.simulate_principal_policy(PolicySourceArn=arn, ActionNames=list(actions))
        return [result["EvalDecision"] for result in answer["EvaluationResults"]]

    actions = ("sagemaker:CreateTrainingJob", "s3:PutObject", "sagemaker:CreateEndpoint", "iam:CreateUser")
    assert decided("user/ada", *actions) == ["allowed", "allowed", "implicitDeny", "implicitDeny"]
    assert decided("role/any", *actions) == ["allowed"] * 4
    nobody = "arn:aws:iam::000000000000:user/nobody"
    assert (
        refusal(iam.simulate_principal_policy, PolicySourceArn=nobody, ActionNames=["s3:GetObject"]) == "NoSuchEntity"
    )


def test_roles_are_given_on_the_command_line(door: Door) -> None:
    machine = door.machine
    made(door, "ada", "data-scientist", "approver")
    assert "is there already and has the roles" in machine.towpath("keys", "create", "ada", "--role=viewer", code=1)
    assert "ada is now ml-engineer" in machine.towpath("keys", "roles", "ada", "ml-engineer")
    roles = {key["UserName"]: key["Roles"] for key in machine.json("keys", "ls")}
    assert roles == {"ada": ["ml-engineer"], "admin": ["administrator"]}
    assert "last administrator" in machine.towpath("keys", "roles", "admin", "viewer", code=1)
    assert "Invalid value" in machine.towpath("keys", "create", "bob", "--role=king", code=2)


def test_whoever_builds_makes_functions_whoever_runs_calls_them_and_a_viewer_looks(door: Door) -> None:
    """The rows of the table that concern functions, each operation by somebody who may and somebody who may not."""
    roles = ("viewer", "approver", "operator", "data-scientist", "ml-engineer")
    by = {role: door.client("lambda", made(door, role, role)) for role in roles}
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("work.py", "def handler(event, context):\n    return 'called'\n")
    asked: dict[str, Any] = {
        "Runtime": "python3.11",
        "Role": "arn:aws:iam::000000000000:role/any",
        "Handler": "work.handler",
        "Code": {"ZipFile": code.getvalue()},
    }
    for role in ("viewer", "approver", "operator"):
        assert refusal(by[role].create_function, FunctionName="f", **asked) == "AccessDeniedException"
    for role in ("data-scientist", "ml-engineer"):
        by[role].create_function(FunctionName=role, **asked)
    assert refusal(by["operator"].update_function_configuration, FunctionName="ml-engineer", Timeout=9) == (
        "AccessDeniedException"
    )
    assert refusal(by["operator"].update_function_code, FunctionName="ml-engineer", ZipFile=code.getvalue()) == (
        "AccessDeniedException"
    )
    assert refusal(by["operator"].tag_resource, Resource=arn_of(by["viewer"]), Tags={"a": "b"}) == (
        "AccessDeniedException"
    )
    for client in by.values():
        assert {each["FunctionName"] for each in client.list_functions()["Functions"]} == {
            "data-scientist",
            "ml-engineer",
        }
        assert client.get_function(FunctionName="ml-engineer")["Configuration"]["Timeout"] == 3
    for role in ("viewer", "approver"):
        assert refusal(by[role].invoke, FunctionName="ml-engineer") == "AccessDeniedException"
    for role in ("operator", "data-scientist", "ml-engineer"):
        assert by[role].invoke(FunctionName="ml-engineer")["Payload"].read() == b'"called"'
    assert refusal(by["operator"].delete_function, FunctionName="ml-engineer") == "AccessDeniedException"
    by["data-scientist"].delete_function(FunctionName="ml-engineer")


def arn_of(functions: Any) -> str:
    """Return the ARN of the function of the ML engineer."""
    return str(functions.get_function(FunctionName="ml-engineer")["Configuration"]["FunctionArn"])
