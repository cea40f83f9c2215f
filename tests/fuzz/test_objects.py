"""Whatever path, query, header and body a request to S3 has, the server answers it, and goes on."""

from typing import Any

import pytest
from hypothesis import strategies as st
from tests.api_table import all_offered
from tests.fuzz.budget import Share
from tests.fuzz.conftest import EACH
from tests.fuzz.documents import ODD_TEXTS
from tests.fuzz.door import Door
from tests.fuzz.test_operations import fuzz

from towpath.gateway.service_models import ServiceModels
from towpath.gateway.services.s3.service import SUBRESOURCES

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]

S3 = ServiceModels().service("s3")
OFFERED = all_offered()["s3"]


def headers_of_s3() -> list[str]:
    """Return the headers that operations of S3 take."""
    found = set()
    for name in S3.operation_names:
        shape: Any = S3.operation_model(name).input_shape
        for member in shape.members.values() if shape is not None else ():
            if member.serialization.get("location") == "header":
                found.add(member.serialization["name"].lower())
    return sorted(found - {"content-length", "authorization"})


PRINTABLE = [text for text in ODD_TEXTS if text.isascii() and text.isprintable() and len(text) < 5000]
VALUES = st.sampled_from(
    [
        *PRINTABLE,
        "0",
        "1",
        "1000",
        "1001",
        "url",
        "/",
        "bytes=0-1",
        "bytes=5-",
        "bytes=-1",
        "bytes=9-2",
        "bytes=0-0,2-3",
        "*",
        '"x"',
        "Wed, 21 Oct 2015 07:28:00 GMT",
        "fuzz/key",
        "/fuzz/key?versionId=x",
        "fuzz",
        "aws-chunked",
        "gzip",
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "UNSIGNED-PAYLOAD",
        "CRC32",
        "SHA256",
        "x-amz-checksum-crc32",
        "AAAAAA==",
        "1B2M2Y8AsgTpgAmY7PhCfg==",
        "000000000000",
        "999999999999",
        "100-continue",
    ]
)
PATHS = st.sampled_from(
    [
        "/",
        "//",
        "/fuzz",
        "/fuzz/",
        "/fuzz/key",
        "/fuzz//key",
        "/fuzz/../key",
        "/fuzz/%2e%2e/key",
        "/fuzz/%00",
        "/fuzz/%",
        "/fuzz/%zz",
        "/fuzz/%ff",
        "/fuzz/%F0%9F%98%80",
        "/fuzz/%EF%BF%BE",
        "/%00/a",
        "/%ff",
        "/.",
        "/a%2fb",
        "/FUZZ",
        "/fuzz/" + "k" * 1025,
        "/fuzz/" + "a/" * 500,
        "/" + "b" * 300,
        "/nowhere",
        "/nowhere/key",
        "/fuzz/in/",
        "/fuzz/key%20+",
        "/health",
        "/endpoints/x/invocations",
    ]
)
NAMES = st.sampled_from(
    sorted(
        SUBRESOURCES
        | {"prefix", "delimiter", "marker", "max-keys", "encoding-type", "continuation-token", "start-after"}
        | {"key-marker", "version-id-marker", "versionId", "partNumber", "uploadId", "max-parts", "part-number-marker"}
        | {
            "response-content-type",
            "response-expires",
            "x-id",
            "fetch-owner",
            "list-type",
            "X-Amz-Expires",
            "Signature",
        }
    )
)
QUERY_VALUES = st.sampled_from(
    [
        "",
        "0",
        "1",
        "-1",
        "2",
        "1000",
        "10001",
        "99999999999999999999",
        "x",
        "url",
        "/",
        "%00",
        "%ff",
        "%F0%9F%98%80",
        "true",
        "WzEsMl0%3D",
        "2024",
        "null",
        "a" * 3000,
        "+",
        "%",
        "&",
        "=",
    ]
)
BODIES = st.one_of(
    st.binary(max_size=100),
    st.sampled_from(
        [
            b"",
            b"<",
            b"<Delete/>",
            b"<Delete><Object><Key>a</Key></Object></Delete>",
            b"<a>" * 5000,
            b"\xff\xfe<a/>",
            b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
            b"<CompleteMultipartUpload><Part><PartNumber>x</PartNumber></Part></CompleteMultipartUpload>",
            b"<CreateBucketConfiguration><LocationConstraint>x</LocationConstraint></CreateBucketConfiguration>",
            b"<Delete><Object><Key></Key></Object></Delete>",
            b"<Delete><Object><Key>key</Key><VersionId>x</VersionId></Object><Quiet>maybe</Quiet></Delete>",
            b"<Tagging/>",
            b"<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag></TagSet></Tagging>",
            b"<Tagging><TagSet><Tag><Key>a</Key></Tag><Tag><Key>a</Key></Tag></TagSet></Tagging>",
            b"<Tagging><TagSet>text<Tag>text</Tag><Tag><Key><b/></Key></Tag></TagSet></Tagging>",
            b"<CompleteMultipartUpload><Part>text</Part></CompleteMultipartUpload>",
            b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag/></Part></CompleteMultipartUpload>",
            b"<Delete>" + b"<Object><Key>k</Key></Object>" * 1001 + b"</Delete>",
            b"4;chunk-signature=x\r\nabcd\r\n0\r\n\r\n",
            b"zz\r\nabcd\r\n",
            b"4\r\nab",
            b"ffffffffffffffffff\r\n",
            b"4\r\nabcd\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n",
        ]
    ),
)
METHODS = st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH"])


REQUESTS = st.fixed_dictionaries(
    {
        "method": METHODS,
        "path": PATHS,
        "query": st.lists(st.tuples(NAMES, QUERY_VALUES), max_size=4),
        "headers": st.dictionaries(
            st.sampled_from(headers_of_s3()) | st.just("x-amz-content-sha256"), VALUES, max_size=4
        ),
        "body": BODIES,
    }
)
PARTS = 20  #: tests that share the requests to S3, so that each has a share of the time as operations have


@pytest.mark.parametrize("part", range(PARTS))
def test_s3_takes_whatever_is_sent(door: Door, share: Share | None, part: int) -> None:
    def send(asked: dict[str, Any]) -> None:
        query = "&".join(f"{name}={value}" for name, value in asked["query"])
        path = f"{asked['path']}?{query}" if query else asked["path"]
        # What is not built has a status of its own in S3, whose answers to HEAD have no body to say more in.
        method = asked["method"]
        answer = door.check(door.send("s3", method, path, asked["headers"], asked["body"]), 501)
        assert answer.status != 501 or method == "HEAD" or b"NotImplemented" in answer.body

    fuzz(REQUESTS, send, 3 * EACH, share, also=part)


def test_the_server_is_well_after_all_that(door: Door) -> None:
    assert door.health()["status"] == "ok"
    assert door.send("s3", "PUT", "/fuzz/after", {}, b"all that").status == 200
    assert door.send("s3", "GET", "/fuzz/after", {}).body == b"all that"


@pytest.mark.parametrize("operation", S3.operation_names)
def test_every_published_operation_of_s3_is_answered(door: Door, operation: str) -> None:
    model = S3.operation_model(operation)
    http, shape = model.http, model.input_shape
    path = http["requestUri"].replace("{Bucket}", "fuzz-none").replace("{Key+}", "some/key")
    for name in shape.required_members if shape is not None else ():
        told = shape.members[name].serialization
        if told.get("location") == "querystring":  # which says what is asked for, beside method and path
            path += ("&" if "?" in path else "?") + f"{told['name']}=1"
    answer = door.check(door.send("s3", http["method"], path, {}, b""), 501)
    if operation in OFFERED:
        assert answer.status != 501
    elif http["method"] != "HEAD" and all(S3.operation_model(name).http != http for name in OFFERED):
        assert b"NotImplemented" in answer.body or b"NoSuchBucket" in answer.body, answer.body[:500]
