"""The kinds of hosting: models, endpoint configs and endpoints."""

from towpath.hosting.model import EndpointSpec, EndpointState, EndpointStatus, Fleet, Stage, VariantPlan
from towpath.kernel.errors import Conflict, NotFound
from towpath.kernel.kinds import COMMON_FILTERS, COMMON_SORT, Kind, View
from towpath.kernel.ports import Transaction
from towpath.kernel.resource import Document, Resource, view

_SORT = {name: COMMON_SORT[name] for name in ("Name", "CreationTime")}
_FILTERS = {name: COMMON_FILTERS[name] for name in ("NameContains", "CreationTimeAfter", "CreationTimeBefore")}


def _missing_model(_: str, name: str) -> NotFound:
    return NotFound(f'Could not find model "{name}".', code="ValidationException")


def _missing_config(_: str, name: str) -> NotFound:
    return NotFound(f'Could not find endpoint configuration "{name}".', code="ValidationException")


def _missing_endpoint(_: str, name: str) -> NotFound:
    return NotFound(f'Could not find endpoint "{name}".', code="ValidationException")


MODEL = Kind(
    noun="Model",
    arn_type="model",
    name_member="ModelName",
    arn_member="ModelArn",
    describe="DescribeModel",
    listing="ListModels",
    list_member="Models",
    delete="DeleteModel",
    missing=_missing_model,
    view=View(hidden=frozenset({"Image", "Environment", "Inputs", "PackageUid", "PackageArn"})),
    sort_by=_SORT,
    filters=_FILTERS,
)

ENDPOINT_CONFIG = Kind(
    noun="EndpointConfig",
    arn_type="endpoint-config",
    name_member="EndpointConfigName",
    arn_member="EndpointConfigArn",
    describe="DescribeEndpointConfig",
    listing="ListEndpointConfigs",
    list_member="EndpointConfigs",
    delete="DeleteEndpointConfig",
    missing=_missing_config,
    sort_by=_SORT,
    filters=_FILTERS,
)


def state_of(endpoint: Resource) -> EndpointState:
    """Return the typed state of an endpoint."""
    return view(EndpointState, endpoint.state)


def serving_fleet(state: EndpointState) -> Fleet | None:
    """Return the fleet that gets an endpoint's traffic."""
    return next((fleet for fleet in state.fleets if fleet.stage is Stage.SERVING), None)


def _variant_shown(fleet: Fleet, position: int, variant: VariantPlan) -> Document:
    wanted = fleet.wanted[position] if fleet.wanted else variant
    healthy = sum(1 for instance in fleet.instances if instance.variant == position and instance.healthy)
    resolved_at = fleet.since.timestamp()
    return {
        "VariantName": variant.name,
        "DeployedImages": [
            {"SpecifiedImage": variant.image, "ResolvedImage": variant.image, "ResolutionTime": resolved_at}
        ],
        "CurrentWeight": variant.weight,
        "DesiredWeight": wanted.weight,
        "CurrentInstanceCount": healthy,
        "DesiredInstanceCount": wanted.instance_count,
    }


def _shown(endpoint: Resource) -> Document:
    """Return the members of DescribeEndpoint that are worked out from the fleets."""
    state = state_of(endpoint)
    serving = serving_fleet(state)
    wanted = view(EndpointSpec, endpoint.spec).endpoint_config_name
    # While an update is under way and after one that failed, the config in effect is that of the serving fleet.
    document: Document = {"EndpointConfigName": wanted if serving is None else serving.config_name}
    if serving is not None:
        document["ProductionVariants"] = [
            _variant_shown(serving, position, variant) for position, variant in enumerate(serving.variants)
        ]
    starting = next((fleet for fleet in state.fleets if fleet.stage is Stage.STARTING), None)
    if starting is not None and endpoint.status == EndpointStatus.UPDATING:
        document["PendingDeploymentSummary"] = {
            "EndpointConfigName": starting.config_name,
            "ProductionVariants": [
                {**_variant_shown(starting, position, variant), "VariantStatus": [{"Status": "Creating"}]}
                for position, variant in enumerate(starting.variants)
            ],
            "StartTime": starting.since.timestamp(),
        }
    return document


def _refuse_without_config(transaction: Transaction, endpoint: Resource) -> None:
    name = view(EndpointSpec, endpoint.spec).endpoint_config_name
    if transaction.resources.find(ENDPOINT_CONFIG.noun, name) is None:
        raise Conflict(
            f"The endpoint {endpoint.name!r} cannot start without its configuration {name!r}, which is deleted too; "
            "undelete that first"
        )


ENDPOINT = Kind(
    noun="Endpoint",
    arn_type="endpoint",
    name_member="EndpointName",
    arn_member="EndpointArn",
    status_member="EndpointStatus",
    describe="DescribeEndpoint",
    listing="ListEndpoints",
    list_member="Endpoints",
    delete="DeleteEndpoint",
    missing=_missing_endpoint,
    view=View(computed=_shown, hidden=frozenset({"Fleets", "VariantProperties", "Resizes"})),
    sort_by={**_SORT, "Status": "status"},
    filters={
        **_FILTERS,
        **{name: COMMON_FILTERS[name] for name in ("LastModifiedTimeAfter", "LastModifiedTimeBefore", "StatusEquals")},
    },
    page=10,
    controlled=True,
    deleting_status=EndpointStatus.DELETING.value,
    refuse_undelete=_refuse_without_config,
    undeleted_status=EndpointStatus.CREATING.value,
)

KINDS = (MODEL, ENDPOINT_CONFIG, ENDPOINT)
