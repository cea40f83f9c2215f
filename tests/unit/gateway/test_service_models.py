"""Service models of botocore and of ours."""

import threading

import pytest
from botocore.exceptions import UnknownServiceError

from towpath.gateway import ServiceModels
from towpath.gateway.gateway import SERVICES


@pytest.mark.parametrize("name", [name for name, service in SERVICES.items() if service.target])
def test_the_table_of_services_says_what_the_models_say(name: str) -> None:
    metadata = ServiceModels().service(name).metadata
    service = SERVICES[name]
    assert metadata["targetPrefix"] == service.target
    assert metadata.get("signingName", metadata["endpointPrefix"]) == service.signing_name
    assert {service.protocol, *service.also} == set(metadata["protocols"] if service.also else [metadata["protocol"]])
    assert metadata["jsonVersion"] == ("1.0" if name in {"sqs", "cloudwatch"} else "1.1")


def test_an_operation_is_found_by_service_and_name() -> None:
    models = ServiceModels()
    operation = models.operation("sagemaker", "CreateModel")
    assert operation is not None and "ModelName" in operation.input_shape.members
    assert models.operation("sagemaker", "CreateDataset") is None
    with pytest.raises(UnknownServiceError):
        models.service("no-such-service")


def test_a_model_that_many_ask_for_at_once_is_loaded_once() -> None:
    models = ServiceModels()
    found = []
    threads = [threading.Thread(target=lambda: found.append(models.service("sts"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(model) for model in found}) == 1
    models.preload("sts")
    assert models.service("sts") is found[0]
