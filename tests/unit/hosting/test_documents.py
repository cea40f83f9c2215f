"""Every answer fits the output shape of its operation, with nothing required left out."""

from collections.abc import Iterator
from typing import Any

import pytest

from towpath.gateway import ServiceModels
from towpath.kernel.shapes import check, explain, project

World = Any

SPECIFICATION = {"Containers": [{"Image": "towpath", "ModelDataUrl": "s3://lake/model.tar.gz"}]}


@pytest.fixture(scope="module")
def models() -> ServiceModels:
    return ServiceModels()


def calls() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the reading operations of registry and hosting with a request for each."""
    yield "DescribeModelPackageGroup", {"ModelPackageGroupName": "g"}
    yield "ListModelPackageGroups", {}
    yield "DescribeModelPackage", {"ModelPackageName": "g/1"}
    yield "ListModelPackages", {"ModelPackageGroupName": "g"}
    yield (
        "BatchDescribeModelPackage",
        {"ModelPackageArnList": ["arn:aws:sagemaker:us-east-1:000000000000:model-package/g/1"]},
    )
    for noun, name in (("Model", "m"), ("EndpointConfig", "c"), ("Endpoint", "e")):
        yield f"Describe{noun}", {f"{noun}Name": name}
        yield f"List{noun}s", {}


@pytest.mark.parametrize("status", ["Creating", "InService", "Updating", "Failed"])
def test_answers_fit_their_shapes(world: World, models: ServiceModels, status: str) -> None:
    world.put("model.tar.gz")
    world.call("CreateModelPackageGroup", ModelPackageGroupName="g")
    world.call(
        "CreateModelPackage",
        ModelPackageGroupName="g",
        InferenceSpecification=SPECIFICATION,
        ModelApprovalStatus="Approved",
    )
    world.call("CreateModel", ModelName="m", PrimaryContainer={"ModelPackageName": "g/1"})
    world.config()
    world.call("CreateEndpoint", EndpointName="e", EndpointConfigName="c")
    world.run()
    if status in {"InService", "Updating"}:
        world.bring_up()
    if status == "Updating":
        world.call("UpdateEndpoint", EndpointName="e", EndpointConfigName="c")
        world.run()
    if status == "Failed":
        for key in world.backend.running():
            world.backend.end(key, reason="x" * 5000)
        world.run()
    assert world.describe()["EndpointStatus"] == status
    for operation, members in calls():
        model = models.operation("sagemaker", operation)
        assert model is not None
        assert check(members, model.input_shape) == [], operation
        answer = project(world.call(operation, **members), model.output_shape)
        assert answer, operation
        # A version's name is GROUP/VERSION, which every request takes back, though the shape's pattern knows no slash.
        faults = [fault for fault in check(answer, model.output_shape) if fault.path[-1] != "ModelPackageName"]
        assert faults == [], f"{operation}: {explain(faults)}"
