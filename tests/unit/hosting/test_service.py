"""Models, endpoint configs and endpoints as operations: what is accepted, refused and recorded."""

from typing import Any

import pytest

from towpath.hosting.model import ModelState
from towpath.kernel.errors import Conflict, Invalid, LimitExceeded, NotFound, Unsupported
from towpath.kernel.resource import view

World = Any

SPECIFICATION = {
    "Containers": [{"Image": "towpath", "ModelDataUrl": "s3://lake/model.tar.gz", "Environment": {"A": "1", "B": "1"}}]
}


def model_state(world: World, name: str = "m") -> ModelState:
    found = world.store.read(lambda transaction: transaction.resources.find("Model", name))
    return view(ModelState, found.state)


def registered(world: World) -> str:
    world.put("model.tar.gz")
    world.call("CreateModelPackageGroup", ModelPackageGroupName="g")
    answer = world.call("CreateModelPackage", ModelPackageGroupName="g", InferenceSpecification=SPECIFICATION)
    arn: str = answer["ModelPackageArn"]
    return arn


def test_a_model_keeps_the_version_of_its_archive(world: World) -> None:
    world.model()
    world.put("model.tar.gz", b"later")
    assert model_state(world).inputs[0].objects[0].version_id == "v1"
    shown = world.call("DescribeModel", ModelName="m")
    assert shown["PrimaryContainer"]["ModelDataUrl"] == "s3://lake/model.tar.gz"
    assert not {"Inputs", "PackageUid"} & shown.keys()
    assert world.call("ListModels")["Models"][0]["ModelName"] == "m"


def test_a_package_is_deployed_only_when_approved_and_then_with_the_registered_bytes(world: World) -> None:
    arn = registered(world)
    container = {"ModelPackageName": arn, "Environment": {"B": "2"}}
    with pytest.raises(Conflict, match="towpath approve g/1"):
        world.call("CreateModel", ModelName="m", PrimaryContainer=container)
    world.call("UpdateModelPackage", ModelPackageArn=arn, ModelApprovalStatus="Rejected")
    with pytest.raises(Conflict, match="rejected"):
        world.call("CreateModel", ModelName="m", PrimaryContainer=container)
    world.call("UpdateModelPackage", ModelPackageArn=arn, ModelApprovalStatus="Approved")
    world.put("model.tar.gz", b"later")
    world.call("CreateModel", ModelName="m", Containers=[container])
    state = model_state(world)
    assert state.package_arn == arn
    assert state.environment == {"A": "1", "B": "2"}
    assert state.inputs[0].objects[0].version_id == "v1"


def test_code_in_s3_is_laid_out_beside_the_model(world: World) -> None:
    world.put("sourcedir.tar.gz")
    world.model(Environment={"SAGEMAKER_SUBMIT_DIRECTORY": "s3://lake/sourcedir.tar.gz"})
    assert [(item.name, item.path, item.unpack) for item in model_state(world).inputs] == [
        ("model", "model", True),
        ("code", "code", True),
    ]


def test_an_uncompressed_model_is_laid_out_file_by_file(world: World) -> None:
    world.put("parts/a.bin")
    world.put("parts/deep/b.bin")
    source = {"S3DataSource": {"S3Uri": "s3://lake/parts/", "S3DataType": "S3Prefix", "CompressionType": "None"}}
    container = {"Image": "towpath", "ModelDataSource": source}
    world.call("CreateModel", ModelName="m", PrimaryContainer=container)
    (pinned,) = model_state(world).inputs
    assert not pinned.unpack
    assert [item.path for item in pinned.objects] == ["model/a.bin", "model/deep/b.bin"]


@pytest.mark.parametrize(
    ("container", "error", "words"),
    [
        ({"Image": "towpath", "ModelDataUrl": "s3://lake/absent.tar.gz"}, Invalid, "absent.tar.gz"),
        ({"Image": "unheard/of:1"}, Invalid, "not mapped"),
        ({"ModelDataUrl": "s3://lake/model.tar.gz"}, Invalid, "names no Image"),
        ({"Image": "towpath", "Mode": "MultiModel"}, Unsupported, "Multi-model"),
        ({"ModelPackageName": "g/7"}, NotFound, "g/7"),
    ],
)
def test_models_that_cannot_be_served_are_refused(
    world: World, container: dict[str, Any], error: type[Exception], words: str
) -> None:
    world.put("model.tar.gz")
    with pytest.raises(error, match=words):
        world.call("CreateModel", ModelName="m", PrimaryContainer=container)


def test_several_containers_are_refused_with_what_to_do(world: World) -> None:
    with pytest.raises(Unsupported, match="one container"):
        world.call("CreateModel", ModelName="m", Containers=[{"Image": "towpath"}, {"Image": "towpath"}])


def test_names_in_use_are_refused_in_the_words_the_sdks_look_for(world: World) -> None:
    world.model()
    with pytest.raises(Conflict, match="Cannot create already existing model") as refused:
        world.model()
    assert refused.value.code == "ValidationException"
    world.config()
    with pytest.raises(Conflict, match="Cannot create already existing endpoint configuration"):
        world.config()
    world.call("CreateEndpoint", EndpointName="e", EndpointConfigName="c")
    with pytest.raises(Conflict, match="Cannot create already existing endpoint"):
        world.call("CreateEndpoint", EndpointName="e", EndpointConfigName="c")


def test_what_is_not_there_is_said_in_the_words_the_sdks_look_for(world: World) -> None:
    with pytest.raises(NotFound, match="Could not find model"):
        world.call("DescribeModel", ModelName="m")
    with pytest.raises(NotFound, match="Could not find model"):
        world.config()
    with pytest.raises(NotFound, match="Could not find endpoint configuration"):
        world.call("CreateEndpoint", EndpointName="e", EndpointConfigName="c")
    with pytest.raises(NotFound, match="Could not find endpoint"):
        world.call("DescribeEndpoint", EndpointName="e")


@pytest.mark.parametrize(
    ("variants", "words"),
    [
        ([], "at least one"),
        ([{"VariantName": "a", "ModelName": "m"}, {"VariantName": "a", "ModelName": "m"}], "names must differ"),
        ([{"VariantName": "a", "ModelName": "m", "InitialVariantWeight": 0}], "add up to 0"),
        ([{"VariantName": "a", "ModelName": "m", "ServerlessConfig": {"MemorySizeInMB": 1024}}], "serverless"),
        ([{"VariantName": "a"}], "inference components"),
    ],
)
def test_configs_that_cannot_be_served_are_refused(world: World, variants: list[dict[str, Any]], words: str) -> None:
    world.model()
    with pytest.raises((Invalid, Unsupported), match=words):
        world.call("CreateEndpointConfig", EndpointConfigName="c", ProductionVariants=variants)


def test_capture_is_refused_rather_than_ignored(world: World) -> None:
    world.model()
    with pytest.raises(Unsupported, match="Data capture"):
        world.call(
            "CreateEndpointConfig",
            EndpointConfigName="c",
            ProductionVariants=[{"VariantName": "a", "ModelName": "m"}],
            DataCaptureConfig={"EnableCapture": True},
        )


def test_only_an_endpoint_in_service_is_updated(world: World) -> None:
    world.model()
    world.config()
    world.call("CreateEndpoint", EndpointName="e", EndpointConfigName="c")
    with pytest.raises(Conflict, match="Cannot update in-progress endpoint"):
        world.call("UpdateEndpoint", EndpointName="e", EndpointConfigName="c")
    world.run()
    for key in world.backend.running():
        world.backend.end(key)
    world.run()
    with pytest.raises(Conflict, match="Cannot update failed endpoint"):
        world.call("UpdateEndpoint", EndpointName="e", EndpointConfigName="c")


def test_roll_out_policies_that_would_be_ignored_are_refused(world: World) -> None:
    world.model()
    world.config()
    policy = {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": {"Type": "CANARY"}}}
    with pytest.raises(Unsupported, match="Canary"):
        world.call("CreateEndpoint", EndpointName="e", EndpointConfigName="c", DeploymentConfig=policy)


def test_a_model_and_its_package_are_connected(world: World) -> None:
    arn = registered(world)
    world.call("UpdateModelPackage", ModelPackageArn=arn, ModelApprovalStatus="Approved")
    world.call("CreateModel", ModelName="m", PrimaryContainer={"ModelPackageName": arn})
    world.call("CreateModel", ModelName="m2", PrimaryContainer=SPECIFICATION["Containers"][0])

    def edges(name: str) -> list[tuple[str, str]]:
        def read(transaction: Any) -> Any:
            model = transaction.resources.find("Model", name)
            return transaction.lineage.edges_into(f"model:{model.uid}")

        found: list[tuple[str, str]] = world.store.read(read)
        return found

    package = world.store.read(lambda transaction: transaction.resources.find("ModelPackage", "g/1"))
    assert edges("m") == [(f"model-package:{package.uid}", "ContributedTo")]
    assert edges("m2") == [("artifact:s3://lake/model.tar.gz#v1", "ContributedTo")]


@pytest.mark.parametrize(
    ("wanted", "error", "words"),
    [
        ([{"VariantName": "other"}], Invalid, "its variants are AllTraffic"),
        ([{"VariantName": "AllTraffic"}, {"VariantName": "AllTraffic"}], Invalid, "twice"),
        ([{"VariantName": "AllTraffic", "DesiredInstanceCount": 0}], Invalid, "at least 1"),
        ([{"VariantName": "AllTraffic", "DesiredInstanceCount": 10**6}], LimitExceeded, "at most 20"),
        ([{"VariantName": "AllTraffic", "DesiredWeight": 0.0}], Invalid, "add up to 0"),
        ([{"VariantName": "AllTraffic", "ServerlessUpdateConfig": {"MaxConcurrency": 2}}], Unsupported, "Serverless"),
    ],
)
def test_weights_and_counts_that_nobody_can_have_are_refused(
    world: World, wanted: list[dict[str, Any]], error: type[Exception], words: str
) -> None:
    world.model()
    world.config()
    world.call("CreateEndpoint", EndpointName="e", EndpointConfigName="c")
    with pytest.raises(Conflict, match="wait until it is InService"):
        world.call("UpdateEndpointWeightsAndCapacities", EndpointName="e", DesiredWeightsAndCapacities=wanted)
    world.run()
    world.bring_up()
    before = world.endpoint()
    with pytest.raises(error, match=words):
        world.call("UpdateEndpointWeightsAndCapacities", EndpointName="e", DesiredWeightsAndCapacities=wanted)
    assert world.endpoint() == before


def test_an_endpoint_config_with_more_instances_than_a_host_can_have_is_refused(world: World) -> None:
    world.model()
    with pytest.raises(LimitExceeded, match="at most 20"):
        world.config(instances=2_000_000_000)
    assert world.call("ListEndpointConfigs")["EndpointConfigs"] == []
