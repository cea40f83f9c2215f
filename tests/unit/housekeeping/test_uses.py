"""What refers to an object version is known when it is to be removed, also when it came while that was looked up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towpath.housekeeping.model import VersionKey
from towpath.housekeeping.uses import Uses
from towpath.kernel.objects import ObjectVersion

if TYPE_CHECKING:
    from tests.unit.housekeeping.conftest import Lake


def key_of(version: ObjectVersion) -> VersionKey:
    return VersionKey(version.bucket, version.key, version.version_id)


def looked_up(lake: Lake, *versions: ObjectVersion) -> Uses:
    return lake.store.read(lambda transaction: Uses.of(transaction, frozenset(map(key_of, versions))))


def users(lake: Lake, uses: Uses) -> dict[VersionKey, str]:
    return lake.store.write(uses.by_now)


def test_what_jobs_read_and_wrote_is_used_and_the_rest_is_not(lake: Lake) -> None:
    read, written, loose = lake.put("in"), lake.put("out"), lake.put("loose")
    lake.job("prepare", [read], [written])
    uses = looked_up(lake, read, written, loose)
    assert users(lake, uses) == {key_of(read): "the lineage", key_of(written): "the lineage"}


def test_a_model_version_refers_to_its_archive_also_while_it_can_be_undeleted(lake: Lake) -> None:
    archive = lake.put("model.tar.gz")
    package = lake.register("model.tar.gz")
    assert users(lake, looked_up(lake, archive)) == {key_of(archive): "the lineage"}
    lake.call("DeleteModelPackage", ModelPackageName=package.arn)
    assert users(lake, looked_up(lake, archive)) == {key_of(archive): "the lineage"}
    lake.pass_days(31)
    lake.collector.collect(principal="ada")
    assert users(lake, looked_up(lake, archive)) == {}


def test_a_use_that_came_after_the_look_is_seen_in_the_transaction_that_removes(lake: Lake) -> None:
    listed, read = lake.put("datasets/reviews/a.csv"), lake.put("in")
    uses = looked_up(lake, listed, read)
    assert uses.users == {}
    lake.call("CreateDatasetVersion", DatasetName="reviews")
    lake.job("prepare", [read], [])
    assert users(lake, uses) == {key_of(listed): "the DatasetVersion reviews/1", key_of(read): "the lineage"}


def test_many_versions_are_looked_up_as_few_are(lake: Lake) -> None:
    files = [lake.put(f"datasets/reviews/{number}") for number in range(20)]
    loose = [lake.put(f"loose/{number}") for number in range(20)]
    lake.call("CreateDatasetVersion", DatasetName="reviews")
    found = users(lake, looked_up(lake, *files, *loose))
    assert set(found) == set(map(key_of, files))
