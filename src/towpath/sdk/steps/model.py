"""The steps that put a model into the registry and that make it ready to be served."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar

from towpath.sdk.build import Build
from towpath.sdk.errors import DefinitionError
from towpath.sdk.expressions import Document, Expression, Get, as_text
from towpath.sdk.steps.sources import Source, source_uri
from towpath.sdk.steps.step import Step

#: Where the model server looks for the script that serves a model. Source: SageMaker inference toolkit.
_SERVING = {"SAGEMAKER_PROGRAM": "inference.py", "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code"}
_STATUSES = ("PendingManualApproval", "Approved", "Rejected")


@dataclass(eq=False)
class Register(Step):
    """Registers a model as the next version of a model package group.

    Example:
        register = Register("Register", group="reviews", model=train.model, metrics=evaluate.file("evaluation"))
    """

    _: KW_ONLY
    group: str | Expression
    model: Source  #: S3 URI of model.tar.gz, mostly `train.model`
    metrics: str | Expression | None = None  #: S3 URI of a JSON file with the model's quality
    approval: str | Expression = "PendingManualApproval"
    properties: Mapping[str, Any] = field(default_factory=dict)  #: facts to keep with the version, as text
    environment: Mapping[str, Any] = field(default_factory=dict)  #: for the model server
    content_types: Sequence[str] = ("application/json",)
    response_types: Sequence[str] = ("application/json",)
    image: str | Expression | None = None
    instance_type: str | Expression | None = None

    type: ClassVar[str] = "RegisterModel"

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.approval, str) and self.approval not in _STATUSES:
            raise DefinitionError(f"step {self.name}: approval {self.approval!r} is not one of {', '.join(_STATUSES)}")

    @property
    def package(self) -> Get:
        """The ARN of the registered version."""
        return self.property("ModelPackageArn")

    def request(self, build: Build) -> Document:
        instances = [build.defaults.instance_type if self.instance_type is None else self.instance_type]
        container = {
            "Image": self.image or build.defaults.image,
            "ModelDataUrl": source_uri(self.model, reader=f"step {self.name}"),
            "Environment": {**_SERVING, **{name: as_text(value) for name, value in self.environment.items()}},
        }
        request: Document = {
            "ModelPackageGroupName": self.group,
            "InferenceSpecification": {
                "Containers": [container],
                "SupportedContentTypes": list(self.content_types),
                "SupportedResponseMIMETypes": list(self.response_types),
                "SupportedRealtimeInferenceInstanceTypes": instances,
                "SupportedTransformInstanceTypes": instances,
            },
            "ModelApprovalStatus": self.approval,
        }
        if self.description:
            request["ModelPackageDescription"] = self.description
        if self.metrics is not None:
            uri = source_uri(self.metrics, reader=f"step {self.name}, metrics,")
            request["ModelMetrics"] = {
                "ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": uri}}
            }
        if self.properties:
            request["CustomerMetadataProperties"] = {name: as_text(value) for name, value in self.properties.items()}
        return request


@dataclass(eq=False)
class CreateModel(Step):
    """Makes a model that an endpoint can serve, from artifacts or from a registered version.

    Example:
        create = CreateModel("CreateModel", model=train.model)
    """

    _: KW_ONLY
    model: Source | None = None  #: S3 URI of model.tar.gz
    package: str | Expression | None = None  #: or the ARN of a model package, mostly `register.package`
    environment: Mapping[str, Any] = field(default_factory=dict)
    image: str | Expression | None = None

    type: ClassVar[str] = "Model"

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.model is None) == (self.package is None):
            raise DefinitionError(
                f"step {self.name}: give model (artifacts) or package (a registered version), one of them"
            )

    @property
    def model_name(self) -> Get:
        """The name of the model."""
        return self.property("ModelName")

    def request(self, build: Build) -> Document:
        environment = {name: as_text(value) for name, value in self.environment.items()}
        if self.package is not None:
            container: Document = {"ModelPackageName": self.package}
            if environment:
                container["Environment"] = environment
        else:
            container = {
                "Image": self.image or build.defaults.image,
                "ModelDataUrl": source_uri(self.model, reader=f"step {self.name}"),
                "Environment": {**_SERVING, **environment},
            }
        return {"ExecutionRoleArn": build.defaults.role, "PrimaryContainer": container}
