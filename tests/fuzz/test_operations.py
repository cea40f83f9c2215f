"""Whatever is sent to an operation, the server answers it, with no error of its own, and goes on."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from tests.api_table import all_offered
from tests.fuzz.budget import Share, throw
from tests.fuzz.conftest import EACH, EXAMPLES, SEED, furnish
from tests.fuzz.documents import ODD_TEXTS, broken, right, spoilt
from tests.fuzz.door import MODELS, Door, form

from towpath.gateway.errors import Protocol
from towpath.gateway.gateway import SERVICES

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]

UNKNOWN = "UnknownOperationException"
OFFERED = all_offered()
BY_DOCUMENT = [
    (service, operation)
    for service, operations in OFFERED.items()
    if service not in {"s3", "sagemaker-runtime"}
    for operation in operations
]
NOT_OFFERED = [
    (service, operation)
    for service in SERVICES
    if service != "s3"
    for operation in MODELS.service(service).operation_names
    if operation not in OFFERED[service]
]


def fuzz(
    strategy: SearchStrategy[Any], send: Callable[[Any], None], examples: int, share: Share | None, *, also: int = 0
) -> None:
    """Send many requests: by a seed as many as were asked for, else the same ones each time while there is time.

    Args:
        also: tells tests apart that draw from one strategy: a seed of their own.
    """
    if EXAMPLES:
        throw(strategy, send, examples=max(1, examples * EXAMPLES // EACH), share=None, chance=SEED + also)
    else:
        throw(strategy, send, examples=examples, share=share, chance=also or None)


@pytest.mark.parametrize(("service", "operation"), BY_DOCUMENT, ids=lambda value: str(value))
def test_an_operation_takes_whatever_is_sent(door: Door, share: Share | None, service: str, operation: str) -> None:
    model = MODELS.operation(service, operation)
    assert model is not None
    if share is None or not share.is_over:
        furnish(door)
    shape: Any = model.input_shape
    if shape is None:
        door.check(door.ask(service, operation, {}))
        return
    documents = st.one_of(right(shape), spoilt(shape), spoilt(shape), broken(shape))

    def send(document: Any) -> None:
        if SERVICES[service].protocol is Protocol.QUERY:
            document = form(operation, document)
        door.check(door.ask(service, operation, document))

    fuzz(documents, send, EACH, share)
    assert door.health()["status"] == "ok"


def named_alike(service: str, operation: str) -> list[str]:
    """Return the operations that method and path alone may mean; documents and forms name one."""
    if SERVICES[service].protocol is not Protocol.REST_JSON:
        return [operation]
    models = [MODELS.operation(service, name) for name in MODELS.service(service).operation_names]
    places = {
        model.name: (model.http["method"], model.http["requestUri"].partition("?")[0]) for model in models if model
    }
    method, path = places[operation]
    shape = re.sub(r"{[^}]*}", "*", path).rstrip("/")
    return [
        name for name, at in places.items() if (at[0], re.sub(r"{[^}]*}", "*", at[1]).rstrip("/")) == (method, shape)
    ]


@pytest.mark.parametrize(("service", "operation"), NOT_OFFERED, ids=lambda value: str(value))
def test_an_operation_that_is_not_offered_is_refused_by_its_name(door: Door, service: str, operation: str) -> None:
    model = MODELS.operation(service, operation)
    assert model is not None
    method, path = model.http["method"], model.http["requestUri"]
    if SERVICES[service].protocol is Protocol.REST_JSON:
        answer = door.send(service, method, path.replace("{", "").replace("}", ""), {}, b"{}")
    else:
        document = form(operation, {}) if SERVICES[service].protocol is Protocol.QUERY else {}
        answer = door.ask(service, operation, document)
    assert 400 <= answer.status < 500, (answer.status, answer.body[:500])
    told = answer.body.decode()
    assert "UnknownOperation" in told or "InvalidAction" in told, told[:500]
    assert any(
        f"{name} is an operation of {service} that Towpath does not offer yet" in told
        for name in named_alike(service, operation)
    ), told[:500]


@pytest.mark.parametrize(
    ("target", "code"),
    [
        (".", UNKNOWN),
        ("SageMaker", UNKNOWN),
        ("SageMaker.", UNKNOWN),
        (".ListModels", UNKNOWN),
        ("SageMaker.ListModels.x", UNKNOWN),
        ("X.ListModels", UNKNOWN),
        ("a" * 5000, UNKNOWN),
        ("SageMaker.__class__", UNKNOWN),
        # Signed as requests to SageMaker, and in another encoding than they are sent in.
        ("Towpath.ListModels", "InvalidSignatureException"),
        ("Logs_20140328.ListTags", "InvalidSignatureException"),
        ("SageMaker.\u00e9", "InvalidSignatureException"),
    ],
)
def test_a_target_that_names_no_operation_is_refused(door: Door, target: str, code: str) -> None:
    headers = {"x-amz-target": target, "content-type": "application/x-amz-json-1.1"}
    answer = door.send("sagemaker", "POST", "/", headers, b"{}")
    assert answer.code == code, answer.body[:500]


NAMES = st.sampled_from(["fuzz", "e", "%00", "..", "%2e%2e", "%ff", "a" * 300, "%F0%9F%98%80", ""])


INVOCATIONS = st.fixed_dictionaries(
    {
        "name": NAMES,
        "headers": st.dictionaries(
            st.sampled_from(
                [
                    "content-type",
                    "accept",
                    "x-amzn-sagemaker-target-variant",
                    "x-amzn-sagemaker-target-model",
                    "x-amzn-sagemaker-custom-attributes",
                    "x-amzn-sagemaker-inference-id",
                ]
            ),
            st.sampled_from([text for text in ODD_TEXTS if text.isascii() and text.isprintable() and len(text) < 5000]),
            max_size=3,
        ),
        "body": st.binary(max_size=200) | st.just(b"x" * (7 << 20)),
    }
)


def test_an_invocation_takes_whatever_is_sent(door: Door, share: Share | None) -> None:
    def send(asked: dict[str, Any]) -> None:
        headers = {"content-type": "application/json", **asked["headers"]}
        path = f"/endpoints/{asked['name']}/invocations"
        door.check(door.send("sagemaker-runtime", "POST", path, headers, asked["body"]))

    fuzz(INVOCATIONS, send, 6 * EACH, share)
