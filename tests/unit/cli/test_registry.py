"""The story of a model version, told in lines."""

from towpath.cli.registry import decided_by, lineage_lines

DIGEST = "ab12cd34ef56" + "0" * 52


def artifact(uri: str, **more: object) -> dict[str, object]:
    return {"S3Uri": uri, "VersionId": "v", "Sha256": DIGEST, "Size": 2_408_611, **more}


def test_every_part_of_the_story_has_its_line() -> None:
    lines = lineage_lines(
        {
            "Models": [artifact("s3://b/model.tar.gz")],
            "TrainingJob": {
                "Name": "train-1",
                "Parameters": {"epochs": "2", "sagemaker_program": "train.py"},
                "Metrics": {"validation:accuracy": 0.66666},
                "EndTime": None,
            },
            "Data": [artifact("s3://b/train/", Name="train")],
            "SourceData": [artifact("s3://b/datasets/reviews/", Dataset="reviews/1", FileCount=2)],
            "Code": {
                "Commit": "f" * 40,
                "Dirty": "true",
                "Repository": "https://example.com/a.git",
                "TreeDigest": f"sha256:{DIGEST}",
            },
            "Environment": {"PythonVersion": "3.11.7", "Fingerprint": "x", "Packages": {"numpy": "2"}},
            "Evaluations": [artifact("s3://b/evaluation.json", Job="evaluate-1")],
            "Approval": {"ModelApprovalStatus": "Approved", "By": "admin", "ApprovalDescription": "good"},
            "Endpoints": [{"EndpointName": "reviews", "EndpointStatus": "InService", "Serving": True}],
            "PipelineExecution": {"PipelineExecutionArn": "arn:aws:sagemaker:r:a:pipeline/reviews/execution/abc"},
        }
    )
    assert [line.split(None, 1)[0] for line in lines] == [
        "model", "trained", "parameters", "metrics", "read", "from", "code", "code", "environment", "evaluated",
        "approval", "serves", "execution",
    ]  # fmt: skip
    text = "\n".join(lines)
    for part in (
        "epochs 2",
        "validation:accuracy 0.6667",
        "train: s3://b/train/",
        "dataset reviews/1, 2 files, 2.4 MB, sha256 ab12cd34ef56",
        "commit ffffffffffff of https://example.com/a.git, changed since",
        "Python 3.11.7, 1 packages",
        "Approved by admin: good",
        "endpoint reviews (InService)",
        "reviews/abc",
    ):
        assert part in text
    assert "sagemaker_program" not in text


def test_an_endpoint_that_serves_another_version_by_now_is_told_in_the_past() -> None:
    endpoints = [
        {"EndpointName": "reviews", "EndpointStatus": "InService", "Serving": False},
        {"EndpointName": "old", "EndpointStatus": "Deleted", "Serving": False},
    ]
    assert lineage_lines({"Endpoints": endpoints}) == [
        "  served       endpoint reviews (InService), which has another version now",
        "  served       endpoint old (Deleted)",
    ]


def test_parts_that_nobody_recorded_have_no_line() -> None:
    assert lineage_lines({"Approval": {"ModelApprovalStatus": "PendingManualApproval"}, "Endpoints": []}) == [
        "  approval     PendingManualApproval"
    ]


def test_a_decision_is_told_with_who_and_why_as_far_as_they_are_known() -> None:
    assert decided_by({}) == ""
    assert decided_by({"LastModifiedBy": {"UserProfileName": "ada"}, "ApprovalDescription": "good"}) == ", by ada: good"
