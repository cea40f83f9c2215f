"""Groups, versions, approval and what is kept of them."""

from collections.abc import Callable
from typing import Any

import pytest

from towpath.kernel.clock import VirtualClock
from towpath.kernel.errors import Conflict, InUse, Invalid, NotFound
from towpath.kernel.resource import Document, Resource, Uid
from towpath.registry import MODEL_PACKAGE, approval_history
from towpath.registry.packages import state_of
from towpath.sdk.event_members import OF_DETAIL
from towpath.store import SqliteStore

Call = Callable[..., Document]
Put = Callable[..., str]

IMAGE = "towpath:1"


def specification(url: str = "s3://lake/m/model.tar.gz") -> Document:
    return {
        "Containers": [{"Image": IMAGE, "ModelDataUrl": url}],
        "SupportedContentTypes": ["application/json"],
        "SupportedResponseMIMETypes": ["application/json"],
    }


@pytest.fixture
def register(call: Call, put: Put) -> Call:
    """Register a version of the group "reviews"."""
    put("m/model.tar.gz")
    call("CreateModelPackageGroup", ModelPackageGroupName="reviews")

    def register_version(**members: Any) -> Document:
        return call(
            "CreateModelPackage",
            **{"ModelPackageGroupName": "reviews", "InferenceSpecification": specification(), **members},
        )

    return register_version


def package(store: SqliteStore, name: str) -> Resource:
    found = store.read(lambda transaction: transaction.resources.find(MODEL_PACKAGE.noun, name))
    assert found is not None
    return found


def test_versions_are_numbered_and_wait_for_approval(call: Call, register: Call) -> None:
    arns = [register()["ModelPackageArn"] for _ in range(2)]
    assert [arn.partition(":model-package/")[2] for arn in arns] == ["reviews/1", "reviews/2"]
    shown = call("DescribeModelPackage", ModelPackageName=arns[1])
    assert shown["ModelPackageVersion"] == 2
    assert shown["ModelPackageGroupName"] == "reviews"
    assert shown["ModelApprovalStatus"] == "PendingManualApproval"
    assert shown["ModelPackageStatus"] == "Completed"
    assert call("DescribeModelPackage", ModelPackageName="reviews/2")["ModelPackageArn"] == arns[1]


def test_a_version_number_is_never_used_again(call: Call, register: Call) -> None:
    register()
    call("DeleteModelPackage", ModelPackageName=register()["ModelPackageArn"])
    assert register()["ModelPackageArn"].endswith("reviews/3")


def test_the_model_is_recorded_by_exact_version_and_digest(store: SqliteStore, register: Call, put: Put) -> None:
    register()
    put("m/model.tar.gz", b"a later one")
    register()
    first, second = (state_of(package(store, f"reviews/{n}")).model_data[0].objects[0] for n in (1, 2))
    assert (first.version_id, second.version_id) == ("v1", "v2")
    assert first.sha256 != second.sha256


def test_environment_and_metrics_are_recorded(store: SqliteStore, register: Call, put: Put) -> None:
    put("m/evaluation.json", b"{}")

    def statistics(key: str) -> Document:
        return {"Statistics": {"ContentType": "application/json", "S3Uri": f"s3://lake/m/{key}"}}

    elsewhere = {"Report": {"ContentType": "text/html", "S3Uri": "https://reports.example/bias"}}
    register(
        ModelMetrics={
            "ModelQuality": statistics("evaluation.json"),
            "ModelDataQuality": statistics("absent.json"),
            "Bias": elsewhere,
        }
    )
    state = state_of(package(store, "reviews/1"))
    assert [(found.image, found.python_version) for found in state.environments] == [(IMAGE, "3.11.7")]
    assert [len(report.objects) for report in state.reports] == [1, 0]


def test_a_package_without_its_model_is_not_registered(call: Call, register: Call) -> None:
    with pytest.raises(Invalid, match=r"s3://lake/absent.tar.gz"):
        register(InferenceSpecification=specification("s3://lake/absent.tar.gz"))
    assert call("ListModelPackages", ModelPackageGroupName="reviews")["ModelPackageSummaryList"] == []
    assert register()["ModelPackageArn"].endswith("reviews/1")


def test_a_repeated_client_token_makes_one_version(register: Call) -> None:
    first, again, other = (register(ClientToken=token)["ModelPackageArn"] for token in ("a" * 36, "a" * 36, "b" * 36))
    assert first == again
    assert other.endswith("/2")


def test_a_client_token_of_another_request_is_refused(call: Call, register: Call) -> None:
    first = register(ClientToken="a" * 36)["ModelPackageArn"]
    with pytest.raises(Conflict, match=r"The ClientToken 'a+' came with another request before, about .*/1;") as told:
        register(ClientToken="a" * 36, ModelApprovalStatus="Approved")
    assert told.value.code == "ConflictException"
    listed = call("ListModelPackages", ModelPackageGroupName="reviews")["ModelPackageSummaryList"]
    assert [each["ModelPackageArn"] for each in listed] == [first]


def test_a_repeated_token_of_an_update_decides_once(call: Call, register: Call, store: SqliteStore) -> None:
    arn = register()["ModelPackageArn"]
    decision = {"ModelPackageArn": arn, "ModelApprovalStatus": "Approved", "ClientToken": "u" * 36}
    for _ in range(2):
        assert call("UpdateModelPackage", **decision) == {"ModelPackageArn": arn}
    call("UpdateModelPackage", ModelPackageArn=arn, CustomerMetadataProperties={"a": "b"})
    with pytest.raises(Conflict, match=r"The ClientToken 'u+' came with another request before"):
        call("UpdateModelPackage", **{**decision, "ModelApprovalStatus": "Rejected"})
    shown = call("DescribeModelPackage", ModelPackageName=arn)
    assert shown["ModelApprovalStatus"] == "Approved"
    assert not {"UpdateToken", "UpdateDigest"} & shown.keys()
    assert [decided["After"] for decided in approval_history(package(store, "reviews/1"))].count("Approved") == 1


def test_an_absent_group_is_refused_to_people_and_made_for_executions(call: Call, put: Put) -> None:
    put("m/model.tar.gz")
    members = {"ModelPackageGroupName": "fresh", "InferenceSpecification": specification()}
    with pytest.raises(NotFound, match="CreateModelPackageGroup"):
        call("CreateModelPackage", **members)
    made = call("CreateModelPackage", parent=Uid("execution"), **members)
    assert made["ModelPackageArn"].endswith("fresh/1")
    assert call("DescribeModelPackageGroup", ModelPackageGroupName="fresh")["ModelPackageGroupStatus"] == "Completed"


def test_an_approval_keeps_who_when_and_why(
    call: Call, register: Call, store: SqliteStore, clock: VirtualClock
) -> None:
    arn = register()["ModelPackageArn"]
    clock.advance(60)
    call(
        "UpdateModelPackage",
        by="grace",
        ModelPackageArn=arn,
        ModelApprovalStatus="Approved",
        ApprovalDescription="better than 1",
    )
    clock.advance(60)
    call("UpdateModelPackage", by="linus", ModelPackageArn=arn, ModelApprovalStatus="Rejected")
    shown = call("DescribeModelPackage", ModelPackageName=arn)
    assert shown["ModelApprovalStatus"] == "Rejected"
    assert shown["LastModifiedBy"]["UserProfileName"] == "linus"
    assert shown["CreatedBy"]["UserProfileName"] == "ada"
    assert "ApprovalDescription" not in shown
    assert not {"History", "ModelData", "Environments", "Reports", "ClientToken"} & shown.keys()
    history = approval_history(package(store, "reviews/1"))
    assert [(h["By"], h["Before"], h["After"], h["Note"]) for h in history] == [
        ("grace", "PendingManualApproval", "Approved", "better than 1"),
        ("linus", "Approved", "Rejected", ""),
    ]
    assert history[1]["At"] - history[0]["At"] == 60


def test_each_transition_is_an_event(call: Call, register: Call, store: SqliteStore) -> None:
    arn = register()["ModelPackageArn"]
    call("UpdateModelPackage", ModelPackageArn=arn, ModelApprovalStatus="Approved")
    call("UpdateModelPackage", ModelPackageArn=arn, CustomerMetadataProperties={"ticket": "7"})
    uid = package(store, "reviews/1").uid
    changes = [
        (event.detail["PreviousModelApprovalStatus"], event.detail["ModelApprovalStatus"])
        for event in store.read(lambda transaction: transaction.events.of(uid))
        if event.type == "SageMaker Model Package State Change"
    ]
    assert changes == [(None, "PendingManualApproval"), ("PendingManualApproval", "Approved")]


def test_triggers_know_the_members_of_the_event(register: Call, store: SqliteStore) -> None:
    register()
    uid = package(store, "reviews/1").uid
    kind = "SageMaker Model Package State Change"
    (event,) = [each for each in store.read(lambda transaction: transaction.events.of(uid)) if each.type == kind]
    assert tuple(event.detail) == OF_DETAIL[kind]


def test_metadata_is_merged_and_removed(call: Call, register: Call) -> None:
    arn = register(CustomerMetadataProperties={"a": "1", "b": "2"})["ModelPackageArn"]
    call(
        "UpdateModelPackage",
        ModelPackageArn=arn,
        CustomerMetadataProperties={"c": "3"},
        CustomerMetadataPropertiesToRemove=["a"],
    )
    shown = call("DescribeModelPackage", ModelPackageName=arn)
    assert shown["CustomerMetadataProperties"] == {"b": "2", "c": "3"}
    assert shown["ModelApprovalStatus"] == "PendingManualApproval"


def test_what_a_version_is_made_of_cannot_be_changed(call: Call, register: Call) -> None:
    arn = register()["ModelPackageArn"]
    with pytest.raises(Conflict, match="register a new version"):
        call("UpdateModelPackage", ModelPackageArn=arn, InferenceSpecification=specification())


def test_versions_are_listed_by_group_and_approval(call: Call, register: Call) -> None:
    for _ in range(3):
        arn = register()["ModelPackageArn"]
    call("UpdateModelPackage", ModelPackageArn=arn, ModelApprovalStatus="Approved")

    def listed(**members: Any) -> list[int]:
        found = call("ListModelPackages", ModelPackageGroupName="reviews", **members)["ModelPackageSummaryList"]
        return [summary["ModelPackageVersion"] for summary in found]

    assert listed() == [1, 2, 3]
    assert listed(SortOrder="Descending", MaxResults=1) == [3]
    assert listed(ModelApprovalStatus="Approved") == [3]
    assert listed(ModelApprovalStatus="PendingManualApproval") == [1, 2]
    group_arn = call("DescribeModelPackageGroup", ModelPackageGroupName="reviews")["ModelPackageGroupArn"]
    by_arn = call("ListModelPackages", ModelPackageGroupName=group_arn)["ModelPackageSummaryList"]
    assert len(by_arn) == 3
    assert call("ListModelPackages")["ModelPackageSummaryList"] == []
    assert len(call("ListModelPackages", ModelPackageType="Both")["ModelPackageSummaryList"]) == 3


def test_a_group_with_versions_is_not_deleted(call: Call, register: Call) -> None:
    arn = register()["ModelPackageArn"]
    with pytest.raises(InUse, match="reviews/1"):
        call("DeleteModelPackageGroup", ModelPackageGroupName="reviews")
    call("DeleteModelPackage", ModelPackageName=arn)
    call("DeleteModelPackageGroup", ModelPackageGroupName="reviews")
    with pytest.raises(NotFound, match="does not exist"):
        call("DescribeModelPackageGroup", ModelPackageGroupName="reviews")


def test_a_group_that_exists_says_so_in_the_words_the_sdk_looks_for(call: Call) -> None:
    call("CreateModelPackageGroup", ModelPackageGroupName="reviews")
    with pytest.raises(Conflict, match="already exists") as refused:
        call("CreateModelPackageGroup", ModelPackageGroupName="reviews")
    assert refused.value.code == "ValidationException"


def test_an_unversioned_package_has_no_approval(call: Call, put: Put) -> None:
    put("m/model.tar.gz")
    arn = call("CreateModelPackage", ModelPackageName="single", InferenceSpecification=specification())[
        "ModelPackageArn"
    ]
    assert "ModelApprovalStatus" not in call("DescribeModelPackage", ModelPackageName="single")
    with pytest.raises(Conflict, match="belongs to no group"):
        call("UpdateModelPackage", ModelPackageArn=arn, ModelApprovalStatus="Approved")


def test_batch_describe_answers_for_each_arn(call: Call, register: Call) -> None:
    arn = register()["ModelPackageArn"]
    absent = arn.replace("/1", "/9")
    answer = call("BatchDescribeModelPackage", ModelPackageArnList=[arn, absent])
    assert answer["ModelPackageSummaries"][arn]["ModelPackageVersion"] == 1
    assert answer["BatchDescribeModelPackageErrorMap"][absent]["ErrorCode"] == "ValidationException"


def test_registering_writes_lineage(store: SqliteStore, register: Call) -> None:
    register()
    uid = package(store, "reviews/1").uid
    edges = store.read(lambda transaction: transaction.lineage.edges_into(f"model-package:{uid}"))
    assert edges == [("artifact:s3://lake/m/model.tar.gz#v1", "ContributedTo")]
