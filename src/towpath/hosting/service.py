"""The operations of hosting: models, endpoint configs and endpoints."""

from typing import Any, NoReturn

import msgspec

from towpath.hosting.kinds import ENDPOINT, ENDPOINT_CONFIG, MODEL, serving_fleet, state_of
from towpath.hosting.model import EndpointConfigSpec, EndpointStatus, ModelSpec, ModelState, state_document
from towpath.hosting.ports import Resolve
from towpath.jobs.channels import PinnedInput, Role, WantedInput, pin
from towpath.jobs.served import ServedModel
from towpath.kernel.errors import Conflict, InProgress, Invalid, LimitExceeded, Unsupported
from towpath.kernel.generic import create, find, operations_of, record
from towpath.kernel.kinds import Kind
from towpath.kernel.objects import ObjectVersion
from towpath.kernel.operations import Operation, Request
from towpath.kernel.ports import Transaction
from towpath.kernel.resource import Document, Resource, view
from towpath.lineage.model import model_graph
from towpath.lineage.record import record as record_graph
from towpath.registry.approval import refusal_to_deploy
from towpath.registry.kinds import MODEL_PACKAGE
from towpath.registry.packages import Container, artifacts, model_files, spec_of
from towpath.registry.packages import state_of as package_state

MOST_INSTANCES = 20  #: of one variant


def operations(resolve: Resolve) -> list[Operation]:
    """Return the operations of hosting; `resolve` tells what an image stands for on this host."""

    def create_a_model(transaction: Transaction, request: Request) -> Document:
        return create_model(transaction, request, resolve)

    found = [
        Operation(name="CreateModel", function=create_a_model),
        Operation(name="CreateEndpointConfig", function=create_endpoint_config),
        Operation(name="CreateEndpoint", function=create_endpoint),
        Operation(name="UpdateEndpoint", function=update_endpoint),
        Operation(name="UpdateEndpointWeightsAndCapacities", function=update_weights_and_capacities),
    ]
    for kind in (MODEL, ENDPOINT_CONFIG, ENDPOINT):
        found += operations_of(kind)
    return found


# -- models --------------------------------------------------------------------------------------------------------


def create_model(transaction: Transaction, request: Request, resolve: Resolve) -> Document:
    """Carry out CreateModel: from an approved model package, or from an image and a model archive.

    What the model is made of is looked up here, once: a deployment later on uses exactly these versions.

    Raises:
        Invalid: no image, no archive at ModelDataUrl, an image that nothing maps.
        Conflict: the name is taken, or the model package is not approved.
        Unsupported: several containers, multi-model containers.
    """
    _refuse_existing(transaction, MODEL, request, "model")
    asked = _typed(ModelSpec, request.input)
    state = _made_of(transaction, _container(asked, request), resolve)
    model = create(transaction, MODEL, request, state=state_document(state))
    # A package's edge tells already which archives the model is made of.
    record_graph(
        transaction,
        model_graph(
            model.uid,
            model.arn,
            name=model.name,
            packages=[] if state.package_uid is None else [state.package_uid],
            models=artifacts(state.inputs, role="model") if state.package_uid is None else (),
        ),
    )
    return {"ModelArn": model.arn}


def _container(asked: ModelSpec, request: Request) -> Container:
    """Return the one container of a model."""
    containers = asked.containers
    if asked.primary_container is not None:
        if containers:
            raise Invalid("CreateModel takes PrimaryContainer or Containers, not both")
        containers = (asked.primary_container,)
    if not containers:
        raise Invalid("CreateModel needs PrimaryContainer, with an Image and a ModelDataUrl, or a ModelPackageName")
    if len(containers) > 1:
        raise Unsupported(
            f"Inference pipelines are not supported yet: Containers has {len(containers)} entries. Put the steps "
            "into one handler script, and give one container"
        )
    raw = request.input["PrimaryContainer"] if asked.primary_container is not None else request.input["Containers"][0]
    if raw.get("Mode", "SingleModel") != "SingleModel":
        raise Unsupported("Multi-model containers are not supported yet; create a model for each of them")
    return containers[0]


def _made_of(transaction: Transaction, container: Container, resolve: Resolve) -> ModelState:
    package = None
    inputs: list[PinnedInput] = []
    if container.model_package_name is not None:
        package = find(transaction, MODEL_PACKAGE, container.model_package_name)
        refusal = refusal_to_deploy(package.name, package.arn, package.spec.get("ModelApprovalStatus"))
        if refusal is not None:
            raise Conflict(refusal, code="ValidationException")
        container, inputs = _packaged(package, container)
    else:
        wanted = model_files(container, "model")
        if wanted is not None:
            inputs.append(_pinned(transaction, wanted))
    if container.image is None:
        raise Invalid("The container names no Image; say which one serves the model")
    resolve(container.image)
    submitted = container.environment.get("SAGEMAKER_SUBMIT_DIRECTORY", "")
    if submitted.startswith("s3://"):
        code = WantedInput(name="code", uri=submitted, path="code", unpack=True, role=Role.CODE)
        inputs.append(_pinned(transaction, code))
    return ModelState(
        image=container.image,
        environment=container.environment,
        inputs=tuple(inputs),
        package_uid=None if package is None else package.uid,
        package_arn=None if package is None else package.arn,
    )


def _packaged(package: Resource, asked: Container) -> tuple[Container, list[PinnedInput]]:
    """Return the package's container with the request's environment over it, and the files that were registered."""
    containers = spec_of(package).inference_specification.containers
    if len(containers) != 1:
        raise Unsupported(
            f"Model package {package.name} has {len(containers)} containers; only packages with one can be deployed"
        )
    merged = {**containers[0].environment, **asked.environment}
    return msgspec.structs.replace(containers[0], environment=merged), list(package_state(package).model_data)


def _pinned(transaction: Transaction, wanted: WantedInput) -> PinnedInput:
    return pin(wanted, transaction.objects, _no_manifests)


def _no_manifests(version: ObjectVersion) -> NoReturn:
    raise Invalid(f"{version.uri}: a model's files cannot be named by a manifest")


def served_model(transaction: Transaction, name: str) -> ServedModel:
    """Return what a live model is made of, for a job that runs it.

    Raises:
        NotFound: there is no such model.
    """
    model = find(transaction, MODEL, name)
    state = view(ModelState, model.state)
    return ServedModel(
        uid=model.uid,
        image=state.image,
        environment=state.environment,
        inputs=state.inputs,
        network=not view(ModelSpec, model.spec).enable_network_isolation,
    )


# -- endpoint configs ----------------------------------------------------------------------------------------------


def create_endpoint_config(transaction: Transaction, request: Request) -> Document:
    """Carry out CreateEndpointConfig.

    Raises:
        Invalid: two variants of one name, weights that add up to nothing.
        NotFound: a variant's model.
        Unsupported: serverless, asynchronous or shadow variants, data capture, explainers.
    """
    _refuse_existing(transaction, ENDPOINT_CONFIG, request, "endpoint configuration")
    _check_config(transaction, _typed(EndpointConfigSpec, request.input))
    return {"EndpointConfigArn": create(transaction, ENDPOINT_CONFIG, request).arn}


def _refuse_many(variant: str, count: int) -> None:
    """Refuse more instances than a host can have: each is a process, and a record in the endpoint's state."""
    if count > MOST_INSTANCES:
        raise LimitExceeded(
            f"Variant {variant!r} asks for {count} instances; on one host a variant has at most {MOST_INSTANCES}"
        )


def _check_config(transaction: Transaction, config: EndpointConfigSpec) -> None:
    for asked, words in (
        (config.shadow_production_variants, "Shadow variants (ShadowProductionVariants)"),
        (config.async_inference_config, "Asynchronous inference (AsyncInferenceConfig)"),
        (config.explainer_config, "Online explanations (ExplainerConfig)"),
        (config.data_capture_config.enable_capture, "Data capture (DataCaptureConfig.EnableCapture)"),
    ):
        if asked:
            raise Unsupported(f"{words} is not supported yet; leave it out of the endpoint configuration")
    names: set[str] = set()
    for variant in config.production_variants:
        if variant.variant_name in names:
            raise Invalid(f"ProductionVariants has two variants named {variant.variant_name!r}; names must differ")
        names.add(variant.variant_name)
        if variant.serverless_config is not None:
            raise Unsupported(
                f"Variant {variant.variant_name!r} is serverless, which is not supported yet; give it an InstanceType "
                "and an InitialInstanceCount"
            )
        if variant.model_name is None:
            raise Unsupported(
                f"Variant {variant.variant_name!r} names no model: inference components are not supported yet. "
                "Give it a ModelName"
            )
        if variant.initial_instance_count < 1:
            raise Invalid(f"Variant {variant.variant_name!r} needs an InitialInstanceCount of at least 1")
        _refuse_many(variant.variant_name, variant.initial_instance_count)
        find(transaction, MODEL, variant.model_name)
    if not names:
        raise Invalid("An endpoint configuration needs at least one entry in ProductionVariants")
    if sum(variant.initial_variant_weight for variant in config.production_variants) <= 0:
        raise Invalid("The InitialVariantWeight of all ProductionVariants add up to 0, so that none would get requests")


# -- endpoints -----------------------------------------------------------------------------------------------------


def create_endpoint(transaction: Transaction, request: Request) -> Document:
    """Carry out CreateEndpoint; its controller starts the fleet."""
    _refuse_existing(transaction, ENDPOINT, request, "endpoint")
    _check_deployment(request)
    find(transaction, ENDPOINT_CONFIG, request.input["EndpointConfigName"])
    return {"EndpointArn": create(transaction, ENDPOINT, request, status=EndpointStatus.CREATING.value).arn}


def update_endpoint(transaction: Transaction, request: Request) -> Document:
    """Carry out UpdateEndpoint: the endpoint goes on serving while its controller brings up the new fleet.

    Raises:
        Conflict: the endpoint is not InService; InProgress where it may be later.
    """
    endpoint = find(transaction, ENDPOINT, request.input["EndpointName"])
    _check_deployment(request)
    find(transaction, ENDPOINT_CONFIG, request.input["EndpointConfigName"])
    _refuse_unless_in_service(endpoint)
    spec = {name: value for name, value in endpoint.spec.items() if name not in {"VariantProperties", "Resizes"}}
    retained = _retained(endpoint, request.input)
    if retained:
        spec["VariantProperties"] = retained
    updated = transaction.resources.replace(
        endpoint,
        spec={**spec, **request.input},
        status=EndpointStatus.UPDATING.value,
        generation=endpoint.generation + 1,
    )
    transaction.work.schedule(updated.uid, transaction.now)
    record(transaction, updated, request, request.operation, config=request.input["EndpointConfigName"])
    return {"EndpointArn": updated.arn}


def _refuse_unless_in_service(endpoint: Resource) -> None:
    if endpoint.status == EndpointStatus.FAILED:
        raise Conflict(
            f'Cannot update failed endpoint "{endpoint.arn}": delete it with DeleteEndpoint and create it again',
            code="ValidationException",
        )
    if endpoint.status != EndpointStatus.IN_SERVICE:
        raise InProgress(
            f'Cannot update in-progress endpoint "{endpoint.arn}": it is {endpoint.status}, wait until it is InService',
            code="ValidationException",
        )


def _retained(endpoint: Resource, asked: Document) -> Document:
    """Return the weights and counts that variants keep whatever the new config says. Pure."""
    serving = serving_fleet(state_of(endpoint))
    if not asked.get("RetainAllVariantProperties") or serving is None:
        return {}
    left_out = {item["VariantPropertyType"] for item in asked.get("ExcludeRetainedVariantProperties") or ()}
    return {
        variant.name: {
            **({} if "DesiredWeight" in left_out else {"DesiredWeight": variant.weight}),
            **({} if "DesiredInstanceCount" in left_out else {"DesiredInstanceCount": variant.instance_count}),
        }
        for variant in serving.variants
    }


def update_weights_and_capacities(transaction: Transaction, request: Request) -> Document:
    """Carry out UpdateEndpointWeightsAndCapacities: the serving fleet gets other weights and instance counts.

    Raises:
        Invalid: a variant is named twice, or is not one of the endpoint's, or no requests would go anywhere.
        Conflict: the endpoint is not InService.
        Unsupported: a variant is to be serverless.
    """
    endpoint = find(transaction, ENDPOINT, request.input["EndpointName"])
    _refuse_unless_in_service(endpoint)
    serving = serving_fleet(state_of(endpoint))
    assert serving is not None, "in service"
    wanted = {
        variant.name: {"DesiredWeight": variant.weight, "DesiredInstanceCount": variant.instance_count}
        for variant in serving.variants
    }
    seen: set[str] = set()
    for item in request.input["DesiredWeightsAndCapacities"]:
        name = item["VariantName"]
        if name not in wanted:
            raise Invalid(
                f"The endpoint {endpoint.name!r} has no variant {name!r}; its variants are {', '.join(wanted)}"
            )
        if name in seen:
            raise Invalid(f"DesiredWeightsAndCapacities names the variant {name!r} twice")
        seen.add(name)
        if item.get("ServerlessUpdateConfig") is not None:
            raise Unsupported("Serverless variants are not supported yet; leave ServerlessUpdateConfig out")
        if item.get("DesiredInstanceCount") == 0:
            raise Invalid(f"Variant {name!r} needs a DesiredInstanceCount of at least 1")
        _refuse_many(name, item.get("DesiredInstanceCount") or 1)
        wanted[name] |= {member: item[member] for member in wanted[name] if item.get(member) is not None}
    if sum(properties["DesiredWeight"] for properties in wanted.values()) <= 0:
        raise Invalid("The weights of all variants add up to 0, so that none would get requests")
    updated = transaction.resources.replace(
        endpoint,
        spec={**endpoint.spec, "VariantProperties": wanted, "Resizes": serving.follows},
        status=EndpointStatus.UPDATING.value,
        generation=endpoint.generation + 1,
    )
    transaction.work.schedule(updated.uid, transaction.now)
    record(transaction, updated, request, request.operation, variants=wanted)
    return {"EndpointArn": updated.arn}


def _check_deployment(request: Request) -> None:
    """Refuse roll-out policies that would otherwise be ignored in silence."""
    policy = (request.input.get("DeploymentConfig") or {}).get("BlueGreenUpdatePolicy") or {}
    routing = (policy.get("TrafficRoutingConfiguration") or {}).get("Type", "ALL_AT_ONCE")
    if routing != "ALL_AT_ONCE" or (request.input.get("DeploymentConfig") or {}).get("RollingUpdatePolicy"):
        raise Unsupported(
            "Canary, linear and rolling updates are not supported yet; leave DeploymentConfig out, or use ALL_AT_ONCE"
        )


def _refuse_existing(transaction: Transaction, kind: Kind, request: Request, words: str) -> None:
    existing = transaction.resources.find(kind.noun, request.input[kind.name_member])
    if existing is not None:
        raise Conflict(f'Cannot create already existing {words} "{existing.arn}".', code="ValidationException")


def _typed(kind: type[Any], document: Document) -> Any:
    try:
        return view(kind, document)
    except msgspec.ValidationError as error:
        raise Invalid(f"The request is not valid: {error}") from error
