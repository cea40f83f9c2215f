"""Lists of keys and of versions: their order, and pages that join."""

from typing import Any

from towpath.testing.s3.client import S3


class Listings:
    """What a bucket holds."""

    def test_keys_are_listed_in_the_order_of_their_bytes(self, s3: S3) -> None:
        keys = ["a", "B", "ä", "a/b", "a-b", "z", "\uff5e", "\U0001f600", "a b", "日本"]
        for key in keys:
            s3("PUT", "bucket", key, body=b"")
        listed = s3("GET", "bucket", list_type=2).texts("Key")
        assert listed == sorted(keys, key=lambda key: key.encode())

    def test_a_delimiter_folds_keys_and_pages_join_without_gap_or_repeat(self, s3: S3) -> None:
        for key in ["a", "b/1", "b/2", "b/3/x", "c", "d/1", "e"]:
            s3("PUT", "bucket", key, body=b"")
        pages: list[tuple[list[str], list[str]]] = []
        token: dict[str, Any] = {}
        while True:
            page = s3("GET", "bucket", list_type=2, delimiter="/", max_keys=2, **token)
            prefixes = [text for text in page.texts("Prefix") if text]
            pages.append((page.texts("Key"), prefixes))
            if page.text("IsTruncated") == "false":
                break
            token = {"continuation_token": page.text("NextContinuationToken")}
        assert pages == [(["a"], ["b/"]), (["c"], ["d/"]), (["e"], [])]
        inside = s3("GET", "bucket", list_type=2, delimiter="/", prefix="b/")
        assert inside.texts("Key") == ["b/1", "b/2"]
        assert inside.texts("Prefix") == ["b/", "b/3/"]

    def test_all_versions_are_listed_the_newest_of_a_key_first_and_pages_join(self, s3: S3) -> None:
        made = {key: [s3("PUT", "bucket", key, body=b"x").version for _ in range(3)] for key in ("a", "b/c", "d")}
        marker = s3("DELETE", "bucket", "a").version
        expected = [("a", marker), *[(key, version) for key in made for version in reversed(made[key])]]
        whole = s3("GET", "bucket", versions="")
        assert sorted(zip(whole.texts("Key"), whole.texts("VersionId"), strict=True)) == sorted(expected)
        assert whole.texts("IsLatest").count("true") == 3
        for size in (1, 2, 3):
            found: list[tuple[str, str]] = []
            at: dict[str, Any] = {}
            while True:
                page = s3("GET", "bucket", versions="", max_keys=size, **at)
                # Within a page, delete markers stand behind the versions whatever their place.
                entries = list(zip(page.texts("Key"), page.texts("VersionId"), strict=True))
                assert len(entries) <= size
                found += sorted(entries, key=expected.index)
                if page.text("IsTruncated") == "false":
                    break
                at = {"key_marker": page.text("NextKeyMarker"), "version_id_marker": page.text("NextVersionIdMarker")}
            assert found == expected
        folded = s3("GET", "bucket", versions="", delimiter="/", key_marker="a")
        assert folded.texts("Prefix") == ["", "b/"]
        assert folded.texts("Key") == ["d"] * 3
        behind = s3("GET", "bucket", versions="", delimiter="/", key_marker="b/")
        assert (behind.texts("Prefix"), behind.texts("Key")) == ([""], ["d"] * 3)
        assert s3("GET", "bucket", versions="", version_id_marker=marker).code == "InvalidArgument"

    def test_whoever_deletes_the_versions_that_he_lists_misses_none(self, s3: S3) -> None:
        made = {s3("PUT", "bucket", key, body=b"x").version for key in ("a", "b") for _ in range(5)}
        gone: set[str] = set()
        at: dict[str, Any] = {}
        while True:
            page = s3("GET", "bucket", versions="", max_keys=2, **at)
            for key, version in zip(page.texts("Key"), page.texts("VersionId"), strict=True):
                s3("DELETE", "bucket", key, versionId=version)
                gone.add(version)
            if page.text("IsTruncated") == "false":
                break
            at = {"key_marker": page.text("NextKeyMarker"), "version_id_marker": page.text("NextVersionIdMarker")}
        assert gone == made
        assert s3("DELETE", "bucket").status == 204

    def test_a_listing_starts_where_it_is_asked_to(self, s3: S3) -> None:
        for key in "abcd":
            s3("PUT", "bucket", key, body=b"")
        assert s3("GET", "bucket", list_type=2, start_after="b").texts("Key") == ["c", "d"]
        assert s3("GET", "bucket", marker="b").texts("Key") == ["c", "d"]
        older = s3("GET", "bucket", max_keys=2)
        assert (older.text("IsTruncated"), older.texts("NextMarker")) == ("true", []), "the client has the last key"
        assert s3("GET", "bucket", max_keys=2, delimiter="/").text("NextMarker") == "b"
        assert s3("GET", "bucket", list_type=2, max_keys=0).text("IsTruncated") == "false"
        assert s3("GET", "bucket", list_type=2, continuation_token="made up").code == "InvalidArgument"
        assert s3("GET", "bucket", list_type=2, max_keys="many").code == "InvalidArgument"

    def test_keys_that_xml_cannot_hold_are_listed_when_the_client_asks_for_encoding(self, s3: S3) -> None:
        s3("PUT", "bucket", "a\x01+ <&>/b", body=b"")
        assert s3("GET", "bucket", list_type=2, encoding_type="url").texts("Key") == ["a%01%2B%20%3C%26%3E/b"]
        assert s3("GET", "bucket", list_type=2).texts("Key") == ["a\ufffd+ <&>/b"]
