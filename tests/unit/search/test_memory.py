"""A search holds a page of resources and its results, however many it looks through."""

import tracemalloc
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.search.conftest import SEARCH

from towpath.kernel.operations import Request
from towpath.kernel.ports import Page, Query
from towpath.kernel.principals import Caller
from towpath.kernel.resource import Document, Resource, Uid

pytestmark = pytest.mark.slow

JOBS = 1_000
BYTES = 40_000  #: of each job, so 40 MB of all
AT_MOST = 16_000_000  #: a page and a page of results are 8 MB
BEGUN = datetime(2026, 1, 1, tzinfo=UTC)


def job(number: int) -> Resource:
    at = BEGUN + timedelta(seconds=number)
    return Resource(
        uid=Uid(f"{number:032x}"),
        account="000000000000",
        region="us-east-1",
        kind="TrainingJob",
        name=f"job-{number}",
        arn=f"arn:aws:sagemaker:us-east-1:000000000000:training-job/job-{number}",
        spec={
            "HyperParameters": {"seed": str(number), "long": f"{number}".ljust(BYTES, "x")},
            "OutputDataConfig": {"S3OutputPath": "s3://lake/models"},
        },
        state={},
        status="Completed",
        created_at=at,
        created_by="ada",
        modified_at=at,
    )


class Jobs:
    """Makes the jobs of a page when it is asked for, and keeps none."""

    looked_at = 0

    def query(self, query: Query) -> Page:
        begin = int(query.token or 0)
        end = min(begin + query.limit, JOBS)
        self.looked_at += end - begin
        return Page(items=[job(number) for number in range(begin, end)], token=None if end == JOBS else str(end))

    def tags(self, uid: Uid) -> Document:
        return {}


@pytest.mark.parametrize("sort_by", ["HyperParameters.seed", "CreationTime"])
def test_a_search_by_a_property_that_is_not_indexed_stays_small(sort_by: str) -> None:
    jobs = Jobs()
    transaction: Any = SimpleNamespace(resources=jobs)
    condition = {"Name": "HyperParameters.seed", "Operator": "Contains", "Value": "999"}
    asked = {"Resource": "TrainingJob", "SearchExpression": {"Filters": [condition]}, "SortBy": sort_by}
    request = Request(operation="Search", input={**asked, "MaxResults": 5}, caller=Caller("ada"))
    SEARCH.search(transaction, request)  # what is loaded once is not counted
    tracemalloc.start()
    try:
        answer = SEARCH.search(transaction, request)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(answer["Results"]) == 1
    assert jobs.looked_at == 2 * JOBS
    assert peak < AT_MOST
