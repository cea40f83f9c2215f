"""Keys, sessions and presigned URLs, by boto3 and by plain HTTP against a real server."""

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from tests.acceptance.conftest import Machine

pytestmark = pytest.mark.acceptance


@dataclass(frozen=True)
class Door:
    """A real server, and clients of it."""

    machine: Machine
    url: str

    def client(self, service: str, key: dict[str, str] | None = None, **config: Any) -> Any:
        """Return a client with these keys, as IAM and STS tell them; without any the administrator's."""
        admin = self.machine.home.credentials()
        assert admin is not None
        key = key or {"AccessKeyId": admin.access_key, "SecretAccessKey": admin.secret_key}
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=key["AccessKeyId"],
            aws_secret_access_key=key["SecretAccessKey"],
            aws_session_token=key.get("SessionToken"),
            config=Config(retries={"total_max_attempts": 1}, **config),
        )


@pytest.fixture
def door(machine: Machine) -> Door:
    return Door(machine, machine.up().url)


def refusal(call: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return str(caught.value.response["Error"]["Code"])


@pytest.mark.shows(
    "iam", "CreateUser", "GetUser", "ListUsers", "DeleteUser", "CreateAccessKey", "UpdateAccessKey", "DeleteAccessKey"
)
@pytest.mark.shows("sts", "GetCallerIdentity")
def test_a_user_s_key_works_until_it_is_made_inactive_or_removed(door: Door) -> None:
    iam = door.client("iam")
    assert iam.create_user(UserName="ada")["User"]["Arn"].endswith(":user/ada")
    assert refusal(iam.create_user, UserName="ada") == "EntityAlreadyExists"
    key = iam.create_access_key(UserName="ada")["AccessKey"]
    hers = door.client("sagemaker", key)
    assert refusal(hers.list_models) == "AccessDeniedException", "nobody has said what she may do"
    assert refusal(door.client("s3", key).list_buckets) == "AccessDenied"
    iam.attach_user_policy(UserName="ada", PolicyArn="arn:aws:iam::aws:policy/TowpathMLEngineer")
    hers.create_model_package_group(ModelPackageGroupName="of-ada")
    assert hers.describe_model_package_group(ModelPackageGroupName="of-ada")["CreatedBy"]["UserProfileName"] == "ada"
    arn = door.client("sts", key).get_caller_identity()["Arn"]
    assert arn == "arn:aws:sts::000000000000:assumed-role/towpath-administrator/ada"
    assert (
        door.client("iam", key)
        .get_role(RoleName="towpath-administrator")["Role"]["Arn"]
        .endswith(":role/towpath-administrator")
    )
    assert door.client("iam", key).get_user()["User"]["UserName"] == "ada"

    iam.update_access_key(UserName="ada", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    assert refusal(hers.list_models) == "UnrecognizedClientException"
    iam.update_access_key(UserName="ada", AccessKeyId=key["AccessKeyId"], Status="Active")
    assert hers.list_models()["Models"] == []
    assert refusal(iam.delete_user, UserName="ada") == "DeleteConflict"
    iam.delete_access_key(UserName="ada", AccessKeyId=key["AccessKeyId"])
    assert refusal(hers.list_models) == "UnrecognizedClientException"
    assert refusal(door.client("s3", key).list_buckets) == "InvalidAccessKeyId"
    iam.delete_user(UserName="ada")
    assert [user["UserName"] for user in iam.list_users()["Users"]] == ["admin"]
    assert refusal(iam.get_user, UserName="ada") == "NoSuchEntity"


@pytest.mark.shows("iam", "ListAccessKeys")
def test_the_last_key_cannot_be_removed_by_mistake(door: Door) -> None:
    iam = door.client("iam")
    (key,) = iam.list_access_keys()["AccessKeyMetadata"]
    assert (key["UserName"], key["Status"]) == ("admin", "Active")
    assert refusal(iam.delete_access_key, AccessKeyId=key["AccessKeyId"]) == "DeleteConflict"
    assert refusal(iam.update_access_key, AccessKeyId=key["AccessKeyId"], Status="Inactive") == "DeleteConflict"


@pytest.mark.shows("sts", "AssumeRole", "GetCallerIdentity")
def test_a_session_of_a_role_works_under_its_own_name(door: Door) -> None:
    role = "arn:aws:iam::111122223333:role/service/Trainer"
    taken = door.client("sts").assume_role(RoleArn=role, RoleSessionName="nightly", DurationSeconds=900)
    assert taken["AssumedRoleUser"]["Arn"] == "arn:aws:sts::111122223333:assumed-role/Trainer/nightly"
    session = door.client("sagemaker", taken["Credentials"])
    session.create_model_package_group(ModelPackageGroupName="by-session")
    shown = session.describe_model_package_group(ModelPackageGroupName="by-session")
    assert shown["CreatedBy"]["UserProfileName"] == "Trainer/nightly"
    assert door.client("sts", taken["Credentials"]).get_caller_identity()["Arn"] == taken["AssumedRoleUser"]["Arn"]
    without = {name: value for name, value in taken["Credentials"].items() if name != "SessionToken"}
    assert refusal(door.client("sagemaker", without).list_models) == "UnrecognizedClientException"
    assert refusal(door.client("sts").assume_role, RoleArn="not-a-role-at-all-xx", RoleSessionName="ab") == (
        "ValidationError"
    )


@pytest.mark.shows(
    "iam", "CreateRole", "GetRole", "ListRoles", "DeleteRole", "PutRolePolicy", "GetRolePolicy", "ListRolePolicies"
)
@pytest.mark.shows(
    "iam",
    "DeleteRolePolicy",
    "AttachRolePolicy",
    "ListAttachedRolePolicies",
    "DetachRolePolicy",
    "SimulatePrincipalPolicy",
)
def test_roles_and_policies_are_kept(door: Door) -> None:
    iam = door.client("iam")
    trust = '{"Version":"2012-10-17","Statement":[]}'
    made = iam.create_role(RoleName="Trainer", AssumeRolePolicyDocument=trust, Description="trains", Path="/team/")
    assert made["Role"]["Arn"] == "arn:aws:iam::000000000000:role/team/Trainer"
    assert iam.get_role(RoleName="Trainer")["Role"]["AssumeRolePolicyDocument"] == {
        "Version": "2012-10-17",
        "Statement": [],
    }
    iam.put_role_policy(RoleName="Trainer", PolicyName="inline", PolicyDocument=trust)
    assert iam.list_role_policies(RoleName="Trainer")["PolicyNames"] == ["inline"]
    assert iam.get_role_policy(RoleName="Trainer", PolicyName="inline")["PolicyDocument"]["Statement"] == []
    managed = "arn:aws:iam::aws:policy/AmazonSageMakerFullAccess"
    iam.attach_role_policy(RoleName="Trainer", PolicyArn=managed)
    attached = iam.list_attached_role_policies(RoleName="Trainer")["AttachedPolicies"]
    assert attached == [{"PolicyName": "AmazonSageMakerFullAccess", "PolicyArn": managed}]
    assert refusal(iam.delete_role, RoleName="Trainer") == "DeleteConflict"
    iam.detach_role_policy(RoleName="Trainer", PolicyArn=managed)
    iam.delete_role_policy(RoleName="Trainer", PolicyName="inline")
    roles = [role["RoleName"] for page in iam.get_paginator("list_roles").paginate() for role in page["Roles"]]
    assert roles == ["Trainer", "towpath-administrator"]
    iam.delete_role(RoleName="Trainer")
    assert refusal(iam.get_role, RoleName="Trainer") == "NoSuchEntity"
    decisions = iam.simulate_principal_policy(
        PolicySourceArn="arn:aws:iam::000000000000:role/towpath-administrator", ActionNames=["sagemaker:CreateModel"]
    )["EvaluationResults"]
    assert [each["EvalDecision"] for each in decisions] == ["allowed"]


def fetched(url: str, method: str = "GET", body: bytes | None = None, **headers: str) -> bytes:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, data=body, method=method, headers=named)
    with urllib.request.urlopen(request, timeout=20) as answer:
        read: bytes = answer.read()
        return read


@pytest.fixture(params=["s3", "s3v4"])
def s3(door: Door, request: pytest.FixtureRequest) -> Iterator[Any]:
    """Return a client of S3 that presigns by version 2, then one that does by version 4."""
    client = door.client("s3", signature_version=request.param)
    plain = door.client("s3")
    plain.create_bucket(Bucket="lake")
    plain.put_object(Bucket="lake", Key="größe/a b+c.txt", Body=b"bytes")
    yield client


def test_whoever_has_a_presigned_url_reads_and_writes_that_object_alone(door: Door, s3: Any) -> None:
    named = {"Bucket": "lake", "Key": "größe/a b+c.txt"}
    url = s3.generate_presigned_url("get_object", Params={**named, "ResponseContentType": "text/x-note"})
    assert fetched(url) == b"bytes"
    with pytest.raises(urllib.error.HTTPError) as refused:
        fetched(url.replace("a%20b", "other"))
    assert refused.value.code == 403
    assert b"SignatureDoesNotMatch" in refused.value.read()
    short = s3.generate_presigned_url("get_object", Params=named, ExpiresIn=1)
    threading.Event().wait(2.5)  # on the clock: the URL's time passes, in whole seconds
    with pytest.raises(urllib.error.HTTPError) as refused:
        fetched(short)
    assert b"Request has expired" in refused.value.read()
    upload = s3.generate_presigned_url("put_object", Params={"Bucket": "lake", "Key": "new", "ContentType": "text/csv"})
    fetched(upload, "PUT", b"1,2", Content_Type="text/csv")
    got = door.client("s3").get_object(Bucket="lake", Key="new")
    assert (got["Body"].read(), got["ContentType"]) == (b"1,2", "text/csv")


def test_keys_are_made_listed_and_removed_on_the_command_line(door: Door) -> None:
    machine = door.machine
    without = machine.towpath("keys", "create", "ada", code=2)
    assert "ada is new here" in without and "viewer" in without
    made = machine.json("keys", "create", "ada", "--role", "viewer")
    assert machine.json("keys", "create", "ada")["UserName"] == "ada", "another key takes no role"
    for key in machine.json("keys", "ls"):
        if key["UserName"] == "ada" and key["AccessKeyId"] != made["AccessKeyId"]:
            machine.towpath("keys", "rm", key["AccessKeyId"])
    assert door.client("sagemaker", made).list_models()["Models"] == []
    listed = machine.json("keys", "ls")
    assert [(key["UserName"], key["Status"]) for key in listed] == [("ada", "Active"), ("admin", "Active")]
    assert made["SecretAccessKey"] not in machine.towpath("keys", "ls")
    assert "is removed" in machine.towpath("keys", "rm", made["AccessKeyId"])
    assert refusal(door.client("sagemaker", made).list_models) == "UnrecognizedClientException"
    assert "no access key" in machine.towpath("keys", "rm", made["AccessKeyId"], code=1)
    assert [key["UserName"] for key in machine.json("keys", "ls")] == ["admin"]
    admin = machine.json("keys", "ls")[0]["AccessKeyId"]
    assert "last good key" in machine.towpath("keys", "rm", admin, code=1)
