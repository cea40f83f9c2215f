"""What the rows of objects must do in every store. Subclass the suite and give it a fixture `store`.

class TestRowsOnSqlite(ObjectRowsConformance):
    @pytest.fixture
    def store(self, tmp_path): ...
"""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from towpath.kernel.objects import Checksum, ChecksumKind, ObjectRef, ObjectVersion, Upload, UploadPart
from towpath.kernel.ports import Store, Transaction

AT = datetime(2026, 1, 1, tzinfo=UTC)
#: Few different characters, so that prefixes are often shared; as UTF-16 the last two would sort the other way round.
KEYS = st.text("ab/\u00e4\ud7ff\uff5e\U0001f600\U0010ffff", min_size=1, max_size=4)


def version(key: str, version_id: str, *, bucket: str = "bucket", marker: bool = False) -> ObjectVersion:
    """Return an object version, or a delete marker."""
    return ObjectVersion(
        bucket=bucket,
        key=key,
        version_id=version_id,
        size=0 if marker else 3,
        sha256="" if marker else "ab" * 32,
        etag="" if marker else "cd" * 16,
        blob=None if marker else f"blob-{version_id}",
        content_type="text/plain",
        metadata={} if marker else {"origin": "lake", ":cache-control": "no-store"},
        tags={} if marker else {"team": "größe"},
        checksum=None if marker else Checksum("crc32", "AAAAAA=="),
        created_at=AT,
        created_by="ann",
        is_delete_marker=marker,
    )


class _Undo(Exception):
    """Leaves the store as it was."""


class ObjectRowsConformance:
    """The port `kernel.objects.ObjectRows`, uploads included."""

    def test_a_bucket_is_made_once(self, store: Store) -> None:
        assert store.write(lambda transaction: transaction.objects.create_bucket("b", AT))
        assert not store.write(lambda transaction: transaction.objects.create_bucket("b", AT))
        assert store.read(lambda transaction: transaction.objects.buckets()) == [("b", AT)]
        assert store.read(lambda transaction: transaction.objects.bucket_created_at("b")) == AT
        assert store.read(lambda transaction: transaction.objects.bucket_created_at("other")) is None

    def test_the_latest_of_many_keys_are_read_at_once(self, store: Store) -> None:
        keys = [f"k{number}" for number in range(1100)]

        def work(transaction: Transaction) -> None:
            rows = transaction.objects
            rows.create_bucket("bucket", AT)
            rows.put_all([version(key, f"1-{key}") for key in keys])
            rows.put_all([version("k7", "2-k7"), version("k8", "2-k8", marker=True)])
            found = rows.latest("bucket", [*keys, "absent"])
            assert found.keys() == {*keys} - {"k8"}
            assert found["k7"].version_id == "2-k7"
            assert found["k9"] == version("k9", "1-k9")
            assert rows.latest("other", keys) == {}

        store.write(work)

    def test_a_bucket_is_removed_only_with_nothing_left_in_it(self, store: Store) -> None:
        def work(transaction: Transaction) -> None:
            rows = transaction.objects
            rows.create_bucket("bucket", AT)
            rows.create_bucket("bucket-2", AT)
            rows.put(version("k", "v1", marker=True))
            assert not rows.remove_bucket("bucket")
            assert rows.remove_bucket("bucket-2")
            rows.remove("bucket", "k", "v1")
            assert rows.remove_bucket("bucket")
            assert rows.buckets() == []

        store.write(work)

    def test_the_last_put_is_the_latest_and_all_versions_stay(self, store: Store) -> None:
        def work(transaction: Transaction) -> None:
            rows = transaction.objects
            rows.put(version("k", "v1"))
            rows.put(version("k", "v2"))
            rows.put(version("k", "v3", marker=True))
            rows.put(version("other", "v1"))
            latest = rows.get(ObjectRef("bucket", "k"))
            assert latest is not None
            assert (latest.version_id, latest.is_delete_marker, latest.blob) == ("v3", True, None)
            first = rows.get(ObjectRef("bucket", "k", "v1"))
            assert first is not None
            assert not first.is_latest
            assert first.metadata == {"origin": "lake", ":cache-control": "no-store"}
            assert first.created_at == AT
            assert (first.tags, first.checksum) == ({"team": "größe"}, Checksum("crc32", "AAAAAA=="))
            assert [item.version_id for item in rows.versions("bucket", "k")] == ["v3", "v2", "v1"]
            assert [item.key for item in rows.listing("bucket", "")] == ["other"]
            assert rows.get(ObjectRef("bucket", "k", "v9")) is None
            assert rows.get(ObjectRef("elsewhere", "k")) is None

        store.write(work)

    def test_tags_belong_to_one_version_and_are_replaced_as_a_whole(self, store: Store) -> None:
        def work(transaction: Transaction) -> None:
            rows = transaction.objects
            rows.put(version("k", "v1"))
            rows.put(version("k", "v2"))
            rows.set_tags("bucket", "k", "v1", {"a": "1", "b": ""})
            assert [item.tags for item in rows.versions("bucket", "k")] == [{"team": "größe"}, {"a": "1", "b": ""}]
            rows.set_tags("bucket", "k", "v1", {})
            assert [item.tags for item in rows.versions("bucket", "k")] == [{"team": "größe"}, {}]

        store.write(work)

    def test_many_put_together_stand_as_if_put_one_by_one(self, store: Store) -> None:
        def work(transaction: Transaction) -> None:
            rows = transaction.objects
            rows.put(version("k", "v1"))
            many = [version(f"n{number}", "v1") for number in range(2000)]
            rows.put_all([version("k", "v2"), *many, version("k", "v3"), version("k", "v4", marker=True)])
            rows.put_all([])
            assert [(item.version_id, item.is_latest) for item in rows.versions("bucket", "k")] == [
                ("v4", True),
                ("v3", False),
                ("v2", False),
                ("v1", False),
            ]
            assert len(rows.listing("bucket", "n", limit=5000)) == 2000

        store.write(work)

    def test_the_history_goes_by_key_and_the_newest_first(self, store: Store) -> None:
        def work(transaction: Transaction) -> None:
            rows = transaction.objects
            for version_id in ("v2", "v1", "v3"):
                for key in ("b", "a", "ä"):
                    rows.put(version(key, version_id, marker=version_id == "v3"))
            expected = [(key, version_id) for key in ("a", "b", "ä") for version_id in ("v3", "v1", "v2")]
            assert [(item.key, item.version_id) for item in rows.history("bucket", "")] == expected
            for place, (key, version_id) in enumerate(expected):
                behind = rows.history("bucket", "", after=key, after_version=version_id, limit=2)
                assert [(item.key, item.version_id) for item in behind] == expected[place + 1 : place + 3]
            assert [item.key for item in rows.history("bucket", "", after="a")] == ["b"] * 3 + ["ä"] * 3
            assert [item.key for item in rows.history("bucket", "b", after="a", after_version="v1")] == ["b"] * 3
            gone = rows.history("bucket", "", after="b", after_version="gone")
            assert [item.key for item in gone] == ["b"] * 3 + ["ä"] * 3, "begun anew"
            assert rows.history("elsewhere", "") == []

        store.write(work)

    def test_removing_a_version_makes_the_newest_of_the_others_the_latest(self, store: Store) -> None:
        def work(transaction: Transaction) -> None:
            rows = transaction.objects
            for version_id in ("v1", "v2", "v3"):
                rows.put(version("k", version_id))
            rows.put(version("other", "v9"))
            assert rows.remove("bucket", "k", "v9") is None
            removed = rows.remove("bucket", "k", "v1")
            assert removed is not None
            assert removed.version_id == "v1"
            assert _latest(transaction) == "v3"
            rows.remove("bucket", "k", "v3")
            assert _latest(transaction) == "v2"
            rows.remove("bucket", "k", "v2")
            assert rows.get(ObjectRef("bucket", "k")) is None
            assert [item.key for item in rows.listing("bucket", "")] == ["other"]

        store.write(work)

    @given(
        keys=st.sets(KEYS, max_size=12),
        deleted=st.sets(KEYS, max_size=3),
        prefix=st.text("a/\ud7ff\U0010ffff", max_size=2),
        after=st.just("") | KEYS,
        until=st.none() | KEYS,
        limit=st.integers(1, 5),
    )
    @settings(
        max_examples=60,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
    )
    def test_a_listing_is_what_sorting_by_bytes_gives(
        self, store: Store, keys: set[str], deleted: set[str], prefix: str, after: str, until: str | None, limit: int
    ) -> None:
        def work(transaction: Transaction) -> None:
            for key in keys | deleted:
                transaction.objects.put(version(key, "v1"))
                transaction.objects.put(version(key, "v2", marker=key in deleted))
            transaction.objects.put(version("a", "v1", bucket="another"))
            expected = [
                key
                for key in sorted(keys - deleted, key=str.encode)
                if key.startswith(prefix)
                and key.encode() > after.encode()
                and (until is None or key.encode() < until.encode())
            ]
            found = transaction.objects.listing("bucket", prefix, after=after, until=until, limit=limit)
            assert [(item.key, item.version_id) for item in found] == [(key, "v2") for key in expected[:limit]]
            raise _Undo

        with pytest.raises(_Undo):
            store.write(work)

    def test_an_upload_keeps_its_parts_until_it_ends(self, store: Store) -> None:
        upload = Upload(
            upload_id="u1",
            bucket="bucket",
            key="big",
            content_type="text/plain",
            metadata={"a": "b"},
            tags={"team": "lake"},
            checksum=ChecksumKind("crc32", is_composite=True),
            created_at=AT,
            created_by="ann",
        )
        first, second, again = (
            UploadPart(number=number, blob=blob, size=1, etag="e", sha256="s", checksum=checksum, created_at=at)
            for number, blob, checksum, at in ((1, "p1", "c", AT), (2, "p2", None, None), (2, "p3", "c", AT))
        )

        def work(transaction: Transaction) -> None:
            uploads = transaction.objects.uploads
            uploads.begin(upload)
            assert uploads.put_part("u1", second) is None
            assert uploads.put_part("u1", first) is None
            assert uploads.put_part("u1", again) == second
            assert uploads.find("u1") == upload
            assert uploads.parts("u1") == [first, again]
            assert uploads.of("bucket", "bi") == [upload]
            assert uploads.of("bucket", "c") == uploads.of("other", "") == []
            later = replace(upload, upload_id="u0", created_at=AT + timedelta(seconds=1))
            other = replace(upload, upload_id="u2", key="bigger")
            for one in (later, other):
                uploads.begin(one)
            assert uploads.of("bucket", "") == [upload, later, other]
            assert uploads.of("bucket", "", limit=1) == [upload]
            assert uploads.of("bucket", "", after="big", after_upload="u1", limit=1) == [later]
            assert uploads.of("bucket", "", after="big") == [other]
            uploads.end("u0")
            assert uploads.of("bucket", "", after="big", after_upload="u0") == [upload, other], "begun anew"
            uploads.end("u2")
            assert transaction.objects.known_blobs(["p1", "p2", "p3"]) == {"p1", "p3"}
            uploads.end("u1")
            assert uploads.find("u1") is None
            assert uploads.parts("u1") == []
            assert transaction.objects.known_blobs(["p1", "p3"]) == set()

        store.write(work)

    def test_known_blobs_are_those_of_any_version(self, store: Store) -> None:
        def work(transaction: Transaction) -> None:
            for number in range(1200):
                transaction.objects.put(version(f"k{number % 7}", f"v{number}"))
            asked = [f"blob-v{number}" for number in range(1300)]
            assert transaction.objects.known_blobs(iter(asked)) == set(asked[:1200])
            assert transaction.objects.known_blobs([]) == set()

        store.write(work)


def _latest(transaction: Transaction) -> str:
    found = transaction.objects.get(ObjectRef("bucket", "k"))
    assert found is not None
    assert found.is_latest
    return found.version_id
