"""Steps that put models to work: EndpointConfig, Endpoint and InferenceComponent."""

from towpath.pipelines.model import StepStatus
from towpath.pipelines.steps.declaration import StepType

_IN_SERVICE = {"InService": StepStatus.SUCCEEDED, "Failed": StepStatus.FAILED}

ENDPOINT_CONFIG = StepType(
    name="EndpointConfig",
    executed=True,
    keeps_name=True,
    create="CreateEndpointConfig",
    describe="DescribeEndpointConfig",
    noun="EndpointConfig",
    name_member="EndpointConfigName",
    arn_member="EndpointConfigArn",
    names={"ProductionVariants": "VariantName"},
    metadata="EndpointConfig",
)
ENDPOINT = StepType(
    name="Endpoint",
    executed=True,
    keeps_name=True,
    update="UpdateEndpoint",
    confirmed=frozenset({"EndpointConfigName"}),
    create="CreateEndpoint",
    describe="DescribeEndpoint",
    noun="Endpoint",
    name_member="EndpointName",
    arn_member="EndpointArn",
    ends=_IN_SERVICE,
    names={"ProductionVariants": "VariantName"},
    metadata="Endpoint",
)
INFERENCE_COMPONENT = StepType(
    name="InferenceComponent",
    instead="an EndpointConfig step whose variant names the model, and an Endpoint step",
    create="CreateInferenceComponent",
    describe="DescribeInferenceComponent",
    noun="InferenceComponent",
    name_member="InferenceComponentName",
    arn_member="InferenceComponentArn",
    ends=_IN_SERVICE,
    metadata="InferenceComponent",
)
