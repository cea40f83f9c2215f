"""Every kind has a Describe and a List answer that holds what the API's output shapes require."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.loaders import Loader
from msgspec.structs import replace
from tests.acceptance.conftest import Machine, clients
from tests.api_table import all_offered
from tests.golden.story import MODELS, answers, faults, left_by, live, shape_of
from tests.lists import (
    WIDEST,
    Listing,
    check_filters,
    check_orders,
    check_pages,
    check_wrong_token,
    more,
    more_of_the_story,
    whose,
)

from towpath.app import KINDS
from towpath.home import HomeFolder
from towpath.kernel.kinds import Kind
from towpath.kernel.resource import Resource
from towpath.kernel.shapes import check
from towpath.search.records import SEARCHABLE

#: Operations that answer about resources and that no kind declares: (service, operation, what is asked).
OTHERS = [
    ("sagemaker", "ListPipelines", {}),
    ("sagemaker", "ListPipelineExecutions", {"PipelineName": "wine"}),
    ("towpath", "DescribeDatasetVersion", {"DatasetName": "wine"}),
    ("towpath", "ListDatasetVersions", {"DatasetName": "wine"}),
]


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.noun)
def test_a_kind_speaks_the_words_of_its_operations(kind: Kind) -> None:
    """Its names, ARNs and statuses stand in members that the answers have."""
    for operation in filter(None, (kind.describe, kind.listing)):
        known = set(shape_of(kind, operation).members)
        assert kind.arn_member in known, (operation, kind.arn_member)
        if kind.status_member is not None and (operation == kind.describe or kind.describe is None):
            assert kind.status_member in known, (operation, kind.status_member)
        for shown in kind.view.renames.values():
            assert shown in known or operation == kind.listing, (operation, shown)


@pytest.mark.parametrize("kind", [kind for kind in KINDS.values() if kind.listing], ids=lambda kind: kind.noun)
def test_a_list_can_be_sorted_and_filtered_as_its_request_says(kind: Kind) -> None:
    assert kind.listing is not None
    model = MODELS.operation("towpath" if kind.noun.startswith("Dataset") else "sagemaker", kind.listing)
    assert model is not None
    request: Any = model.input_shape
    assert request is not None
    sort = request.members.get("SortBy")
    if sort is not None and sort.enum:
        assert set(sort.enum) <= set(kind.sort_by)
    offered = set(request.members) - {"NextToken", "MaxResults", "SortBy", "SortOrder"}
    assert set(kind.filters) <= offered
    assert {name for name in offered if name.endswith(("After", "Before", "Contains", "Equals"))} <= set(kind.filters)


#: Members of List requests that an operation's own function reads, where the kind's table has no word for it.
OWN_MEMBERS: dict[str, set[str]] = {
    "ListActions": {"ActionType", "SourceUri"},
    "ListArtifacts": {"ArtifactType", "SourceUri"},
    "ListContexts": {"ContextType", "SourceUri"},
    "ListDatasetCheckOuts": {"DatasetName", "Version"},
    "ListDeletedResources": {"ResourceKind", "ResourceName"},
    "ListModelCardVersions": {"ModelCardName"},
    "ListModelPackageGroups": {"CrossAccountFilterOption"},
    "ListPipelineExecutionSteps": {"PipelineExecutionArn"},
    "ListPipelineExecutions": {"PipelineName", "PipelineVersionAlias"},
    "ListPipelineParametersForExecution": {"PipelineExecutionArn"},
    "ListPipelineVersions": {"PipelineName"},
    "ListPipelines": {"ManagedBy"},
    "ListTags": {"ResourceArn"},
    "ListTrialComponents": {"ExperimentName", "SourceArn", "TrialName"},
    "ListTriggerDeliveries": {"TriggerName"},
    "ListTrials": {"ExperimentName", "TrialComponentName"},
}
#: Operations that have no kind: what they list are no resources.
WITHOUT_KIND = {
    "ListAssociations": {
        "AssociationType", "CreatedAfter", "CreatedBefore", "DestinationArn", "DestinationType", "SourceArn",
        "SourceType",
    },
    "ListTrainingJobsForHyperParameterTuningJob": {"HyperParameterTuningJobName", "StatusEquals"},
    "ListLineageGroups": {"CreatedAfter", "CreatedBefore"},
}  # fmt: skip
PAGING = {"NextToken", "MaxResults", "SortBy", "SortOrder"}


def listings() -> list[tuple[str, str]]:
    """Return (service, operation) of every list that is offered and not refused."""
    return [
        (service, name)
        for service, operations in all_offered().items()
        if service in {"sagemaker", "towpath"}
        for name, operation in operations.items()
        if name.startswith("List") and operation is not None and operation.why_refused is None
    ]


@pytest.mark.parametrize(("service", "operation"), listings())
def test_no_member_of_a_list_request_is_ignored(service: str, operation: str) -> None:
    model = MODELS.operation(service, operation)
    assert model is not None
    shape: Any = model.input_shape
    members = set(shape.members) - PAGING
    kind = next((kind for kind in KINDS.values() if kind.listing == operation), None)
    read = WITHOUT_KIND.get(operation, set()) if kind is None else set(kind.filters)
    assert members - read == OWN_MEMBERS.get(operation, set())


@pytest.mark.parametrize(
    "kind",
    [kind for kind in KINDS.values() if kind.listing and not kind.noun.startswith("Dataset")],
    ids=lambda kind: kind.noun,
)
def test_a_list_has_the_order_and_the_size_that_the_api_says_where_nothing_is_asked(kind: Kind) -> None:
    assert kind.listing is not None
    told = documentation(kind.listing)
    order = re.search(r"default(?: value)? is (Ascending|Descending)", told.get("SortOrder", ""))
    if order is not None:
        assert kind.ascending == (order[1] == "Ascending"), told["SortOrder"]
    size = re.search(r"defaults? (?:to|value is) (\d+)", told.get("MaxResults", ""))
    if size is not None:
        assert kind.page == int(size[1]), told["MaxResults"]


def documentation(operation: str) -> dict[str, str]:
    """Return what the API's own documentation says of each member of a request, without its markup."""
    model = Loader().load_service_model("sagemaker", "service-2")
    members = model["shapes"][model["operations"][operation]["input"]["shape"]]["members"]
    return {name: re.sub(r"<[^>]+>", "", member.get("documentation", "")) for name, member in members.items()}


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Return a home in which resources of every kind were made by real operations."""
    machine = Machine(HomeFolder(tmp_path_factory.mktemp("views") / "home"))
    machine.up()
    try:
        aws = clients(machine)
        more(aws, "early")
        live(aws)
        more(aws, "late")
        more_of_the_story(aws)
        yield machine
    finally:
        machine.towpath("down", "--all")


@pytest.fixture(scope="module")
def resources(lived: Machine) -> list[Resource]:
    return left_by(lived)


@pytest.mark.slow
def test_every_answer_about_every_kind_holds_what_its_shape_requires(resources: list[Resource]) -> None:
    shown = {noun for noun, kind in KINDS.items() if kind.describe or kind.listing}
    assert {resource.kind for resource in resources if list(answers(resource))} == shown
    assert list(faults(resources)) == []


@pytest.mark.slow
def test_a_required_member_that_is_left_empty_is_named(resources: list[Resource]) -> None:
    (endpoint,) = [resource for resource in resources if (resource.kind, resource.name) == ("Endpoint", "wine")]
    assert list(faults([replace(endpoint, status=None)])) == [
        f"{operation} of wine: Value 'null' at 'endpointStatus' failed to satisfy constraint: Member must not be null"
        for operation in ("DescribeEndpoint", "ListEndpoints")
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("service", "operation", "request_"), OTHERS, ids=[other[1] for other in OTHERS])
def test_answers_that_no_kind_declares_hold_what_their_shapes_require(
    lived: Machine, service: str, operation: str, request_: dict[str, Any]
) -> None:
    answer = clients(lived)[service]._make_api_call(operation, request_)
    model = MODELS.operation(service, operation)
    assert model is not None
    assert [fault for fault in check(answer, model.output_shape) if "must not be null" in str(fault)] == []
    assert len(answer) > 1, "more than its metadata"


def is_a_list(service: str, operation: str) -> bool:
    """Whether an operation answers with a list: ListTags of Lambda, for one, answers with a map."""
    model = MODELS.operation(service, operation)
    assert model is not None
    shape: Any = model.output_shape
    return any(member.type_name == "list" for member in shape.members.values())


ALL_LISTS = [
    (service, name)
    for service, operations in all_offered().items()
    if service != "s3"
    for name, operation in operations.items()
    if name.startswith("List") and operation is not None and operation.why_refused is None and is_a_list(service, name)
]


@pytest.fixture(scope="module")
def theirs(lived: Machine) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Return clients, and whose list each operation is asked for."""
    aws = clients(lived)
    return aws, whose(aws)


@pytest.mark.slow
@pytest.mark.parametrize("check", [check_pages, check_orders, check_filters, check_wrong_token])
@pytest.mark.parametrize(("service", "operation"), ALL_LISTS, ids=[operation for _, operation in ALL_LISTS])
def test_a_list_comes_in_pages_sorted_and_narrowed_as_its_request_says(
    theirs: tuple[dict[str, Any], dict[str, dict[str, Any]]],
    service: str,
    operation: str,
    check: Callable[[Any, Listing], None],
) -> None:
    aws, given = theirs
    whose_list = given.get(f"{service}.{operation}", given.get(operation, {}))
    listing = Listing(service, operation, whose_list, WIDEST.get(operation, {}))
    check(aws[service], listing)


#: Kinds whose records in Search have no member for tags, by the API's own shapes.
SHOWN_WITHOUT_TAGS = {"PipelineExecution", "PipelineVersion"}


@pytest.mark.slow
@pytest.mark.parametrize("noun", sorted(noun for noun, kind in KINDS.items() if kind.describe or kind.listing))
def test_a_resource_of_any_kind_has_tags_and_is_found_by_them(
    theirs: tuple[dict[str, Any], dict[str, dict[str, Any]]], resources: list[Resource], noun: str
) -> None:
    sagemaker = theirs[0]["sagemaker"]
    arn = next(resource.arn for resource in resources if resource.kind == noun)
    shows = next((name for name, searched in SEARCHABLE.items() if searched.noun == noun), None)
    before = sagemaker.list_tags(ResourceArn=arn)["Tags"]
    added = [{"Key": "kept-by", "Value": noun}, {"Key": "ours", "Value": ""}]
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "kept-by", "Value": "nobody"}])
    sagemaker.add_tags(ResourceArn=arn, Tags=added)
    assert [tag for tag in sagemaker.list_tags(ResourceArn=arn)["Tags"] if tag not in before] == added
    asked = {"Filters": [{"Name": "Tags.kept-by", "Operator": "Equals", "Value": noun}]}
    for resource_type, searched in SEARCHABLE.items():
        if searched.noun in KINDS and searched.noun not in SHOWN_WITHOUT_TAGS:
            found = sagemaker.search(Resource=resource_type, SearchExpression=asked)["Results"]
            assert [arn in str(record[searched.member]) for record in found] == [True] * (resource_type == shows)
            hint = {"PropertyNameQuery": {"PropertyNameHint": "Tags.kept"}}
            said = sagemaker.get_search_suggestions(Resource=resource_type, SuggestionQuery=hint)
            names = [each["PropertyName"] for each in said["PropertyNameSuggestions"]]
            assert ("Tags.kept-by" in names) == (resource_type == shows)
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=["kept-by", "ours"])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == before
