"""Inputs are looked up once and mean exact versions from then on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from towpath.jobs.channels import PinnedInput, WantedInput, below_root, pin
from towpath.kernel.errors import Invalid, Unsupported
from towpath.kernel.objects import ObjectVersion

if TYPE_CHECKING:
    from tests.unit.jobs.conftest import World


def pinned(world: World, uri: str, *, page: int = 1000, **members: object) -> PinnedInput:
    wanted = WantedInput(name="raw", uri=uri, path="input/data/raw", **members)  # type: ignore[arg-type]

    def text(version: ObjectVersion) -> str:
        return b"".join(world.objects.read(version)).decode()

    return world.store.read(lambda transaction: pin(wanted, transaction.objects, text, page=page))


def paths(found: PinnedInput) -> list[str]:
    return [item.path for item in found.objects]


def test_an_object_lands_under_its_own_name(world: World) -> None:
    world.put("s3://b/raw/reviews.csv", b"1")
    world.put("s3://b/raw/reviews.csv.old", b"2")
    assert paths(pinned(world, "s3://b/raw/reviews.csv")) == ["input/data/raw/reviews.csv"]


@pytest.mark.parametrize("uri", ["s3://b/raw", "s3://b/raw/"])
def test_a_folder_keeps_its_shape_with_and_without_the_slash(world: World, uri: str) -> None:
    for key in ("raw/", "raw/a.csv", "raw/deep/b.csv", "rawer/c.csv"):
        world.put(f"s3://b/{key}", b"x")
    assert paths(pinned(world, uri)) == ["input/data/raw/a.csv", "input/data/raw/deep/b.csv"]


def test_a_prefix_that_is_no_folder_means_every_key_that_begins_so(world: World) -> None:
    for key in ("raw/part-0", "raw/part-1", "raw/other"):
        world.put(f"s3://b/{key}", b"x")
    assert paths(pinned(world, "s3://b/raw/part-")) == ["input/data/raw/part-0", "input/data/raw/part-1"]


def test_a_whole_bucket_is_a_folder_too(world: World) -> None:
    world.put("s3://b/a.csv", b"x")
    assert paths(pinned(world, "s3://b")) == ["input/data/raw/a.csv"]


def test_all_pages_of_a_long_listing_are_read(world: World) -> None:
    for number in range(5):
        world.put(f"s3://b/raw/{number}", b"x")
    assert len(paths(pinned(world, "s3://b/raw/", page=2))) == 5


def test_the_version_is_the_one_of_the_moment(world: World) -> None:
    first = world.put("s3://b/raw/a.csv", b"old")
    before = pinned(world, "s3://b/raw/")
    world.put("s3://b/raw/a.csv", b"new")
    assert before.objects[0].version_id == first.version_id
    assert pinned(world, "s3://b/raw/").objects[0].version_id != first.version_id


def test_nothing_under_the_prefix_is_a_clear_failure(world: World) -> None:
    with pytest.raises(Invalid, match=r"There are no objects under s3://b/nothing \(input 'raw'\)"):
        pinned(world, "s3://b/nothing")
    assert paths(pinned(world, "s3://b/nothing", optional=True)) == []


def test_where_nothing_is_under_the_prefix_what_lies_beside_it_is_named(world: World) -> None:
    for key in ("start/baseline/a.json", "start/baseline/b.json", "start/README", "other/x"):
        world.put(f"s3://b/{key}", b"x")
    with pytest.raises(Invalid, match=r"under s3://b/start/bert/ \(.*\); s3://b/start/ holds README, baseline/$"):
        pinned(world, "s3://b/start/bert/")
    with pytest.raises(Invalid, match=r"under s3://b/no/such/key \(.*\); s3://b/ holds other/, start/$"):
        pinned(world, "s3://b/no/such/key")


def test_a_manifest_names_its_objects(world: World) -> None:
    world.put("s3://b/data/1.csv", b"1")
    world.put("s3://b/data/deep/2.csv", b"2")
    world.put("s3://b/data/3.csv", b"3")
    world.put("s3://b/list.json", json.dumps([{"prefix": "s3://b/data/"}, "1.csv", "deep/2.csv"]).encode())
    found = pinned(world, "s3://b/list.json", manifest=True)
    assert paths(found) == ["input/data/raw/1.csv", "input/data/raw/deep/2.csv"]


def test_a_manifest_that_is_none_is_refused(world: World) -> None:
    world.put("s3://b/list.json", b"{}")
    with pytest.raises(Invalid, match="is not a manifest"):
        pinned(world, "s3://b/list.json", manifest=True)
    world.put("s3://b/list.json", b'[{"prefix": "s3://b/data/"}, "gone.csv"]')
    with pytest.raises(Invalid, match=r"names s3://b/data/gone\.csv, which does not exist"):
        pinned(world, "s3://b/list.json", manifest=True)


def test_an_archive_to_unpack_is_one_object_and_goes_into_the_folder_itself(world: World) -> None:
    world.put("s3://b/code/sourcedir.tar.gz", b"x")
    assert paths(pinned(world, "s3://b/code/sourcedir.tar.gz", unpack=True)) == ["input/data/raw"]
    world.put("s3://b/code/other.tar.gz", b"x")
    with pytest.raises(Invalid, match="must name one tar archive, it matches 2"):
        pinned(world, "s3://b/code/", unpack=True)


def test_a_key_that_would_leave_its_folder_is_refused(world: World) -> None:
    world.put("s3://b/raw/../../etc/passwd", b"x")
    with pytest.raises(Unsupported, match="cannot be laid out"):
        pinned(world, "s3://b/raw/")


def test_only_places_below_opt_ml_are_a_jobs_own() -> None:
    assert below_root("/opt/ml/processing/input/", what="LocalPath") == "processing/input"
    for path in ("/opt/ml", "/tmp/data", "/opt/ml/../etc", "relative"):
        with pytest.raises(Unsupported, match="LocalPath is"):
            below_root(path, what="LocalPath")
