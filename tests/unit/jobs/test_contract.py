"""Small rules that all jobs share."""

import pytest

from towpath.jobs.channels import PinnedInput, PinnedObject, Role
from towpath.jobs.contract import CodeOrigin, below, code_origin, shortened
from towpath.kernel.errors import Invalid


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
