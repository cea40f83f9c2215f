"""Pages of keys agree with the plainest possible way of making them."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.gateway.services.s3.listing import Position, decode_token, encode_token, page
from towpath.gateway.services.s3.model import S3Error
from towpath.kernel.objects import ObjectVersion

#: Few different characters, so that prefixes and delimiters are often shared; some sort differently as UTF-16.
KEYS = st.text("ab/ä\U0001f600\uff5e", min_size=1, max_size=6)


def version(key: str) -> ObjectVersion:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return ObjectVersion(
        bucket="b", key=key, version_id="v", size=0, sha256="", etag="", blob="x", created_at=at, created_by="me"
    )


def naive(keys: set[str], prefix: str, delimiter: str) -> list[tuple[str, bool]]:
    """Return all entries as (text, whether it is a folded prefix)."""
    entries: list[tuple[str, bool]] = []
    for key in sorted(keys, key=str.encode):
        if not key.startswith(prefix):
            continue
        entry = (key, False)
        if delimiter and delimiter in key[len(prefix) :]:
            entry = (prefix + key[len(prefix) :].split(delimiter)[0] + delimiter, True)
        if entry not in entries:
            entries.append(entry)
    return entries


@given(
    keys=st.sets(KEYS, max_size=40),
    prefix=st.text("ab/ä", max_size=2),
    delimiter=st.sampled_from(["", "/", "a", "/a"]),
    limit=st.integers(1, 7),
)
def test_pages_joined_are_what_the_naive_way_gives(keys: set[str], prefix: str, delimiter: str, limit: int) -> None:
    ordered = sorted(keys, key=str.encode)

    def fetch(at: Position, most: int) -> list[ObjectVersion]:
        matching = [key for key in ordered if key.startswith(prefix) and key.encode() > at.after.encode()]
        return [version(key) for key in matching[:most]]

    entries: list[tuple[str, bool]] = []
    position: Position | None = Position(text="")
    while position is not None:
        found = page(fetch, prefix=prefix, delimiter=delimiter, start=position, limit=limit)
        shown = [(item.key, False) for item in found.items] + [(text, True) for text in found.prefixes]
        assert len(shown) <= limit
        assert found.next is None or len(shown) == limit
        entries += sorted(shown, key=lambda entry: entry[0].encode())
        position = None if found.next is None else decode_token(encode_token(found.next))
    assert entries == naive(keys, prefix, delimiter)


def test_folding_a_million_keys_away_reads_few_of_them() -> None:
    folders = [f"{number:03d}/" for number in range(50)]
    read = 0

    def fetch(at: Position, most: int) -> list[ObjectVersion]:
        nonlocal read
        after = at.after
        rows: list[ObjectVersion] = []
        for folder in folders:
            if after > folder + "\U0010ffff":
                continue
            first = int(after[len(folder) :]) + 1 if after.startswith(folder) else 0
            rows += [version(f"{folder}{number:06d}") for number in range(first, min(first + most, 20_000))]
            if len(rows) >= most:
                break
        read += min(len(rows), most)
        return rows[:most]

    found = page(fetch, prefix="", delimiter="/", start=Position(text=""), limit=1000)
    assert (found.prefixes, found.next) == (folders, None)
    assert read < 5000


@pytest.mark.parametrize("token", ["", "x", "eA==", "a2V5!", "ä"])
def test_a_token_that_was_not_given_out_is_refused(token: str) -> None:
    with pytest.raises(S3Error, match="was not given out"):
        decode_token(token)
