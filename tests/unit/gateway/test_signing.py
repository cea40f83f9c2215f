"""Signatures as botocore makes them, and every way in which they can be wrong."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from towpath.gateway.exchange import Head
from towpath.gateway.signing import KnownPrincipals, Reason, Refused, identify_token, signature_of, verify
from towpath.kernel.principals import Principal

ADA = Principal(name="ada", access_key="AKIAADA", secret_key="ada/secret+key", token="ada-token")
BOB = Principal(name="bob", access_key="AKIABOB", secret_key="bob's", token="")
KNOWN = KnownPrincipals([ADA, BOB])


def signed(
    path: str = "/",
    *,
    service: str = "sagemaker",
    method: str = "POST",
    body: bytes = b"{}",
    headers: dict[str, str] | None = None,
    region: str = "us-east-1",
    secret: str = ADA.secret_key,
    access_key: str = ADA.access_key,
) -> Head:
    """Return the head of a request that botocore signed just now."""
    request = AWSRequest(method, f"http://127.0.0.1:7400{path}", data=body, headers=headers or {})
    request.context["payload_signing_enabled"] = True
    signer = S3SigV4Auth if service == "s3" else SigV4Auth
    signer(Credentials(access_key, secret), service, region).add_auth(request)
    lines = {name.lower(): value for name, value in request.headers.items()}
    target = urlsplit(request.url)
    return Head(method=method, path=target.path, query=target.query, headers={"host": target.netloc, **lines})


def changed(head: Head, **headers: str) -> Head:
    """Return the head with other headers; underscores stand for hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Head(method=head.method, path=head.path, query=head.query, headers={**head.headers, **named})


def who(head: Head, body: bytes | None = b"{}", service: str = "sagemaker", now: datetime | None = None) -> Principal:
    """Return who signed."""
    signature = signature_of(head)
    assert signature is not None
    return verify(
        head,
        signature,
        KNOWN,
        body=body,
        regions=("us-east-1",),
        service=service,
        now=now or datetime.now(UTC),
    )


def reason(head: Head, **arguments: Any) -> Reason:
    with pytest.raises(Refused) as caught:
        who(head, **arguments)
    return caught.value.reason


def test_who_signed_is_known_by_the_key() -> None:
    assert who(signed()) is ADA
    assert who(signed(access_key="AKIABOB", secret="bob's")) is BOB


segments = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@given(parts=st.lists(segments, max_size=4), query=st.lists(st.tuples(texts, texts), max_size=4), body=st.binary())
def test_any_object_key_and_query_that_boto3_can_sign_is_verified(
    parts: list[str], query: list[tuple[str, str]], body: bytes
) -> None:
    path = "/bucket/" + "/".join(quote(part, safe="~") for part in parts)
    text = "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in query)
    head = signed(f"{path}?{text}" if text else path, service="s3", method="PUT", body=body)
    assert who(head, service="s3", body=None) is ADA
    assert who(head, service="s3", body=body) is ADA


raw = st.text("abz09-._~!$&'()*+,;:@/%", max_size=20).filter(lambda text: "//" not in text)


@given(path=raw, query=st.text("ab=&+-._~!*'()%20:", max_size=20))
def test_a_path_and_query_that_are_not_encoded_as_aws_asks_are_verified_as_sent(path: str, query: str) -> None:
    assert who(signed(f"/b/{path}?{query}", service="s3", method="GET", body=b""), service="s3", body=None) is ADA


@given(parts=st.lists(st.sampled_from(["endpoints", ".", "..", "", "a b", "ü", "%2F", "+", "~", "x"]), max_size=6))
def test_other_services_normalise_the_path_and_encode_it_twice(parts: list[str]) -> None:
    path = "/" + "/".join(quote(part, safe="~") for part in parts)
    head = signed(f"/x{path}")
    assert who(head) is ADA


def test_headers_are_trimmed_as_they_are_signed() -> None:
    head = signed(headers={"X-Amz-Target": "  SageMaker.ListModels ", "X-Amz-Meta-Note": "a   b  c"})
    assert who(head) is ADA
    assert who(changed(head, x_amz_meta_note="a b c")) is ADA


@pytest.mark.parametrize("payload", ["UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"])
def test_an_unsigned_payload_is_covered_by_its_header(payload: str) -> None:
    head = signed("/b/k", service="s3", headers={"X-Amz-Content-SHA256": payload}, body=b"whatever")
    request = AWSRequest("PUT", "http://h/b/k", headers={"X-Amz-Content-SHA256": payload}, data=b"")
    SigV4Auth(Credentials(ADA.access_key, ADA.secret_key), "s3", "us-east-1").add_auth(request)
    head = Head(
        method="PUT", path="/b/k", query="", headers={"host": "h", **{n.lower(): v for n, v in request.headers.items()}}
    )
    assert who(head, service="s3", body=None) is ADA
    assert reason(changed(head, x_amz_content_sha256="0" * 64), service="s3", body=None) is Reason.MISMATCH


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"method": "GET"}, Reason.MISMATCH),
        ({"path": "/other"}, Reason.MISMATCH),
        ({"query": "a=2"}, Reason.MISMATCH),
        ({"host": "elsewhere"}, Reason.MISMATCH),
    ],
)
def test_a_request_that_was_changed_after_it_was_signed_is_refused(change: dict[str, str], expected: Reason) -> None:
    head = signed("/x?a=1")
    headers = {**head.headers, "host": change.get("host", head.headers["host"])}
    method, path, query = (change.get(name, getattr(head, name)) for name in ("method", "path", "query"))
    assert reason(Head(method=method, path=path, query=query, headers=headers)) is expected


def test_a_body_that_was_changed_is_refused() -> None:
    assert reason(signed(body=b"{}"), body=b"{ }") is Reason.MISMATCH
    head = signed(body=b"x" * 10, service="s3", path="/b/k")
    assert reason(head, service="s3", body=b"y" * 10) is Reason.WRONG_BODY


def test_a_header_of_aws_that_is_not_signed_is_refused() -> None:
    assert reason(changed(signed(), x_amz_copy_source="/b/secret")) is Reason.MISMATCH


def test_unknown_keys_and_wrong_secrets_are_told_apart() -> None:
    assert reason(signed(access_key="AKIANOBODY")) is Reason.UNKNOWN
    assert reason(signed(secret="guessed")) is Reason.MISMATCH
    assert reason(signed(access_key="AKIABOB")) is Reason.MISMATCH


@pytest.mark.parametrize("minutes", [-16, 16])
def test_a_clock_that_is_wrong_by_more_than_fifteen_minutes_is_refused(minutes: int) -> None:
    head = signed()
    assert reason(head, now=datetime.now(UTC) + timedelta(minutes=minutes)) is Reason.SKEWED
    assert who(head, now=datetime.now(UTC) + timedelta(minutes=minutes * 14 / 16)) is ADA


def test_another_region_or_service_is_refused_with_the_right_one_named() -> None:
    with pytest.raises(Refused, match=r"'eu-west-1'.*'us-east-1'") as caught:
        who(signed(region="eu-west-1"))
    assert caught.value.reason is Reason.WRONG_SCOPE
    assert caught.value.details == {"Region": "us-east-1"}
    with pytest.raises(Refused, match="'sagemaker', not 'logs'"):
        who(signed(service="logs"))


def broken() -> Iterator[Any]:
    good = signed().headers["authorization"]
    yield pytest.param("AWS4-HMAC-SHA256", id="only the algorithm")
    yield pytest.param("AWS4-ECDSA-P256-SHA256 Credential=a", id="another algorithm")
    yield pytest.param(good.replace("Signature=", "Sig="), id="no signature")
    yield pytest.param(good.replace("SignedHeaders=", "Headers="), id="no signed headers")
    yield pytest.param(good.replace("/aws4_request", "/aws5"), id="another scope")
    yield pytest.param(good.replace("/sagemaker/", "/"), id="no service")


@pytest.mark.parametrize("header", list(broken()))
def test_an_authorization_header_that_cannot_be_read_is_refused(header: str) -> None:
    with pytest.raises(Refused) as caught:
        signature_of(changed(signed(), authorization=header))
    assert caught.value.reason is Reason.MALFORMED


@pytest.mark.parametrize("stamp", ["", "yesterday", "20260101", "99999999T999999Z", "20010101T000000Z"])
def test_a_time_of_signing_that_cannot_be_is_refused(stamp: str) -> None:
    assert reason(changed(signed(), x_amz_date=stamp)) is Reason.MALFORMED


def test_signatures_of_odd_characters_are_refused_and_no_crash() -> None:
    head = signed()
    header = head.headers["authorization"]
    assert reason(changed(head, authorization=header[:-2] + "\xff\xe4")) is Reason.MISMATCH


@given(st.text(st.characters(max_codepoint=255)))
def test_any_authorization_header_is_read_or_refused(text: str) -> None:
    head = changed(signed(), authorization=text)
    try:
        assert signature_of(head) is None
        head = changed(head, authorization=f"AWS4-HMAC-SHA256 {text}")
        assert signature_of(head) is not None
    except Refused as refused:
        assert refused.reason is Reason.MALFORMED


def test_a_token_is_known_or_refused() -> None:
    assert identify_token("ada-token", KNOWN) is ADA
    for wrong in ("", "ada-toke", "ada-token ", "ü"):
        with pytest.raises(Refused) as caught:
            identify_token(wrong, KNOWN)
        assert caught.value.reason is Reason.UNKNOWN
