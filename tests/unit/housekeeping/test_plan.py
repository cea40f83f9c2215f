"""What is to go follows from what there is, the retention and the time, and never from anything else."""

from datetime import UTC, datetime, timedelta

import pytest

from towpath.housekeeping import Attempt, Facts, Layer, Retention, What, plan
from towpath.housekeeping.model import Node, OldVersion, OpenUpload, Tombstone, VersionKey
from towpath.kernel.resource import Uid

NOW = datetime(2026, 6, 1, tzinfo=UTC)
KEEP = Retention(
    attempts_days=7, logs_days=90, versions_days=30, deleted_days=30, layers_days=30, uploads_days=7, limit_gb=0
)
REF = VersionKey("lake", "raw.csv", "v1")
NODE = "artifact:s3://lake/raw.csv#v1"


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


def old(days: float, ref: VersionKey = REF, size: int = 10) -> OldVersion:
    return OldVersion(ref=ref, size=size, since=ago(days))


def going(facts: Facts, retention: Retention = KEEP) -> list[tuple[What, str]]:
    return [(item.what, item.id[-1]) for item in plan(facts, retention, NOW)]


def test_a_home_with_nothing_in_it_has_nothing_to_lose() -> None:
    assert plan(Facts(), KEEP, NOW) == []


@pytest.mark.parametrize(("days", "goes"), [(29.99, False), (30, True), (400, True), (-5, False)])
def test_a_replaced_version_goes_when_its_time_is_over(days: float, goes: bool) -> None:
    """A time ahead of the clock, after the clock went back, is no age at all."""
    assert going(Facts(versions=(old(days),))) == ([(What.VERSION, "v1")] if goes else [])


def test_a_version_that_a_live_resource_names_stays() -> None:
    facts = Facts(live=frozenset({Uid("a")}), versions=(old(400),), references={Uid("a"): frozenset({REF})})
    assert going(facts) == []


def test_a_version_that_a_tombstone_names_stays_as_long_as_the_tombstone() -> None:
    def facts(days: float) -> Facts:
        tombstone = Tombstone(uid=Uid("a"), kind="Model", name="m", deleted_at=ago(days))
        return Facts(tombstones=(tombstone,), versions=(old(400),), references={Uid("a"): frozenset({REF})})

    assert going(facts(29)) == []
    assert going(facts(31)) == [(What.VERSION, "v1"), (What.TOMBSTONE, "a")]


def lineage(*, live: str, version: VersionKey = REF) -> Facts:
    """Return a raw file that a job made a model of, with a report beside it, and the package of the model."""
    report = VersionKey("lake", "report.json", "v1")
    return Facts(
        live=frozenset({Uid(live)}),
        versions=(old(400, version), old(400, report)),
        nodes=(
            Node(NODE, "Artifact", ago(400)),
            Node("artifact:s3://lake/model.tar.gz#v1", "Artifact", ago(400)),
            Node("artifact:s3://lake/report.json#v1", "Artifact", ago(400)),
            Node("job:j", "Job", ago(400)),
            Node("model-package:p", "ModelPackage", ago(400)),
            Node("endpoint:e", "Endpoint", ago(400)),
        ),
        edges=(
            (NODE, "job:j"),
            ("job:j", "artifact:s3://lake/model.tar.gz#v1"),
            ("job:j", "artifact:s3://lake/report.json#v1"),
            ("artifact:s3://lake/model.tar.gz#v1", "model-package:p"),
            ("model-package:p", "endpoint:e"),
        ),
    )


def test_what_a_live_model_came_from_stays_although_its_jobs_are_gone() -> None:
    """So do the other outputs of its jobs, and the story of where it was deployed."""
    assert going(lineage(live="p")) == []


@pytest.mark.parametrize("live", ["j", "e"])
def test_the_inputs_and_outputs_of_a_live_job_and_of_what_an_endpoint_serves_stay(live: str) -> None:
    assert going(lineage(live=live)) == []


def test_lineage_that_is_connected_with_nothing_kept_goes_with_what_it_told_of() -> None:
    assert {what for what, _ in going(lineage(live="somebody else"))} == {What.VERSION, What.LINEAGE}
    assert len(going(lineage(live="somebody else"))) == 8


def test_a_node_of_an_input_that_a_job_was_just_given_stays_although_no_edge_leads_to_it_yet() -> None:
    facts = Facts(
        live=frozenset({Uid("j")}),
        versions=(old(400),),
        references={Uid("j"): frozenset({REF})},
        nodes=(Node(NODE, "Artifact", ago(400)),),
    )
    assert going(facts) == []


def test_an_attempt_loses_its_working_files_first_and_its_log_later() -> None:
    def facts(days: float, files: int = 100) -> Facts:
        return Facts(attempts=(Attempt(key="u-1", ended_at=ago(days), files_bytes=files, log_bytes=5),))

    assert going(facts(6)) == []
    assert going(facts(8)) == [(What.ATTEMPT_FILES, "u-1")]
    assert going(facts(8, files=0)) == []
    assert going(facts(91)) == [(What.ATTEMPT, "u-1")]
    assert [item.size for item in plan(facts(91), KEEP, NOW)] == [105]


def test_an_attempt_that_runs_or_that_somebody_looks_after_stays() -> None:
    running = Attempt(key="u-1", ended_at=None)
    looked_after = Attempt(key="u-2", ended_at=ago(400), files_bytes=1)
    assert going(Facts(attempts=(running, looked_after), needed=frozenset({"u-2"}))) == []


def test_an_upload_that_was_never_completed_goes() -> None:
    def facts(days: float) -> Facts:
        return Facts(uploads=(OpenUpload(upload_id="u", bucket="lake", key="k", size=9, begun_at=ago(days)),))

    assert going(facts(6)) == []
    assert going(facts(8)) == [(What.UPLOAD, "u")]


def test_a_layer_goes_when_it_was_not_used_for_long_unless_something_that_runs_uses_it() -> None:
    layer = Layer(name="4be1", size=100, used_at=ago(31))
    assert going(Facts(layers=(layer,))) == [(What.LAYER, "4be1")]
    running = Attempt(key="u-1", ended_at=None, layer="4be1")
    assert going(Facts(layers=(layer,), attempts=(running,))) == []


def test_a_delete_marker_goes_with_the_last_version_behind_it() -> None:
    marker = OldVersion(ref=VersionKey("lake", "raw.csv", "m"), size=0, since=ago(31), is_latest=True, others=1)
    assert going(Facts(versions=(old(31), marker))) == [(What.VERSION, "m"), (What.VERSION, "v1")]
    assert going(Facts(versions=(old(29), marker))) == [], "its version would come to light again"
    kept = Facts(live=frozenset({Uid("a")}), versions=(old(31), marker), references={Uid("a"): frozenset({REF})})
    assert going(kept) == []


def test_beyond_the_limit_the_longest_unneeded_goes_first_and_nothing_of_the_last_hour() -> None:
    limited = Retention(limit_gb=1)

    def version(name: str, days: float) -> OldVersion:
        return old(days, VersionKey("lake", name, name), size=400_000_000)

    facts = Facts(versions=(version("c", 1), version("a", 3), version("b", 2)))
    assert going(facts, limited) == [(What.VERSION, "a")]
    assert "keep_limit_gb" in plan(facts, limited, NOW)[0].reason
    assert going(Facts(versions=tuple(version(name, 0.01) for name in "abcdef")), limited) == []
    assert going(facts, KEEP) == [], "without a limit, age alone counts"


def test_what_goes_by_its_age_makes_room_under_the_limit() -> None:
    facts = Facts(versions=(old(31, size=900_000_000), old(1, VersionKey("lake", "b", "b"), size=900_000_000)))
    assert going(facts, Retention(limit_gb=1)) == [(What.VERSION, "v1")]


def test_each_reason_names_its_setting() -> None:
    facts = Facts(
        tombstones=(Tombstone(uid=Uid("a"), kind="Model", name="m", deleted_at=ago(31)),),
        versions=(old(31),),
        uploads=(OpenUpload(upload_id="u", bucket="lake", key="k", size=9, begun_at=ago(31)),),
        attempts=(
            Attempt(key="u-1", ended_at=ago(31), files_bytes=1),
            Attempt(key="u-2", ended_at=ago(91), files_bytes=1),
        ),
        layers=(Layer(name="l", size=1, used_at=ago(31)),),
        nodes=(Node(NODE, "Artifact", ago(31)),),
    )
    told = " ".join(item.reason for item in plan(facts, KEEP, NOW))
    for setting in ("attempts", "logs", "versions", "deleted", "layers", "uploads"):
        assert f"keep_{setting}_days" in told
