"""What a text may hold is said in words where the API says a pattern."""

from collections.abc import Iterator
from typing import Any

import pytest

from towpath.gateway.service_models import ServiceModels
from towpath.kernel.shapes import check, explain
from towpath.sdk.constraints import described, in_words
from towpath.sdk.errors import request_failed

MODELS = ServiceModels()


def refusal(service: str, operation: str, **members: Any) -> str:
    """Return what the server answers a request that is not as its shape says."""
    model = MODELS.operation(service, operation)
    assert model is not None
    assert model.input_shape is not None
    return explain(check(members, model.input_shape))


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            refusal("iam", "CreateUser", UserName="a b"),
            "userName cannot be 'a b': expected letters, digits and any of + , - . = @ _",
        ),
        (
            refusal("sagemaker", "CreateEndpoint", EndpointName="my_endpoint", EndpointConfigName="c"),
            "endpointName cannot be 'my_endpoint': expected letters, digits and -, the first and the last a letter or "
            "digit",
        ),
        (
            refusal("sagemaker", "DeletePipeline", PipelineName="it's", ClientRequestToken="x" * 32),
            "pipelineName cannot be 'it's': expected letters, digits and -, the first and the last a letter or digit",
        ),
        (
            refusal("sagemaker", "DescribeModelPackage", ModelPackageName="group-"),
            "modelPackageName cannot be 'group-': expected letters, digits and -, the first and the last a letter or "
            "digit, or an ARN",
        ),
        (
            refusal("towpath", "PutJobSecret", Name="1", Value="hush"),
            "name cannot be '1': expected letters, digits and any of - . _, the first a letter or _",
        ),
        (
            refusal("sagemaker", "CreateEndpoint", EndpointName="a b", EndpointConfigName="c d"),
            "2 validation errors detected: endpointName cannot be 'a b': expected letters, digits and -, the first and "
            "the last a letter or digit; endpointConfigName cannot be 'c d': expected letters, digits and -, the first "
            "and the last a letter or digit",
        ),
        (
            refusal("lambda", "GetFunction", FunctionName="a b"),
            "functionName cannot be 'a b': expected letters, digits and any of - . _, or an ARN",
        ),
    ],
)
def test_a_refused_text_is_told_with_what_it_may_hold(said: str, told: str) -> None:
    assert "regular expression" in said
    assert in_words(said) == told


def test_what_stands_around_it_stays() -> None:
    pattern = "Member must satisfy regular expression pattern: [a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"
    said = f"The pipeline definition has 2 faults:\n- Steps[0].Name: the text 'a b' is not allowed: {pattern}\n- more"
    words = "expected letters, digits and -, the first and the last a letter or digit"
    assert in_words(said) == (
        f"The pipeline definition has 2 faults:\n- Steps[0].Name: the text 'a b' is not allowed: {words}\n- more"
    )
    of_keys = "Value 'a b' at 'x' failed to satisfy constraint: Map keys must satisfy constraint: [Member must satisfy "
    assert in_words(f"{of_keys}regular expression pattern: [a-z]+]").endswith(
        "Map keys must satisfy constraint: [expected lower-case letters]"
    )


def test_other_constraints_keep_the_words_of_the_api() -> None:
    said = refusal("sagemaker", "CreateEndpoint", EndpointName="a" * 64, EndpointConfigName="c")
    assert in_words(said) == said


def test_a_pattern_that_takes_more_than_a_few_words_is_not_shown_either() -> None:
    said = "1 validation error detected: Value 'x' at 'qualifier' failed to satisfy constraint: Member must satisfy "
    assert in_words(f"{said}regular expression pattern: (|[a-z$]+)") == (
        "qualifier cannot be 'x': it does not have the form that the API asks for there"
    )


def test_an_error_is_printed_in_words_and_keeps_what_the_server_said() -> None:
    said = refusal("iam", "CreateUser", UserName="a b")
    error = request_failed("ValidationError", said, status=400)
    assert error.message == said
    assert str(error).endswith("expected letters, digits and any of + , - . = @ _ (ValidationError)")


NAMES = (
    ("sagemaker", "CreatePipeline", "PipelineName"),
    ("sagemaker", "DescribePipeline", "PipelineName"),
    ("sagemaker", "CreateEndpoint", "EndpointName"),
    ("sagemaker", "CreateEndpointConfig", "EndpointConfigName"),
    ("sagemaker", "CreateModel", "ModelName"),
    ("sagemaker", "CreateTrainingJob", "TrainingJobName"),
    ("sagemaker", "CreateProcessingJob", "ProcessingJobName"),
    ("sagemaker", "CreateTransformJob", "TransformJobName"),
    ("sagemaker", "CreateHyperParameterTuningJob", "HyperParameterTuningJobName"),
    ("sagemaker", "CreateModelPackageGroup", "ModelPackageGroupName"),
    ("sagemaker", "DescribeModelPackage", "ModelPackageName"),
    ("sagemaker", "CreateExperiment", "ExperimentName"),
    ("sagemaker", "CreateModelCard", "ModelCardName"),
    ("towpath", "CreateDatasetVersion", "DatasetName"),
    ("towpath", "PutJobSecret", "Name"),
    ("towpath", "ListTriggerDeliveries", "TriggerName"),
    ("events", "PutRule", "Name"),
    ("scheduler", "CreateSchedule", "Name"),
    ("lambda", "CreateFunction", "FunctionName"),
    ("logs", "CreateLogGroup", "logGroupName"),
    ("iam", "CreateUser", "UserName"),
)


@pytest.mark.parametrize(("service", "operation", "member"), NAMES)
def test_what_names_may_hold_is_told_in_words(service: str, operation: str, member: str) -> None:
    model = MODELS.operation(service, operation)
    assert model is not None
    assert model.input_shape is not None
    words = described(model.input_shape.members[member].metadata["pattern"])
    assert words is not None
    assert words.startswith("letters, digits")


def patterns(shape: Any, seen: set[str]) -> Iterator[str]:
    if shape.name in seen:
        return
    seen.add(shape.name)
    if "pattern" in shape.metadata:
        yield shape.metadata["pattern"]
    inner: list[Any] = []
    if shape.type_name == "structure":
        inner = list(shape.members.values())
    elif shape.type_name == "list":
        inner = [shape.member]
    elif shape.type_name == "map":
        inner = [shape.key, shape.value]
    for each in inner:
        yield from patterns(each, seen)


@pytest.mark.parametrize("service", ["towpath", "sagemaker", "iam", "events", "scheduler", "logs", "lambda"])
def test_no_pattern_of_a_model_is_too_much(service: str) -> None:
    model = MODELS.service(service)
    seen: set[str] = set()
    for operation in model.operation_names:
        shape = model.operation_model(operation).input_shape
        for pattern in patterns(shape, seen) if shape is not None else ():
            assert described(pattern) != ""
