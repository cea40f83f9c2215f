"""Requests are told apart as the published model of S3 tells them apart."""

from datetime import UTC, datetime
from email.utils import format_datetime

from botocore.loaders import Loader
from botocore.model import ServiceModel

from towpath.gateway.services.s3.model import S3Request, error_response, http_date
from towpath.gateway.services.s3.service import OPERATIONS, SUBRESOURCES, _published, route_of
from towpath.kernel.errors import Unavailable
from towpath.kernel.principals import Caller

MODEL = ServiceModel(Loader().load_service_model("s3", "service-2"))
CALLER = Caller("tester", "request-1")


def test_every_operation_built_has_the_name_of_the_published_one() -> None:
    published = _published()
    for route, (name, _) in OPERATIONS.items():
        assert published[route] == name


def test_every_published_query_parameter_that_makes_another_operation_is_known() -> None:
    fixed = {
        part.partition("=")[0]
        for name in MODEL.operation_names
        for part in MODEL.operation_model(name).http["requestUri"].partition("?")[2].split("&")
        if part
    }
    assert fixed <= SUBRESOURCES


def test_parameters_that_only_describe_do_not_make_another_operation() -> None:
    plain = S3Request(method="GET", bucket="b", key="k", caller=CALLER)
    described = S3Request(
        method="GET", bucket="b", key="k", query=[("x-id", "GetObject"), ("versionId", "1")], caller=CALLER
    )
    assert route_of(plain) == route_of(described)


def test_errors_of_other_parts_are_told_in_the_words_of_s3() -> None:
    request = S3Request(method="GET", bucket="b", key="k", caller=CALLER)
    answer = error_response(Unavailable("The store is closed."), request)
    assert answer.status == 503
    assert isinstance(answer.body, bytes)
    assert b"<Code>ServiceUnavailable</Code><Message>The store is closed.</Message>" in answer.body


def test_times_in_headers_are_the_ones_of_http() -> None:
    for month in range(1, 13):
        at = datetime(2026, month, 7, 3, 4, 5, tzinfo=UTC)
        assert http_date(at) == format_datetime(at, usegmt=True)
