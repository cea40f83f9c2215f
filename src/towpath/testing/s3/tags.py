"""Tags of objects, wherever they come from."""

import pytest

from towpath.testing.s3.client import S3


class Tags:
    """Tags that are none."""

    @pytest.mark.parametrize(
        ("header", "code"),
        [
            ("a=1&a=2", "InvalidTag"),
            ("=1", "InvalidTag"),
            ("aws:x=1", "InvalidTag"),
            ("a=%3C", "InvalidTag"),
            (f"{'k' * 129}=1", "InvalidTag"),
            (f"k={'v' * 257}", "InvalidTag"),
            ("&".join(f"k{number}=1" for number in range(11)), "BadRequest"),
            ("a", "InvalidArgument"),
            ("a=%FF", "InvalidArgument"),
        ],
    )
    def test_tags_that_are_none_are_refused_wherever_they_come(self, s3: S3, header: str, code: str) -> None:
        s3("PUT", "bucket", "source", body=b"x")
        tags = {"x-amz-tagging": header}
        assert s3("PUT", "bucket", "k", body=b"x", headers=tags).code == code
        assert s3("POST", "bucket", "k", headers=tags, uploads="").code == code
        copied = {"x-amz-copy-source": "bucket/source", "x-amz-tagging-directive": "REPLACE", **tags}
        assert s3("PUT", "bucket", "k", headers=copied).code == code
        assert s3("GET", "bucket", "k").code == "NoSuchKey"

    def test_a_document_that_holds_no_tags_is_refused_and_changes_none(self, s3: S3) -> None:
        s3("PUT", "bucket", "k", body=b"x", headers={"x-amz-tagging": "team=lake"})
        for wrong in (
            b"<Tagging/>",
            b"<Tagging><TagSet><Tag/></TagSet></Tagging>",
            b"<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>",
            b"<Tagging><TagSet>a</TagSet></Tagging>",
            b"<Other/>",
        ):
            assert s3("PUT", "bucket", "k", body=wrong, tagging="").code == "MalformedXML"
        assert s3("GET", "bucket", "k", tagging="").texts("Key") == ["team"]
        assert s3("PUT", "bucket", "k", body=b"<Tagging><TagSet/></Tagging>", tagging="").status == 200
        assert s3("GET", "bucket", "k", tagging="").texts("Key") == []
