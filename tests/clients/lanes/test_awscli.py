"""The AWS command line, version 1, unmodified."""

import filecmp
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.clients.lanes.conftest import Lane

pytestmark = [pytest.mark.slow, pytest.mark.clients, pytest.mark.timeout(900)]

BUCKET = "s3://sagemaker-us-east-1-000000000000"
MANY = 2_000
LARGE_BYTES = 200_000_000


@pytest.fixture
def aws(lane: Callable[[str], Lane]) -> Lane:
    return lane("awscli")


def test_pipelines_are_listed(aws: Lane) -> None:
    assert "PipelineSummaries" in json.loads(aws.run("aws", "sagemaker", "list-pipelines").out)


def test_a_file_of_200_mb_goes_up_and_comes_back_whole(aws: Lane) -> None:
    large, back = aws.scratch / "large.bin", aws.scratch / "back.bin"
    large.write_bytes(os.urandom(LARGE_BYTES))
    aws.run("aws", "s3", "cp", "--no-progress", large, f"{BUCKET}/cli/large.bin")
    assert str(LARGE_BYTES) in aws.run("aws", "s3", "ls", f"{BUCKET}/cli/large.bin").out
    aws.run("aws", "s3", "cp", "--no-progress", f"{BUCKET}/cli/large.bin", back)
    assert filecmp.cmp(large, back, shallow=False)


def test_2000_small_files_are_synchronised_both_ways_listed_and_removed(aws: Lane) -> None:
    many, back = aws.scratch / "many", aws.scratch / "back"
    _write_many(many)
    sync = ("aws", "s3", "sync", "--no-progress")
    assert len(aws.run(*sync, many, f"{BUCKET}/many").out.splitlines()) == MANY
    listed = aws.run("aws", "s3", "ls", "--recursive", "--summarize", f"{BUCKET}/many/").out
    assert f"Total Objects: {MANY}" in listed
    assert aws.run(*sync, many, f"{BUCKET}/many").out == "", "nothing has changed, so nothing is sent"

    (many / "3" / "file-3").write_text("changed, and longer than before\n")
    assert len(aws.run(*sync, many, f"{BUCKET}/many").out.splitlines()) == 1
    aws.run(*sync, f"{BUCKET}/many", back)
    assert _contents(back) == _contents(many)
    aws.run("aws", "s3", "rm", "--recursive", "--only-show-errors", f"{BUCKET}/many/")
    aws.run("aws", "s3", "ls", f"{BUCKET}/many/", code=1)


def test_a_bucket_is_made_filled_and_taken_away_once_nothing_is_in_it(aws: Lane) -> None:
    source = aws.scratch / "note.txt"
    source.write_text("a note\n")
    aws.run("aws", "s3", "mb", "s3://cli-lane-empty")
    aws.run("aws", "s3", "rb", "s3://cli-lane-empty")
    assert "cli-lane-empty" not in aws.run("aws", "s3", "ls").out
    aws.run("aws", "s3", "mb", "s3://cli-lane")
    aws.run("aws", "s3", "cp", source, "s3://cli-lane/a/note.txt")
    aws.run("aws", "s3", "mv", "s3://cli-lane/a/note.txt", "s3://cli-lane/b/note.txt")
    assert aws.run("aws", "s3", "cp", "s3://cli-lane/b/note.txt", "-").out == "a note\n"
    refused = aws.run("aws", "s3", "rb", "--force", "s3://cli-lane", code=1)
    assert "BucketNotEmpty" in refused.error, "as on AWS: a bucket with versions keeps them"


def test_a_login_to_ecr_is_refused_with_what_to_do_instead(aws: Lane) -> None:
    refused = aws.run("aws", "ecr", "get-login-password", code=255)
    assert "images" in refused.error
    assert "towpath.toml" in refused.error


def _write_many(folder: Path) -> None:
    old = time.time() - 3600  # sync sends what is newer than the object
    for number in range(MANY):
        file = folder / str(number % 20) / f"file-{number}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{number}\n")
        os.utime(file, (old, old))


def _contents(folder: Path) -> dict[str, str]:
    return {str(file.relative_to(folder)): file.read_text() for file in folder.rglob("*") if file.is_file()}
