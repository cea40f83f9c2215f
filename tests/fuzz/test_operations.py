"""Whatever is sent to an operation, the server answers it, with no error of its own, and goes on."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from tests.api_table import all_offered
from tests.fuzz.conftest import EACH, EXAMPLES, SEED, furnish
from tests.fuzz.documents import ODD_TEXTS, broken, right, spoilt
from tests.fuzz.door import MODELS, Door, form

from towpath.gateway.errors import Protocol
from towpath.gateway.gateway import SERVICES

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]

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


def fuzzed(examples: int) -> Callable[[Any], Any]:
    """Return the decorator of a test that is given many requests: the same ones each time, or by a seed."""
    chosen = settings(
        max_examples=max(1, examples * EXAMPLES // EACH) if EXAMPLES else examples,
        derandomize=not EXAMPLES,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink] if EXAMPLES else [Phase.generate],
    )
    return lambda test: seed(SEED)(chosen(test)) if EXAMPLES else chosen(test)


@pytest.mark.parametrize(("service", "operation"), BY_DOCUMENT, ids=lambda value: str(value))
def test_an_operation_takes_whatever_is_sent(door: Door, service: str, operation: str) -> None:
    model = MODELS.operation(service, operation)
    assert model is not None
    furnish(door)
    shape: Any = model.input_shape
    if shape is None:
        door.check(door.ask(service, operation, {}))
        return
    documents = st.one_of(right(shape), spoilt(shape), spoilt(shape), broken(shape))

    @fuzzed(EACH)
    @given(documents)
    def send(document: Any) -> None:
        if SERVICES[service].protocol is Protocol.QUERY:
            document = form(operation, document)
        door.check(door.ask(service, operation, document))

    send()
    assert door.health()["status"] == "ok"


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


@pytest.mark.parametrize(
    "target",
    [
        ".",
        "SageMaker",
        "SageMaker.",
        ".ListModels",
        "SageMaker.ListModels.x",
        "X.ListModels",
        "a" * 5000,
        "SageMaker.\u00e9",
        "SageMaker.__class__",
        "Towpath.ListModels",
        "Logs_20140328.ListTags",
    ],
)
def test_a_target_that_names_no_operation_is_refused(door: Door, target: str) -> None:
    headers = {"x-amz-target": target, "content-type": "application/x-amz-json-1.1"}
    answer = door.send("sagemaker", "POST", "/", headers, b"{}")
    assert 400 <= answer.status < 500, answer.body[:500]


NAMES = st.sampled_from(["fuzz", "e", "%00", "..", "%2e%2e", "%ff", "a" * 300, "%F0%9F%98%80", ""])


@fuzzed(150)
@given(
    name=NAMES,
    headers=st.dictionaries(
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
    body=st.binary(max_size=200) | st.just(b"x" * (7 << 20)),
)
def test_an_invocation_takes_whatever_is_sent(door: Door, name: str, headers: dict[str, str], body: bytes) -> None:
    given = {"content-type": "application/json", **headers}
    door.check(door.send("sagemaker-runtime", "POST", f"/endpoints/{name}/invocations", given, body))
