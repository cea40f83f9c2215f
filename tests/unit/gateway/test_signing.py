"""Signatures as botocore makes them, and every way in which they can be wrong."""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec
import pytest
from botocore.auth import HmacV1QueryAuth, S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from towpath.gateway.exchange import Head
from towpath.gateway.signing import KeyRing, Reason, Refused, identify_token, signature_of, v2, verify
from towpath.kernel.principals import AccessKey

ADA = AccessKey(principal="ada", access_key="AKIAADA", secret_key="ada/secret+key", created_at=datetime.now(UTC))
BOB = AccessKey(principal="bob", access_key="AKIABOB", secret_key="bob's", created_at=datetime.now(UTC))
KNOWN = KeyRing(lambda: [ADA, BOB])


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


def who(head: Head, body: bytes | None = b"{}", service: str = "sagemaker", now: datetime | None = None) -> AccessKey:
    """Return who signed."""
    signature = signature_of(head)
    assert signature is not None
    verified = verify(
        head,
        signature,
        KNOWN,
        body=body,
        regions=("us-east-1",),
        service=service,
        now=now or datetime.now(UTC),
    )
    return verified.key


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
    now = datetime.now(UTC)
    assert identify_token(ADA.token, KNOWN, now) is ADA
    for wrong in (
        "",
        ADA.token[:-1],
        f"{ADA.token} ",
        ADA.access_key,
        "AKIAADA.ü",
        "\udcff",
        f"AKIABOB.{ADA.token[8:]}",
    ):
        with pytest.raises(Refused) as caught:
            identify_token(wrong, KNOWN, now)
        assert caught.value.reason is Reason.UNKNOWN


# -- presigned URLs


def presigned(signer: Any, path: str, method: str = "GET", headers: dict[str, str] | None = None) -> Head:
    """Return the head of a request to a URL that botocore presigned just now."""
    request = AWSRequest(method, f"http://127.0.0.1:7400{path}", headers=headers or {})
    signer.add_auth(request)
    target = urlsplit(request.url)
    sent = {name.lower(): value for name, value in (headers or {}).items()}
    return Head(method=method, path=target.path, query=target.query, headers={"host": target.netloc, **sent})


SESSION = AccessKey(
    principal="role/session",
    access_key="TPSASESSION",
    secret_key="s3cret",
    session_token="to/ken+=",
    created_at=datetime.now(UTC),
    expires_at=datetime.now(UTC) + timedelta(hours=1),
)
SESSIONS = KeyRing(lambda: [ADA, BOB, SESSION])


def by_version_4(expires: int = 3600, key: AccessKey = ADA) -> S3SigV4QueryAuth:
    credentials = Credentials(key.access_key, key.secret_key, key.session_token or None)
    return S3SigV4QueryAuth(credentials, "s3", "us-east-1", expires=expires)


def by_version_2(expires: int = 3600, key: AccessKey = ADA) -> HmacV1QueryAuth:
    return HmacV1QueryAuth(Credentials(key.access_key, key.secret_key, key.session_token or None), expires=expires)


BOTH = pytest.mark.parametrize("signer", [by_version_4, by_version_2])


def whose(head: Head, now: datetime | None = None) -> AccessKey:
    """Return who presigned, by whichever version."""
    now = now or datetime.now(UTC)
    old = v2.signature_of(head)
    if old is not None:
        return v2.verify(head, old, SESSIONS, now=now)
    signature = signature_of(head)
    assert signature is not None
    return verify(head, signature, SESSIONS, body=None, regions=("us-east-1",), service="s3", now=now).key


@BOTH
@given(
    parts=st.lists(segments, min_size=1, max_size=4),
    version=st.text("abc123", max_size=8),
    kind=st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
)
def test_any_object_s_presigned_url_is_verified(signer: Any, parts: list[str], version: str, kind: str) -> None:
    path = "/bucket/" + "/".join(quote(part, safe="~") for part in parts)
    query = f"?response-content-type={quote(kind, safe='~')}" + (f"&versionId={version}" if version else "")
    assert whose(presigned(signer(), path + query)) is ADA


def changed_query(head: Head, before: str, after: str) -> Head:
    return Head(method=head.method, path=head.path, query=head.query.replace(before, after, 1), headers=head.headers)


@BOTH
def test_a_presigned_url_is_good_for_its_time_and_what_was_signed(signer: Any) -> None:
    head, now = presigned(signer(60), "/b/k?uploadId=1&partNumber=2", "PUT"), datetime.now(UTC)
    assert whose(head, now) is ADA
    assert whose(head, now + timedelta(seconds=58)) is ADA
    refusals = {
        Reason.TOO_LATE: (head, now + timedelta(seconds=62)),
        Reason.MISMATCH: (Head(method="GET", path=head.path, query=head.query, headers=head.headers), now),
        Reason.UNKNOWN: (changed_query(head, ADA.access_key, "NOBODY"), now),
        Reason.MALFORMED: (changed_query(head, "Expires=", "Expires=x"), now),
    }
    for expected, (wrong, at) in refusals.items():
        with pytest.raises(Refused) as caught:
            whose(wrong, at)
        assert caught.value.reason is expected
    for other in ("partNumber=3", "partNumber=22"):
        with pytest.raises(Refused) as caught:
            whose(changed_query(head, "partNumber=2", other), now)
        assert caught.value.reason is Reason.MISMATCH


@BOTH
def test_headers_of_amazon_are_covered_by_a_presigned_url(signer: Any) -> None:
    head = presigned(signer(), "/b/k", "PUT", {"x-amz-meta-note": "mine"})
    assert whose(head) is ADA
    with pytest.raises(Refused):
        whose(changed(head, x_amz_meta_note="somebody else's"))
    with pytest.raises(Refused):
        whose(changed(head, x_amz_acl="public-read"))


@BOTH
def test_a_session_s_url_needs_its_token_and_ends_with_it(signer: Any) -> None:
    head = presigned(signer(key=SESSION), "/b/k")
    assert whose(head) is SESSION
    with pytest.raises(Refused) as caught:
        whose(head, datetime.now(UTC) + timedelta(hours=2))
    assert caught.value.reason in {Reason.EXPIRED, Reason.TOO_LATE}
    without = presigned(signer(key=msgspec.structs.replace(SESSION, session_token="")), "/b/k")
    with pytest.raises(Refused) as caught:
        whose(without)
    assert caught.value.reason is Reason.WRONG_TOKEN


def test_a_url_that_is_good_for_longer_than_seven_days_is_refused() -> None:
    with pytest.raises(Refused, match="604800"):
        whose(presigned(by_version_4(604_801), "/b/k"))


def test_keys_that_are_inactive_are_refused() -> None:
    ring = KeyRing(lambda: [msgspec.structs.replace(ADA, active=False)])
    head = presigned(by_version_2(), "/b/k")
    signature = v2.signature_of(head)
    assert signature is not None
    with pytest.raises(Refused, match="inactive"):
        v2.verify(head, signature, ring, now=datetime.now(UTC))
    with pytest.raises(Refused, match="inactive"):
        identify_token(ADA.token, ring, datetime.now(UTC))


@given(st.text(st.characters(max_codepoint=127), max_size=60))
def test_any_query_is_read_or_refused(text: str) -> None:
    for query in (text, f"Signature=&AWSAccessKeyId=AKIAADA&Expires={text}", f"X-Amz-Signature=1&X-Amz-Expires={text}"):
        head = Head(method="GET", path="/b/k", query=query, headers={"host": "h"})
        with contextlib.suppress(Refused):
            assert v2.signature_of(head) is None or whose(head)
        with contextlib.suppress(Refused):
            assert signature_of(head) is None or whose(head)
