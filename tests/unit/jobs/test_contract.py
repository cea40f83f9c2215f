"""Small rules that all jobs share."""

import pytest

from towpath.jobs.channels import PinnedInput, PinnedObject, Role
from towpath.jobs.contract import CodeOrigin, allocation, below, code_origin, shortened
from towpath.kernel.errors import Invalid


@pytest.mark.parametrize(
    ("instance_type", "cores"),
    [("ml.m5.large", 2), ("ml.m5.xlarge", 4), ("ml.c5.9xlarge", 36), ("ml.t3.medium", 2), ("whatever", 1)],
)
def test_an_instance_type_gives_the_cores_of_the_real_one(instance_type: str, cores: int) -> None:
    assert allocation(instance_type, 64).cores == cores


def test_what_is_not_as_asked_for_is_said() -> None:
    assert allocation("ml.m5.large", 64).note is None
    assert allocation("ml.c5.9xlarge", 2).note == "ml.c5.9xlarge has 36 cores, this host 2"
    assert allocation("whatever", 2).note == "whatever is not an instance type known here; the job gets 1 core"


def test_a_long_message_keeps_its_beginning_and_its_end() -> None:
    text = "first line " + "x" * 5000 + " ValueError: the reason"
    short = shortened(text)
    assert len(short) <= 1024
    assert short.startswith("first line")
    assert short.endswith("ValueError: the reason")
    assert shortened(" as it is\n") == "as it is"


@pytest.mark.parametrize("uri", ["s3://b/models", "s3://b/models/", "s3://b//models"])
def test_a_place_below_an_uri_does_not_depend_on_slashes(uri: str) -> None:
    assert below(uri, "job", "model.tar.gz") == ("b", "models/job/model.tar.gz")
    assert below("s3://b", "job") == ("b", "job")
    with pytest.raises(Invalid):
        below("models", "job")


def test_code_comes_from_the_clients_tags_and_from_the_objects_themselves() -> None:
    item = PinnedObject("code", "b", "code/sourcedir.tar.gz", "v1", 3, "abc")
    inputs = (PinnedInput(name="code", uri="s3://b/code", path="code", role=Role.CODE, objects=(item,)),)
    tags = {"towpath:code-commit": "c0ffee", "towpath:code-dirty": "false", "other": "1"}
    assert code_origin(tags, inputs) == CodeOrigin(
        commit="c0ffee", dirty=False, objects=("s3://b/code/sourcedir.tar.gz abc",)
    )
    assert code_origin({}, ()) is None
