"""Every kind has a Describe and a List answer that holds what the API's output shapes require."""

from typing import Any

import pytest

from towpath.app import KINDS
from towpath.gateway import ServiceModels
from towpath.kernel.kinds import Kind

MODELS = ServiceModels()


def members(kind: Kind, operation: str) -> tuple[set[str], set[str]]:
    """Return (all, required) members of what an operation answers about one resource of a kind."""
    service = "towpath" if kind.noun.startswith("Dataset") else "sagemaker"
    model = MODELS.operation(service, operation)
    assert model is not None, f"{kind.noun} declares {operation}, which the service {service} does not have"
    shape: Any = model.output_shape
    if operation == kind.listing:
        assert kind.list_member in shape.members, f"{operation} answers no {kind.list_member}"
        shape = shape.members[kind.list_member].member
    return set(shape.members), set(shape.required_members)


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.noun)
def test_a_kind_speaks_the_words_of_its_operations(kind: Kind) -> None:
    """Its names, ARNs and statuses stand in members that the answers have."""
    for operation in filter(None, (kind.describe, kind.listing)):
        known, _ = members(kind, operation)
        assert kind.arn_member in known, (operation, kind.arn_member)
        if kind.status_member is not None:
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
