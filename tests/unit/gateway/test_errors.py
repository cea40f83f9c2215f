"""Errors of every kind in every protocol."""

import pytest

from towpath.gateway.errors import Protocol, internal_error, wire_error
from towpath.gateway.signing import Reason, Refused
from towpath.kernel import errors
from towpath.kernel.errors import TowpathError

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, TowpathError)]


@pytest.mark.parametrize("protocol", Protocol)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_word_and_a_status_in_every_protocol(kind: type[TowpathError], protocol: Protocol) -> None:
    told = wire_error(kind("why"), protocol)
    assert told.code and told.message == "why" and 400 <= told.status < 600


@pytest.mark.parametrize("protocol", Protocol)
@pytest.mark.parametrize("reason", Reason)
def test_every_refusal_of_a_caller_has_a_word_in_every_protocol(reason: Reason, protocol: Protocol) -> None:
    assert wire_error(Refused(reason, "why"), protocol).status in {400, 403}


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (errors.Invalid(), "ValidationException", 400),
        (errors.NotFound(), "ResourceNotFound", 400),
        (errors.NotFound(code="ValidationException"), "ValidationException", 400),
        (errors.Conflict(), "ConflictException", 400),
        (errors.StaleRevision(), "ConflictException", 400),
        (errors.InUse(), "ResourceInUse", 400),
        (errors.LimitExceeded(), "ResourceLimitExceeded", 400),
        (errors.Denied(), "AccessDeniedException", 403),
        (errors.ModelFailed(), "ModelError", 424),
        (errors.Unavailable(), "ServiceUnavailable", 503),
        (errors.DiskFull(), "InsufficientStorage", 507),
        (errors.Invalid(code="RequestTimeout"), "RequestTimeout", 408),
        (TowpathError(), "InternalFailure", 500),
    ],
)
def test_the_words_of_sagemaker_are_those_that_its_sdks_match_on(error: TowpathError, code: str, status: int) -> None:
    told = wire_error(error, Protocol.JSON)
    assert (told.code, told.status) == (code, status)


@pytest.mark.parametrize(
    ("service", "invalid"),
    [
        ("scheduler", "ValidationException"),
        ("lambda", "InvalidParameterValueException"),
        ("sagemaker-runtime", "ValidationError"),
    ],
)
def test_services_of_one_protocol_have_the_words_of_their_own_models(service: str, invalid: str) -> None:
    assert wire_error(errors.Invalid(), Protocol.REST_JSON, service).code == invalid


def test_an_error_that_nobody_foresaw_tells_the_request_id_only() -> None:
    assert internal_error("r-1", Protocol.REST_XML).code == "InternalError"
    assert "r-1" in internal_error("r-1", Protocol.JSON).message


@pytest.mark.parametrize("protocol", Protocol)
def test_a_full_disk_has_the_same_word_everywhere_and_says_what_to_do(protocol: Protocol) -> None:
    told = wire_error(errors.DiskFull(), protocol)
    assert (told.code, told.status) == ("InsufficientStorage", 507)
    assert "disk of the platform's home is full" in told.message
    assert "Make room" in told.message
    assert "\n" not in told.message
