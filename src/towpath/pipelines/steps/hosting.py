"""Steps that put models to work: EndpointConfig, Endpoint and InferenceComponent."""

from towpath.pipelines.model import StepStatus
from towpath.pipelines.steps.declaration import StepType

_IN_SERVICE = {"InService": StepStatus.SUCCEEDED, "Failed": StepStatus.FAILED}

ENDPOINT_CONFIG = StepType(
    name="EndpointConfig",
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
    create="CreateInferenceComponent",
    describe="DescribeInferenceComponent",
    noun="InferenceComponent",
    name_member="InferenceComponentName",
    arn_member="InferenceComponentArn",
    ends=_IN_SERVICE,
    metadata="InferenceComponent",
)
