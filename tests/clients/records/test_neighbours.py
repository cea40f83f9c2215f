"""The services beside SageMaker through unmodified boto3: objects, roles and policies, registries, logs."""

import json

import pytest
from tests.clients.records.conftest import Aws, refusal

pytestmark = pytest.mark.slow

PART = 5 << 20


@pytest.mark.shows("s3", "CreateBucket", "ListBuckets", "HeadBucket", "DeleteBucket", "PutObject", "GetObject")
@pytest.mark.shows("s3", "HeadObject", "CopyObject", "DeleteObject", "DeleteObjects", "ListObjects", "ListObjectsV2")
@pytest.mark.shows("s3", "ListObjectVersions")
def test_a_bucket_lives_until_nothing_is_left_in_it(aws: Aws) -> None:
    s3, shed = aws.s3, {"Bucket": "shed"}
    s3.create_bucket(**shed)
    assert "shed" in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
    assert s3.head_bucket(**shed)["BucketRegion"] == "us-east-1"
    s3.put_object(**shed, Key="a", Body=b"12345", Metadata={"kind": "note"}, ContentType="text/plain")
    assert s3.get_object(**shed, Key="a")["Body"].read() == b"12345"
    head = s3.head_object(**shed, Key="a")
    assert (head["ContentLength"], head["Metadata"], head["ContentType"]) == (5, {"kind": "note"}, "text/plain")
    s3.copy_object(**shed, Key="b/c", CopySource={"Bucket": "shed", "Key": "a"})
    assert s3.get_object(**shed, Key="b/c")["Body"].read() == b"12345"
    assert [item["Key"] for item in s3.list_objects(**shed)["Contents"]] == ["a", "b/c"]
    folded = s3.list_objects_v2(**shed, Delimiter="/")
    assert [item["Prefix"] for item in folded["CommonPrefixes"]] == ["b/"]
    assert s3.delete_object(**shed, Key="a")["DeleteMarker"] is True
    assert refusal(s3.get_object, **shed, Key="a")[0] == "NoSuchKey"
    assert refusal(s3.delete_bucket, **shed)[0] == "BucketNotEmpty"
    told = s3.list_object_versions(**shed)
    assert [(item["Key"], item["IsLatest"]) for item in told["Versions"]] == [("a", False), ("b/c", True)]
    assert [item["Key"] for item in told["DeleteMarkers"]] == ["a"]
    deleted = s3.delete_objects(**shed, Delete={"Objects": [{"Key": "b/c"}]})["Deleted"]
    assert [item["Key"] for item in deleted] == ["b/c"]
    assert "Contents" not in s3.list_objects_v2(**shed)
    s3.create_bucket(Bucket="empty-shed")
    s3.delete_bucket(Bucket="empty-shed")
    assert refusal(s3.head_bucket, Bucket="empty-shed")[0] == "404"


@pytest.mark.shows("s3", "CreateMultipartUpload", "UploadPart", "ListParts", "CompleteMultipartUpload")
@pytest.mark.shows("s3", "AbortMultipartUpload", "GetBucketLocation", "GetBucketVersioning")
def test_an_upload_in_parts_is_completed_or_given_up(aws: Aws) -> None:
    s3 = aws.s3
    s3.create_bucket(Bucket="parts")
    assert s3.get_bucket_location(Bucket="parts")["LocationConstraint"] is None
    assert s3.get_bucket_versioning(Bucket="parts")["Status"] == "Enabled"
    for ends in ("completed", "given-up"):
        upload = {"Bucket": "parts", "Key": ends}
        upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
        parts = [
            {"PartNumber": number, "ETag": s3.upload_part(**upload, PartNumber=number, Body=body)["ETag"]}
            for number, body in ((1, b"a" * PART), (2, b"b"))
        ]
        listed = s3.list_parts(**upload)["Parts"]
        assert [(part["PartNumber"], part["Size"]) for part in listed] == [(1, PART), (2, 1)]
        if ends == "completed":
            s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
            assert s3.get_object(Bucket="parts", Key=ends, Range="bytes=-2")["Body"].read() == b"ab"
        else:
            s3.abort_multipart_upload(**upload)
            assert refusal(s3.head_object, Bucket="parts", Key=ends)[0] == "404"
        assert refusal(s3.list_parts, **upload)[0] == "NoSuchUpload"


@pytest.mark.shows("iam", "CreatePolicy", "GetPolicy", "ListPolicies", "DeletePolicy", "UpdateAssumeRolePolicy")
def test_policies_are_kept_until_they_are_deleted(aws: Aws) -> None:
    iam = aws.client("iam")
    document = json.dumps({"Version": "2012-10-17", "Statement": []})
    made = iam.create_policy(PolicyName="Reader", PolicyDocument=document, Description="reads")["Policy"]
    shown = iam.get_policy(PolicyArn=made["Arn"])["Policy"]
    assert (shown["PolicyName"], shown["Description"]) == ("Reader", "reads")
    assert "Reader" in {policy["PolicyName"] for policy in iam.list_policies(Scope="Local")["Policies"]}
    iam.delete_policy(PolicyArn=made["Arn"])
    of_roles = iam.list_policies(Scope="AWS")["Policies"]
    assert {policy["PolicyName"] for policy in of_roles} >= {"TowpathViewer", "TowpathMLEngineer"}
    assert all(policy["Arn"].startswith("arn:aws:iam::aws:policy/Towpath") for policy in of_roles)
    viewer = iam.get_policy(PolicyArn="arn:aws:iam::aws:policy/TowpathViewer")["Policy"]
    assert viewer in of_roles
    sagemakers = "arn:aws:iam::aws:policy/AmazonSageMakerFullAccess"
    assert refusal(iam.get_policy, PolicyArn=sagemakers)[0] == "NoSuchEntity", "its document would mean nothing here"
    assert refusal(iam.get_policy, PolicyArn=made["Arn"])[0] == "NoSuchEntity"
    iam.create_role(RoleName="Trusting", AssumeRolePolicyDocument=document)
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole"}]}
    iam.update_assume_role_policy(RoleName="Trusting", PolicyDocument=json.dumps(trust))
    assert iam.get_role(RoleName="Trusting")["Role"]["AssumeRolePolicyDocument"] == trust
    iam.delete_role(RoleName="Trusting")


@pytest.mark.shows("logs", "DescribeLogGroups", "DescribeLogStreams", "GetLogEvents", "FilterLogEvents")
def test_what_a_job_printed_is_its_log(aws: Aws, ran: dict[str, str]) -> None:
    logs, job = aws.client("logs"), ran["Train"].rpartition("/")[2]
    groups = {group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]}
    name = {"logGroupName": "/aws/sagemaker/TrainingJobs"}
    assert name["logGroupName"] in groups
    (stream,) = logs.describe_log_streams(**name, logStreamNamePrefix=f"{job}/")["logStreams"]
    events = logs.get_log_events(**name, logStreamName=stream["logStreamName"], startFromHead=True)["events"]
    assert "epoch=2 validation:accuracy=0.75" in [event["message"] for event in events]
    found = logs.filter_log_events(**name, logStreamNamePrefix=f"{job}/", filterPattern='"epoch=3"')["events"]
    assert [event["message"] for event in found] == ["epoch=3 validation:accuracy=0.625"]


@pytest.mark.shows("ecr", "GetAuthorizationToken", how="refuses")
def test_there_is_no_registry_of_images_to_log_in_to(aws: Aws) -> None:
    code, message = refusal(aws.client("ecr").get_authorization_token)
    assert (code, "no container registry" in message) == ("UnsupportedOperation", True)
