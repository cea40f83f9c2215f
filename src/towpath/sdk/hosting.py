"""Deploying model versions to endpoints, and what endpoints answer."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from towpath.sdk.build import Defaults
from towpath.sdk.errors import Conflict, EndpointFailed, NotFound, TimedOut
from towpath.sdk.expressions import Document
from towpath.sdk.registry import ModelVersion, find_version

if TYPE_CHECKING:
    from towpath.sdk.client import Client

VARIANT = "AllTraffic"
POLL_S = 0.25


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """A model version behind an endpoint."""

    endpoint: str
    version: ModelVersion
    config: str  #: name of the endpoint config
    status: str  #: of the endpoint: Creating, Updating, InService, …
    updated: bool  #: the endpoint existed before


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What a model answered."""

    content_type: str
    variant: str  #: the production variant that answered
    body: bytes

    @property
    def text(self) -> str:
        """The answer as text."""
        return self.body.decode("utf-8")

    def json(self) -> Any:
        """Return the answer as JSON data."""
        return json.loads(self.body)


def deploy(client: Client, name: str, *, endpoint: str | None, wait: bool, timeout_s: float) -> Deployment:
    """Put an approved model version behind an endpoint; see `Client.deploy`."""
    version = find_version(client, name, approved=True)
    if version.approval != "Approved":
        raise Conflict(
            "ValidationException",
            f"{version.name} is {version.approval}, only approved versions are deployed; "
            f"towpath approve {version.name} --note WHY",
            status=400,
        )
    endpoint = endpoint or version.group
    model = _model(client, version)
    config = f"{endpoint[:30]}-{version.group[:16]}-{version.version}-{uuid4().hex[:8]}"
    client.call(
        "SageMaker.CreateEndpointConfig",
        {
            "EndpointConfigName": config,
            "ProductionVariants": [
                {
                    "VariantName": VARIANT,
                    "ModelName": model,
                    "InitialInstanceCount": 1,
                    "InstanceType": Defaults().instance_type,
                    "InitialVariantWeight": 1.0,
                }
            ],
        },
    )
    request = {"EndpointName": endpoint, "EndpointConfigName": config}
    try:
        client.call("SageMaker.CreateEndpoint", request)
        updated = False
    except Conflict:
        client.call("SageMaker.UpdateEndpoint", request)
        updated = True
    if wait:
        shown = wait_for_endpoint(client, endpoint, config=config, timeout_s=timeout_s)
    else:
        shown = client.call("SageMaker.DescribeEndpoint", {"EndpointName": endpoint})
    return Deployment(
        endpoint=endpoint, version=version, config=config, status=str(shown["EndpointStatus"]), updated=updated
    )


def wait_for_endpoint(client: Client, endpoint: str, *, config: str, timeout_s: float) -> Document:
    """Return the description of an endpoint once it is in service with `config`.

    Raises:
        EndpointFailed: it failed, or went back to what it served before.
        TimedOut: it is not in service after `timeout_s`; it may still get there.
    """
    give_up = time.monotonic() + timeout_s
    while True:
        shown = client.call("SageMaker.DescribeEndpoint", {"EndpointName": endpoint})
        status = str(shown["EndpointStatus"])
        if status == "InService" and shown.get("EndpointConfigName") == config:
            return shown
        if status in {"InService", "Failed", "OutOfService", "UpdateRollbackFailed"}:
            raise EndpointFailed(
                f"endpoint {endpoint} is {status} and does not serve what was deployed: "
                f"{shown.get('FailureReason') or 'no reason given'} (towpath logs {endpoint})"
            )
        if time.monotonic() >= give_up:
            raise TimedOut(f"endpoint {endpoint} is still {status} after {timeout_s:g} s; towpath logs {endpoint}")
        time.sleep(POLL_S)


def _model(client: Client, version: ModelVersion) -> str:
    """Return the name of a model that serves the version, made if there is none yet."""
    name = f"{version.group[:50]}-{version.version}"
    container = {"ModelPackageName": version.arn}
    try:
        existing = client.call("SageMaker.DescribeModel", {"ModelName": name})
    except NotFound:
        existing = None
    if existing is not None:
        if (existing.get("PrimaryContainer") or {}).get("ModelPackageName") == version.arn:
            return name
        name = f"{name}-{uuid4().hex[:8]}"  # somebody's own model has the name
    request = {"ModelName": name, "PrimaryContainer": container, "ExecutionRoleArn": Defaults().role}
    client.call("SageMaker.CreateModel", request)
    return name
