"""A collection removes what it may, row first, and everything that is referred to can be read ever after."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from towpath.housekeeping import Attempt, Layer, Retention, What, plan
from towpath.kernel.accesses import AccessQuery, access_of
from towpath.kernel.errors import Conflict, TowpathError
from towpath.kernel.objects import ObjectVersion, Upload, UploadPart
from towpath.kernel.principals import Caller
from towpath.kernel.resource import Uid
from towpath.lineage.query import summary_of
from towpath.store import SqlTransaction

if TYPE_CHECKING:
    from tests.unit.housekeeping.conftest import Lake


def went(lake: Lake) -> dict[str, int]:
    """Collect, and return how many of each sort went."""
    return {group.what.value: group.count for group in lake.collector.collect(principal="ada").groups}


def test_a_replaced_version_goes_with_its_bytes(lake: Lake) -> None:
    first, second = lake.put("a"), lake.put("a")
    assert went(lake) == {}
    lake.pass_days(30)
    assert went(lake) == {"object version": 1}
    assert not lake.is_readable(first)
    assert lake.blobs() == {second.blob}
    assert went(lake) == {}


@pytest.mark.shows("towpath", "CollectGarbage", how="executes")
def test_a_dry_run_tells_what_a_collection_does_and_does_nothing(lake: Lake) -> None:
    lake.put("a")
    lake.put("a")
    lake.pass_days(31)
    told = lake.call("CollectGarbage", DryRun=True)
    assert (told["DryRun"], told["Count"], told["Groups"]) == (
        True,
        1,
        [{"What": "object version", "Count": 1, "Size": 9}],
    )
    assert len(lake.blobs()) == 2
    done = lake.call("CollectGarbage")
    assert {**done, "DryRun": True} == told
    assert len(lake.blobs()) == 1


def test_the_collection_is_an_event_with_its_principal(lake: Lake) -> None:
    lake.put("a")
    lake.put("a")
    lake.pass_days(31)
    lake.call("CollectGarbage", by="olga")
    rows = lake.store.read(
        lambda transaction: transaction.connection.exec_driver_sql(
            "SELECT principal, detail FROM event WHERE type = 'Garbage Collected'"
        ).all()
    )
    assert [tuple(row) for row in rows] == [("olga", b'{"object version":{"count":1,"bytes":9}}')]


def test_bytes_that_a_copy_shares_stay(lake: Lake) -> None:
    from msgspec.structs import replace

    original = lake.put("a")
    copied = replace(original, key="b", version_id="copy")
    lake.store.write(lambda transaction: transaction.objects.put(copied))
    lake.put("a")
    lake.pass_days(31)
    assert went(lake) == {"object version": 1}
    assert lake.is_readable(copied)


def test_a_deleted_object_goes_with_its_marker(lake: Lake) -> None:
    lake.put("a")
    lake.mark_deleted("a")
    lake.pass_days(31)
    assert went(lake) == {"object version": 2}
    assert lake.store.read(lambda transaction: transaction.objects.versions(lake.put("b").bucket, "a")) == []


def test_what_a_model_version_was_made_of_stays_when_all_else_is_gone(lake: Lake) -> None:
    raw, model, report = lake.put("raw"), lake.put("model.tar.gz"), lake.put("report")
    lake.job("train", [raw], [model, report])
    package = lake.register("model.tar.gz")
    lake.call("DeleteProcessingJob", ProcessingJobName="train")
    for key in ("raw", "model.tar.gz", "report"):
        lake.put(key)
        lake.mark_deleted(key)
    lake.pass_days(400)
    assert went(lake)["deleted resource"] == 1
    assert all(map(lake.is_readable, (raw, model, report)))
    story = lake.store.read(lambda transaction: summary_of(transaction, package))
    assert [job["Name"] for job in story["ProcessingJobs"]] == ["train"]


def test_a_deleted_model_version_is_gone_for_good_after_its_retention(lake: Lake) -> None:
    model = lake.put("model.tar.gz")
    package = lake.register("model.tar.gz")
    lake.put("model.tar.gz")
    lake.call("DeleteModelPackage", ModelPackageName=package.arn)
    lake.pass_days(29)
    assert went(lake) == {}
    assert lake.is_readable(model)
    lake.pass_days(2)
    assert went(lake) == {"deleted resource": 1, "object version": 1, "lineage node": 2}
    assert lake.get(package.uid) is None
    assert lake.register("model.tar.gz").name == "reviews/2", "its number is never given again"


def test_an_upload_that_was_abandoned_goes_with_its_parts(lake: Lake) -> None:
    blob = lake.objects.write([b"part"])

    def begin(transaction: SqlTransaction) -> None:
        upload = Upload(
            upload_id="u", bucket="b", key="k", content_type="t", created_at=transaction.now, created_by="ada"
        )
        transaction.objects.uploads.begin(upload)
        part = UploadPart(number=1, blob=blob.blob, size=blob.size, etag=blob.etag, sha256=blob.sha256)
        transaction.objects.uploads.put_part("u", part)

    lake.store.write(begin)
    lake.pass_days(6)
    assert went(lake) == {}
    lake.pass_days(1)
    assert went(lake) == {"multipart upload": 1}
    assert lake.blobs() == set()


def test_who_read_an_object_is_forgotten_when_it_was_long_ago(lake: Lake) -> None:
    version = lake.put("model.tar.gz")
    old, young = Caller("ada"), Caller("grace")

    def read(caller: Caller, by: str) -> None:
        now = lake.clock.now()
        lake.store.write(lambda transaction: transaction.accesses.record([access_of(version, caller, by, now)]))

    read(old, "GetObject")
    read(old, "HeadObject")
    lake.pass_days(60)
    read(young, "GetObject")
    lake.pass_days(29)
    assert went(lake) == {}
    lake.pass_days(2)
    assert went(lake) == {"record of access to objects": 2}
    left = lake.store.read(lambda transaction: transaction.accesses.page(AccessQuery(), before=None, limit=9))
    assert [access.principal for access in left] == ["grace"]


def test_old_lines_of_log_groups_go_though_no_new_ones_come(lake: Lake) -> None:
    def write(group: str, *lines: str) -> None:
        now = lake.clock.now()
        for line in lines:
            lake.store.write(lambda transaction, line=line: transaction.lines.append(Uid(group), now, line, now))  # type: ignore[misc]

    write("quiet", "one", "two")
    lake.pass_days(60)
    write("busy", "three")
    lake.pass_days(29)
    assert went(lake) == {}
    lake.pass_days(2)
    (item,) = lake.collector.plan()
    assert (item.name, item.reason) == ("2 lines of log groups", "of more than 90 days ago (keep_logs_days)")
    assert went(lake) == {"line of a log group": 2}
    left = lake.store.read(lambda tx: [*tx.lines.after(Uid("quiet"), 0, 9), *tx.lines.after(Uid("busy"), 0, 9)])
    assert [line.text for line in left] == ["three"]
    assert went(lake) == {}


def test_old_attempts_and_layers_go_but_not_those_of_a_job_that_has_not_ended(lake: Lake) -> None:
    job = lake.job("running", [], [])
    lake.store.write(lambda transaction: transaction.resources.replace(job, status="InProgress"))
    now = lake.clock.now()
    for key in (f"{job.uid}-1", "0123-1"):
        lake.attempts.kept[key] = Attempt(key=key, ended_at=now, files_bytes=10, log_bytes=1)
    lake.layers.kept["4be1"] = Layer(name="4be1", size=10, used_at=now)
    lake.pass_days(10)
    assert went(lake) == {"attempt files": 1}
    lake.pass_days(100)
    assert went(lake) == {"attempt": 1, "environment layer": 1}
    assert list(lake.attempts.kept) == [f"{job.uid}-1"]


def test_what_came_into_use_after_the_plan_was_made_stays(lake: Lake) -> None:
    """A dataset version that names an old version by its id, made while a collection is under way."""
    first = lake.put("datasets/d/a")
    lake.put("datasets/d/a")
    lake.pass_days(31)
    facts, revisions = lake.collector._look()
    package = lake.job("late", [], [])
    named = [["a", first.bucket, first.key, first.version_id, first.size, first.sha256]]
    lake.store.write(lambda transaction: transaction.resources.replace(package, state={"Manifest": named}))
    items = plan(facts, lake.retention, lake.clock.now())
    groups = list(lake.collector._drop_versions(items, revisions))
    assert [group.count for group in groups] == [0]
    assert lake.is_readable(first)


def test_a_version_that_came_to_light_again_after_the_plan_was_made_stays(lake: Lake) -> None:
    first, second = lake.put("a"), lake.put("a")
    lake.pass_days(31)
    facts, revisions = lake.collector._look()
    lake.store.write(lambda transaction: transaction.objects.remove(second.bucket, "a", second.version_id))
    items = plan(facts, lake.retention, lake.clock.now())
    assert [group.count for group in lake.collector._drop_versions(items, revisions)] == [0]
    assert lake.is_readable(first)


class Died(BaseException):
    """The process was killed."""


@pytest.mark.parametrize("dies_at", range(6))
def test_a_collection_that_is_killed_leaves_a_home_that_the_next_one_finishes(
    lake: Lake, dies_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deaths: before the first removal of bytes, and between any two of them."""
    kept = [lake.put(f"k{n}") for n in range(5) if lake.put(f"k{n}")]
    lake.pass_days(31)
    left = dies_at
    discard = lake.objects.discard

    def dying(blob: str) -> None:
        nonlocal left
        if left == 0:
            raise Died
        left -= 1
        discard(blob)

    monkeypatch.setattr(lake.objects, "discard", dying)
    try:
        lake.collector.collect(principal="ada")
    except Died:
        assert dies_at < 5
    lake.close()
    lake.open()
    assert went(lake) == {}, "the rows are gone already"
    assert lake.sweep() == 5 - min(dies_at, 5)
    assert lake.blobs() == {version.blob for version in kept}


def test_a_second_collection_at_the_same_time_is_refused(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    refused: list[str] = []

    def meanwhile() -> list[Attempt]:
        with pytest.raises(Conflict, match="under way") as told:
            lake.collector.collect(principal="eve")
        refused.append(told.value.message)
        return []

    monkeypatch.setattr(lake.attempts, "all", meanwhile)
    lake.collector.collect(principal="ada")
    assert len(refused) == 1


KEYS = ("datasets/d/a", "datasets/d/b", "model.tar.gz", "raw")


class World:
    """A lake and what its resources need, written down when they were made."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self.needs: dict[Uid, list[ObjectVersion]] = {}
        self.made: list[tuple[str, str, Uid]] = []  #: (kind, name, uid)
        self.jobs: dict[str, list[ObjectVersion]] = {}  #: version id of an output -> all that its job read and made
        self.step = 0

    def act(self, action: str, number: int) -> None:
        """Do one thing, or nothing where it cannot be done now."""
        self.step += 1
        with contextlib.suppress(TowpathError):  # refused, as the API refuses it
            getattr(self, action)(number)

    def put(self, number: int) -> None:
        self.lake.put(KEYS[number % len(KEYS)])

    def mark(self, number: int) -> None:
        self.lake.mark_deleted(KEYS[number % len(KEYS)])

    def dataset(self, _: int) -> None:
        versions = [found for key in KEYS[:2] if (found := self.lake.latest(key))]
        told = self.lake.call("CreateDatasetVersion", DatasetName="d")
        name = f"d/{told['Version']}"
        if told["Created"]:
            self._made("DatasetVersion", name, versions)

    def job(self, number: int) -> None:
        read = [found for key in KEYS if (found := self.lake.latest(key))]
        wrote = [self.lake.put("model.tar.gz"), self.lake.put(f"report{number % 2}")]
        resource = self.lake.job(f"job{self.step}", read, wrote)
        self.needs[resource.uid] = [*read, *wrote]
        self.made.append(("ProcessingJob", resource.name, resource.uid))
        past = [needed for version in read for needed in self.jobs.get(version.version_id, [])]
        for version in wrote:
            self.jobs[version.version_id] = [*read, *wrote, *past]

    def register(self, _: int) -> None:
        model = self.lake.latest("model.tar.gz")
        package = self.lake.register("model.tar.gz")
        assert model is not None
        self.needs[package.uid] = [model, *self.jobs.get(model.version_id, [])]
        self.made.append(("ModelPackage", package.name, package.uid))

    def model(self, number: int) -> None:
        packages = [entry for entry in self.made if entry[0] == "ModelPackage"]
        if not packages:
            return
        _, name, uid = packages[number % len(packages)]
        arn = f"arn:aws:sagemaker:us-east-1:000000000000:model-package/{name}"
        model = f"m{self.step}"
        self.lake.call("CreateModel", ModelName=model, PrimaryContainer={"ModelPackageName": arn})
        self._made("Model", model, self.needs[uid])
        variant = {"VariantName": "v", "ModelName": model, "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
        self.lake.call("CreateEndpointConfig", EndpointConfigName=model, ProductionVariants=[variant])
        self._made("EndpointConfig", model, [])

    def delete(self, number: int) -> None:
        if not self.made:
            return
        kind, name, _ = self.made[number % len(self.made)]
        if kind != "DatasetVersion":
            member = "ModelPackageName" if kind == "ModelPackage" else f"{kind}Name"
            arn = f"arn:aws:sagemaker:us-east-1:000000000000:model-package/{name}"
            self.lake.call(f"Delete{kind}", **{member: arn if kind == "ModelPackage" else name})

    def undelete(self, number: int) -> None:
        if self.made:
            kind, name, _ = self.made[number % len(self.made)]
            self.lake.call("Undelete", ResourceKind=kind, ResourceName=name)

    def wait(self, number: int) -> None:
        self.lake.pass_days(number % 50)

    def collect(self, _: int) -> None:
        planned = self.lake.collector.plan()
        outcome = self.lake.collector.collect(principal="ada")
        assert outcome.items == planned
        counts = {group.what: group.count for group in outcome.groups}
        for what in set(What):
            assert counts.get(what, 0) == sum(item.what is what for item in planned), what
        self.check()

    def _made(self, kind: str, name: str, needs: list[ObjectVersion]) -> None:
        resource = self.lake.find(kind, name)
        assert resource is not None
        self.needs[resource.uid] = needs
        self.made.append((kind, name, resource.uid))

    def check(self) -> None:
        """Everything that a resource which lives, or can live again, was made of can be read."""
        deletable = {
            (each["ResourceKind"], each["ResourceName"])
            for each in self.lake.call("ListDeletedResources")["DeletedResources"]
        }
        for kind, name, uid in self.made:
            resource = self.lake.get(uid)
            if resource is not None and (resource.is_live or (kind, name) in deletable):
                for version in self.needs[uid]:
                    assert self.lake.is_readable(version), f"{kind} {name} lost {version.uri}"
        for key in KEYS:
            latest = self.lake.latest(key)
            assert latest is None or self.lake.is_readable(latest)


ACTIONS = ("put", "mark", "dataset", "job", "register", "model", "delete", "undelete", "wait", "collect")


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    actions=st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 1000)), min_size=5, max_size=40),
    retention=st.builds(
        Retention,
        versions_days=st.sampled_from([0.0, 10.0, 30.0]),
        deleted_days=st.sampled_from([0.0, 10.0, 30.0]),
        limit_gb=st.sampled_from([0.0, 1e-9]),
    ),
)
def test_whatever_happened_everything_that_is_referred_to_can_still_be_read(
    actions: list[tuple[str, int]],
    retention: Retention,
    tmp_path_factory: pytest.TempPathFactory,
    make_lake: Callable[[Path, Retention], Any],
) -> None:
    lake = make_lake(tmp_path_factory.mktemp("world"), retention)
    try:
        world = World(lake)
        for action, number in [*actions, ("collect", 0)]:
            world.act(action, number)
    finally:
        lake.close()
