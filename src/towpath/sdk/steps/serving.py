"""The steps that put a model to work."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

from towpath.sdk.build import Build
from towpath.sdk.expressions import Document, Expression, Get
from towpath.sdk.steps.model import CreateModel
from towpath.sdk.steps.step import Step


@dataclass(eq=False)
class EndpointConfig(Step):
    """Says how a model is served: on what, and by how many instances.

    Example:
        config = EndpointConfig("Config", model=create)
    """

    _: KW_ONLY
    model: CreateModel | str | Expression  #: the step that makes the model, or a model's name
    instances: int | Expression = 1
    instance_type: str | Expression | None = None

    type: ClassVar[str] = "EndpointConfig"

    @property
    def config_name(self) -> Get:
        """The name of the configuration."""
        return self.property("EndpointConfigName")

    def request(self, build: Build) -> Document:
        variant = {
            "VariantName": "main",
            "ModelName": self.model.model_name if isinstance(self.model, CreateModel) else self.model,
            "InitialInstanceCount": self.instances,
            "InstanceType": build.defaults.instance_type if self.instance_type is None else self.instance_type,
        }
        return {"ProductionVariants": [variant]}


@dataclass(eq=False)
class Endpoint(Step):
    """Makes an endpoint, or updates the one of that name without a failed request, and waits until it serves.

    Example:
        Endpoint("Serve", endpoint="reviews", config=config)
    """

    _: KW_ONLY
    endpoint: str | Expression
    config: EndpointConfig | str | Expression  #: the step that makes the configuration, or the name of one

    type: ClassVar[str] = "Endpoint"

    def request(self, build: Build) -> Document:
        config = self.config.config_name if isinstance(self.config, EndpointConfig) else self.config
        return {"EndpointName": self.endpoint, "EndpointConfigName": config}
