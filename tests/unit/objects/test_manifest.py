"""Manifests are known by content, and their difference leads from one to the other."""

from hypothesis import given
from hypothesis import strategies as st

from towpath.objects.manifest import ManifestFile, difference, digest, path_below

CONTENTS = st.dictionaries(st.text("ab/ä", min_size=1, max_size=4), st.sampled_from(["0", "1", "2"]), max_size=8)


def manifest(contents: dict[str, str], bucket: str = "b") -> list[ManifestFile]:
    return [
        ManifestFile(path=path, bucket=bucket, key=path, version_id=bucket, size=1, sha256=sha256)
        for path, sha256 in contents.items()
    ]


@given(CONTENTS, CONTENTS)
def test_digests_are_equal_exactly_when_the_contents_are(one: dict[str, str], other: dict[str, str]) -> None:
    assert (digest(manifest(one)) == digest(manifest(other, bucket="elsewhere"))) == (one == other)


@given(CONTENTS)
def test_the_digest_does_not_depend_on_the_order(contents: dict[str, str]) -> None:
    assert digest(manifest(contents)) == digest(reversed(manifest(contents)))


@given(CONTENTS, CONTENTS)
def test_a_difference_applied_leads_from_one_to_the_other(before: dict[str, str], after: dict[str, str]) -> None:
    found = difference(manifest(before), manifest(after))
    applied = dict(before)
    for file in found.removed:
        del applied[file.path]
    for file in found.added:
        assert file.path not in applied
        applied[file.path] = file.sha256
    for old, new in found.changed:
        assert applied[old.path] == old.sha256 != new.sha256
        applied[new.path] = new.sha256
    assert applied == after
    assert found.unchanged == len(before.keys() & after.keys()) - len(found.changed)


def test_a_folder_holds_what_lies_below_it_and_an_object_only_itself() -> None:
    assert path_below("s3://b/data/", "s3://b/data/x/y") == "x/y"
    assert path_below("s3://b/data/", "s3://b/data/") is None
    assert path_below("s3://b/data/", "s3://b/data2/x") is None
    assert path_below("s3://b/data/x", "s3://b/data/x") == "x"
    assert path_below("s3://b/data/x", "s3://b/data/xy") is None
