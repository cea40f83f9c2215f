"""What a key is made of, what differs between two, and when an earlier result stands for a step."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from towpath.jobs.channels import PinnedInput, PinnedObject, Role
from towpath.jobs.ingredients import Ingredients
from towpath.kernel.objects import ObjectRef
from towpath.pipelines.caching import (
    Asked,
    Difference,
    Found,
    Lookup,
    Material,
    Part,
    changed_files,
    differences,
    material,
    verdict,
)
from towpath.pipelines.definition import CacheConfig
from towpath.pipelines.evaluation import StepYield
from towpath.pipelines.steps.jobs import PROCESSING, TRAINING

NOW = datetime(2026, 3, 1, tzinfo=UTC)
EXECUTION = "abcdefghijkl"
ASKED = Asked(request={})
PARTS = st.builds(Part, st.sampled_from(["argument", "input", "code", "environment"]), st.text(max_size=3), st.text())


def pinned(name: str, files: dict[str, str], *, role: Role = Role.DATA, version: str = "v1") -> PinnedInput:
    """Return an input of files, each given as name and digest."""
    objects = tuple(PinnedObject(f"in/{path}", "b", f"p/{path}", version, 3, digest) for path, digest in files.items())
    return PinnedInput(name=name, uri=f"s3://b/{version}/", path="in", role=role, objects=objects)


def made(request: dict[str, Any] | None = None, **ingredients: Any) -> Material:
    """Return the material of a training step."""
    whole = {"inputs": (), "code": {"code/train.py": "c1"}, "python_version": "3.11.7", "packages": {"numpy": "2.0"}}
    return material(TRAINING, request or {}, Ingredients(**{**whole, **ingredients}), EXECUTION, {})


def test_names_permissions_limits_and_uploads_are_no_part_of_a_key() -> None:
    request = {
        "TrainingJobName": "a",
        "RoleArn": "r",
        "Tags": [{"Key": "towpath:code-commit", "Value": "1"}],
        "StoppingCondition": {"MaxRuntimeInSeconds": 1},
        "ExperimentConfig": {"TrialName": "t"},
        "HyperParameters": {
            "epochs": "3",
            "sagemaker_job_name": '"a"',
            "sagemaker_submit_directory": '"s3://b/2026/source.tar.gz"',
        },
        "InputDataConfig": [{"ChannelName": "train", "DataSource": {"S3DataSource": {"S3Uri": "s3://b/x"}}}],
        "ResourceConfig": {"InstanceCount": 1, "VolumeSizeInGB": 5},
    }
    arguments = [(part.name, part.value) for part in made(request).parts if part.group == "argument"]
    assert arguments == [
        ("HyperParameters.epochs", "3"),
        ("InputDataConfig['train'].ChannelName", "train"),
        ("ResourceConfig.InstanceCount", "1"),
    ]


def test_code_that_lies_in_the_job_goes_by_its_place() -> None:
    request = {"HyperParameters": {"sagemaker_submit_directory": "/opt/ml/input/data/code"}}
    assert (
        Part("argument", "HyperParameters.sagemaker_submit_directory", "/opt/ml/input/data/code") in made(request).parts
    )


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        (f"s3://b/{EXECUTION}/out/", "s3://b/*/out"),
        ("s3://b/prep-2026-11-28-04-36-19-123/out", "s3://b/*/out"),
        ("s3://b/prep-2026-11-28-04-36-19/out", "s3://b/*/out"),
        ("s3://b/the-job/out", "s3://b/*/out"),
        ("s3://b/elsewhere/out", "s3://b/elsewhere/out"),
    ],
)
def test_a_place_of_outputs_counts_without_what_keeps_runs_apart(uri: str, told: str) -> None:
    request = {
        "ProcessingJobName": "the-job",
        "ProcessingOutputConfig": {"Outputs": [{"OutputName": "o", "S3Output": {"S3Uri": uri}}]},
    }
    parts = material(PROCESSING, request, Ingredients(python_version="3"), EXECUTION, {}).parts
    assert Part("argument", "ProcessingOutputConfig.Outputs['o'].S3Output.S3Uri", told) in parts


def test_inputs_count_by_what_the_job_finds_and_not_by_where_it_came_from() -> None:
    one = made(inputs=(pinned("train", {"a": "d1", "b": "d2"}),))
    assert made(inputs=(pinned("train", {"b": "d2", "a": "d1"}, version="v2"),)).key == one.key
    assert made(inputs=(pinned("train", {"a": "d1", "c": "d2"}),)).key != one.key, "another name"
    assert made(inputs=(pinned("train", {"a": "d1", "b": "d3"}),)).key != one.key, "another content"
    assert made(inputs=(pinned("train", {"a": "d1"}),)).key != one.key
    code = pinned("code", {"x.py": "d"}, role=Role.CODE)
    assert made(inputs=(pinned("train", {"a": "d1", "b": "d2"}), code)).key == one.key, "its files stand for code"


def test_every_difference_is_named_in_the_order_of_the_parts() -> None:
    before = made({"HyperParameters": {"a": "1", "b": "2"}}, inputs=(pinned("train", {"a": "d1"}),))
    after = made(
        {"HyperParameters": {"b": "3", "c": "4"}},
        inputs=(pinned("train", {"a": "d2"}),),
        code={"code/train.py": "c2"},
        packages={"numpy": "2.1"},
    )
    found = differences(before, after)
    assert [(each.group, each.name) for each in found] == [
        ("argument", "HyperParameters.a"),
        ("argument", "HyperParameters.b"),
        ("argument", "HyperParameters.c"),
        ("input", "train"),
        ("code", "code/train.py"),
        ("environment", "numpy"),
    ]
    assert found[0] == Difference(group="argument", name="HyperParameters.a", before="1", after=None)
    assert found[-1] == Difference(group="environment", name="numpy", before="2.0", after="2.1")


@given(st.lists(PARTS, max_size=6), st.lists(PARTS, max_size=6))
def test_keys_are_equal_exactly_where_nothing_differs(some: list[Part], others: list[Part]) -> None:
    def of(parts: list[Part]) -> Material:
        by_place = {(part.group, part.name): part for part in parts}
        return Material(step_type="Training", parts=tuple(by_place[place] for place in sorted(by_place)))

    one, other = of(some), of(others)
    assert (one.key == other.key) == (differences(one, other) == [])
    assert differences(one, one) == []
    assert replace(one, step_type="Processing").key != one.key


def test_the_files_of_an_input_that_changed_are_named() -> None:
    before = [pinned("train", {"a": "d1", "b": "d2"}), pinned("test", {"a": "d9"})]
    after = [pinned("train", {"a": "d1", "b": "d3", "c": "d4"}), pinned("test", {"a": "d8"})]
    assert changed_files(before, after, "train") == [
        Difference(group="input", name="in/b", before="d2", after="d3"),
        Difference(group="input", name="in/c", before=None, after="d4"),
    ]


FOUND = Found(
    execution_arn="arn:source",
    ended_at=NOW - timedelta(days=2),
    job=None,
    job_arn=None,
    metadata={},
    yielded=StepYield(document={}),
)


@pytest.mark.parametrize(
    ("lookup", "expire_after", "source", "why"),
    [
        (Lookup(asked=ASKED, keyless="it has no key: no"), None, None, "it has no key: no"),
        (Lookup(asked=ASKED, key="k"), None, None, "no execution of this pipeline has succeeded"),
        (Lookup(asked=ASKED, key="k", found=FOUND), None, "arn:source", "arn:source has succeeded with this key"),
        (Lookup(asked=ASKED, key="k", found=FOUND), "p2d", "arn:source", "arn:source has succeeded with this key"),
        (Lookup(asked=ASKED, key="k", found=FOUND), "PT47H59M", None, "is older than PT47H59M"),
        (Lookup(asked=ASKED, key="k", found=replace(FOUND, gone="s3://b/k")), None, None, "s3://b/k, which arn:source"),
        (
            Lookup(asked=ASKED, key="k", found=replace(FOUND, displaced=(ObjectRef("b", "k", "v"),))),
            None,
            "arn:source",
            "1 of its outputs had been changed or deleted and were put back",
        ),
    ],
)
def test_a_result_stands_for_a_step_or_it_is_said_why_not(
    lookup: Lookup, expire_after: str | None, source: str | None, why: str
) -> None:
    note = verdict(lookup, CacheConfig(enabled=True, expire_after=expire_after), NOW)
    assert note.source == source
    assert note.key == lookup.key
    assert why in note.why
