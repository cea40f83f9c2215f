"""Which version of a pipeline an alias means, and what requests may say about it."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.kernel.errors import Conflict, Invalid, NotFound, TowpathError
from towpath.kernel.resource import Resource, Uid
from towpath.pipelines.kinds import ALIASES, LATEST
from towpath.pipelines.versions import aliases_of, asked_for, latest, with_aliases

AT = datetime(2026, 1, 1, tzinfo=UTC)


def pipeline(aliases: dict[str, int] | None = None, newest: int = 3) -> Resource:
    return Resource(
        uid=Uid("u"),
        account="0" * 12,
        region="us-east-1",
        kind="Pipeline",
        name="words",
        arn="arn:aws:sagemaker:us-east-1:000000000000:pipeline/words",
        spec={},
        state={LATEST: newest, ALIASES: aliases or {}},
        created_at=AT,
        created_by="ann",
        modified_at=AT,
    )


def test_a_request_names_a_version_by_id_or_by_alias() -> None:
    words = pipeline({"prod": 2})
    assert asked_for(words, {}) is None
    assert asked_for(words, {"PipelineVersionId": 7}) == 7
    assert asked_for(words, {"PipelineVersionAlias": "prod"}) == 2
    with pytest.raises(NotFound, match="Version 'dev' of the pipeline 'words' does not exist; its aliases are: "):
        asked_for(words, {"PipelineVersionAlias": "dev"})
    with pytest.raises(Invalid, match="exclude each other"):
        asked_for(words, {"PipelineVersionAlias": "prod", "PipelineVersionId": 2})


def test_a_pipeline_of_an_older_release_has_its_first_version() -> None:
    assert latest(pipeline(newest=5)) == 5
    old = pipeline()
    old.state.clear()
    assert latest(old) == 1
    assert aliases_of(old, 1) == []


def test_an_alias_is_taken_away_before_another_version_gets_it() -> None:
    words = pipeline({"prod": 1, "dev": 2})
    with pytest.raises(Conflict, match="'prod' belongs to version 1") as caught:
        with_aliases(words, 2, ["prod"], [])
    assert caught.value.code == "ConflictException"
    with pytest.raises(Invalid, match="no alias 'prod' to remove"):
        with_aliases(words, 2, [], ["prod"])
    with pytest.raises(Invalid, match="in Add and in Remove"):
        with_aliases(words, 1, ["prod"], ["prod"])
    assert with_aliases(words, 1, [], ["prod"]) == {"dev": 2}
    with pytest.raises(Invalid, match="more than 10"):
        with_aliases(words, 1, [f"a{number}" for number in range(10)], [])


@given(
    st.lists(st.tuples(st.integers(1, 3), st.sets(st.sampled_from("abcdefghijklm")), st.sets(st.sampled_from("abc"))))
)
def test_an_alias_names_one_version_whatever_is_asked(requests: list[tuple[int, set[str], set[str]]]) -> None:
    known: dict[str, int] = {}
    for number, add, remove in requests:
        try:
            known = with_aliases(pipeline(known), number, add, remove)
        except TowpathError:
            continue
        words = pipeline(known)
        assert add <= set(aliases_of(words, number))
        assert not remove & set(known)
        assert all(len(aliases_of(words, version)) <= 10 for version in (1, 2, 3))
