"""`towpath functions` on a real server: made, called, changed, listed and removed; and what gc takes of their code."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from towpath.home import HomeFolder
from towpath.sdk import Defaults

if TYPE_CHECKING:
    from tests.integration.cli.conftest import Shell

pytestmark = pytest.mark.slow

GREET = """
import os

def handler(event, context):
    print("greeting", event.get("name"))
    if event.get("name") == "nobody":
        raise LookupError("nobody is there")
    return {"said": f"%s {event['name']}", "tone": os.environ.get("TONE")}
"""


def client(towpath: Shell, service: str) -> Any:
    """Return a client of boto3."""
    home = HomeFolder(towpath.home)
    server, keys = home.running_server(), home.credentials()
    assert server is not None and keys is not None
    return boto3.client(
        service,
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id=keys.access_key,
        aws_secret_access_key=keys.secret_key,
    )


def versions(towpath: Shell, key: str) -> int:
    """Return how many versions of an object of the default bucket there are, delete markers among them."""
    found = client(towpath, "s3").list_object_versions(Bucket=Defaults().bucket, Prefix=key)
    return len(found.get("Versions", ())) + len(found.get("DeleteMarkers", ()))


def test_a_function_is_made_called_changed_listed_and_removed(towpath: Shell) -> None:
    assert "There are no functions yet" in towpath("functions", "ls")
    (towpath.folder / "greet.py").write_text(GREET % "hello")
    told = towpath("functions", "create", "greet", "greet.py", "--timeout", "30", "-e", "TONE=warm")
    assert told == "greet calls greet.handler; try it: towpath functions invoke greet '{}'\n"
    assert json.loads(towpath("functions", "invoke", "greet", '{"name": "Ann"}')) == {
        "said": "hello Ann",
        "tone": "warm",
    }

    (towpath.folder / "greet.py").write_text(GREET % "good day")
    made = json.loads(towpath("functions", "create", "greet", "greet.py", "--memory", "192", "--json"))
    assert (made["name"], made["handler"], made["memory_mb"], made["timeout_s"]) == ("greet", "greet.handler", 192, 30)
    (listed,) = json.loads(towpath("functions", "ls", "--json"))
    assert listed == made
    assert "192 MB" in towpath("functions", "ls")
    answer = json.loads(towpath("functions", "invoke", "greet", "-", given='{"name": "Bob"}'))
    assert answer == {"said": "good day Bob", "tone": "warm"}, "what was not named stays"

    failed = towpath("functions", "invoke", "greet", '{"name": "nobody"}', code=1)
    assert "greet failed: nobody is there (LookupError)" in failed
    log = towpath("functions", "logs", "greet")
    assert [line.partition(" ")[2] for line in log.splitlines() if "greeting" in line] == [
        "greeting Ann",
        "greeting Bob",
        "greeting nobody",
    ]
    last = [json.loads(line) for line in towpath("functions", "logs", "greet", "-n", "1", "--json").splitlines()]
    assert [each["Message"] for each in last if "greeting" in each["Message"]] == ["greeting nobody"]

    assert towpath("functions", "delete", "greet") == "greet is removed\n"
    assert "There are no functions yet" in towpath("functions", "ls")
    for command in (("invoke", "greet", "{}"), ("delete", "greet")):
        assert "greet" in towpath("functions", *command, code=1)


def test_what_is_wrong_with_a_command_is_said_before_anything_is_made(towpath: Shell) -> None:
    (towpath.folder / "greet.py").write_text(GREET % "hello")
    assert "NAME=VALUE" in towpath("functions", "create", "greet", "greet.py", "-e", "TONE", code=2)
    assert "nowhere.py" in towpath("functions", "create", "greet", "nowhere.py", code=2)
    assert "There are no functions yet" in towpath("functions", "ls")
    (towpath.folder / "event.json").write_text("{}")
    told = towpath("functions", "invoke", "greet", "event.json", code=2)
    assert "to send a file: towpath functions invoke NAME - < event.json" in told


def test_gc_takes_code_that_was_replaced_or_whose_function_is_gone_and_no_other(towpath: Shell) -> None:
    (towpath.home / "towpath.toml").write_text("keep_versions_days = 0\nkeep_deleted_days = 0\n")
    towpath("down")
    towpath("up", "--background")
    for word in ("hello", "good day"):
        (towpath.folder / "hail.py").write_text(GREET % word)
        towpath("functions", "create", "hail", "hail.py")
    assert versions(towpath, "functions/hail/code.zip") == 2

    # Code that lies in a bucket is used in the version that was there, whatever lies there later.
    with zipfile.ZipFile(towpath.folder / "code.zip", "w") as archive:
        archive.writestr("kept.py", GREET % "kept")
    place = {"Bucket": Defaults().bucket, "Key": "own/code.zip"}
    s3 = client(towpath, "s3")
    s3.put_object(**place, Body=(towpath.folder / "code.zip").read_bytes())
    client(towpath, "lambda").create_function(
        FunctionName="kept",
        Runtime="python3.11",
        Role="arn:aws:iam::000000000000:role/any",
        Handler="kept.handler",
        Code={"S3Bucket": place["Bucket"], "S3Key": place["Key"]},
    )
    s3.put_object(**place, Body=b"something else")

    towpath("gc")
    assert versions(towpath, "functions/hail/code.zip") == 1
    assert versions(towpath, "own/code.zip") == 2, "a function refers to the older one"
    for name, word in (("hail", "good day"), ("kept", "kept")):
        assert json.loads(towpath("functions", "invoke", name, '{"name": "Ann"}'))["said"] == f"{word} Ann"

    (towpath.folder / "unused.py").write_text(GREET % "unused")
    towpath("functions", "create", "unused", "unused.py")
    towpath("functions", "delete", "unused")
    assert versions(towpath, "functions/unused/code.zip") == 2, "the code and a delete marker"
    towpath("gc")
    assert versions(towpath, "functions/unused/code.zip") == 0
