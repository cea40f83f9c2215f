"""What `towpath data` shows."""

from towpath.cli.data import without_code
from towpath.sdk.accesses import Access

DIGEST = "7f93a77e40298a12f04c476fb34890bb45bc31e6ad1782f7558b2e6a8f0e495e"


def access(uri: str) -> Access:
    return Access(operation="PutObject", principal="ada", uri=uri, version_id="v", last_at=1.0, requests=1)


def test_the_code_that_pipelines_take_along_is_counted_and_not_shown() -> None:
    code = access(f"s3://lake/reviews/code/{DIGEST}/train.py")
    data = [access("s3://lake/reviews/code/notes.txt"), access(f"s3://lake/{DIGEST}/a.csv")]
    left_out: list[Access] = []
    assert list(without_code([data[0], code, data[1]], left_out)) == data
    assert left_out == [code]
