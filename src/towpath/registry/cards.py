"""Model cards: what is known of a model, for those who review it, in numbered versions.

Each change of a card's content or status is a version, which stays as it is. A version is a resource, known by the uid
of its card, so that a card that takes the name of a deleted one begins anew.
"""

from typing import Any

import msgspec
from msgspec.structs import replace

from towpath.kernel import generic
from towpath.kernel.errors import Conflict, Invalid, Unsupported
from towpath.kernel.kinds import COMMON_FILTERS, COMMON_SORT, Kind, View, resource_not_found
from towpath.kernel.operations import Operation, Request, refusing
from towpath.kernel.ports import Filter, Transaction
from towpath.kernel.principals import user_context
from towpath.kernel.resource import Document, Resource
from towpath.kernel.texts import read_json

_ARCHIVED = "Archived"
_OF_CARD = "card"  #: indexed member of a version: uid of its card
_VERSION = "version"  #: indexed member of a version: its number
#: What MetadataOnly leaves of a card's content. Source: Amazon SageMaker API Reference, "DescribeModelCard".
_METADATA = (
    ("model_overview", "model_id"),
    ("model_overview", "model_name"),
    ("intended_uses", "risk_rating"),
    ("model_package_details", "model_package_group_name"),
    ("model_package_details", "model_package_arn"),
)
_FILTERS = {
    "NameContains": COMMON_FILTERS["NameContains"],
    "CreationTimeAfter": COMMON_FILTERS["CreationTimeAfter"],
    "CreationTimeBefore": COMMON_FILTERS["CreationTimeBefore"],
    "ModelCardStatus": ("status", "="),
}


def operations() -> list[Operation]:
    """Return the operations on model cards."""
    export = "Model cards cannot be exported as PDF yet; DescribeModelCard gives their content as JSON."
    return [
        Operation(name="CreateModelCard", function=create_model_card),
        Operation(name="DescribeModelCard", function=describe_model_card, writes=False),
        Operation(name="UpdateModelCard", function=update_model_card),
        generic.list_operation(MODEL_CARD),
        Operation(name="ListModelCardVersions", function=list_model_card_versions, writes=False),
        generic.delete_operation(MODEL_CARD),
        *(
            refusing(name, export)
            for name in ("CreateModelCardExportJob", "DescribeModelCardExportJob", "ListModelCardExportJobs")
        ),
    ]


def metadata_of(content: str) -> Document:
    """Return what a card's content says of its model, without what may be confidential. Pure."""
    found: Document = {}
    whole = msgspec.json.decode(content)
    for section, name in _METADATA:
        inner = whole.get(section)
        if isinstance(inner, dict) and name in inner:
            found.setdefault(section, {})[name] = inner[name]
    return found


def _shown(card: Resource) -> Document:
    metadata = metadata_of(card.spec["Content"])
    told: dict[str, Any] = {
        "ModelId": metadata.get("model_overview", {}).get("model_id"),
        "RiskRating": metadata.get("intended_uses", {}).get("risk_rating"),
        "ModelPackageGroupName": metadata.get("model_package_details", {}).get("model_package_group_name"),
    }
    return {
        "CreatedBy": user_context(card.account, card.created_by),
        "LastModifiedBy": user_context(card.account, card.state.get("LastModifiedBy") or card.created_by),
        **{name: value for name, value in told.items() if isinstance(value, str)},
    }


def _version_shown(version: Resource) -> Document:
    return {
        "ModelCardName": version.spec["ModelCardName"],
        "ModelCardArn": version.spec["ModelCardArn"],
        "LastModifiedTime": version.created_at.timestamp(),
    }


def _version_indexed(version: Resource) -> dict[str, str | float | None]:
    return {_OF_CARD: version.spec["CardUid"], _VERSION: version.spec["ModelCardVersion"]}


MODEL_CARD = Kind(
    noun="ModelCard",
    arn_type="model-card",
    name_member="ModelCardName",
    arn_member="ModelCardArn",
    status_member="ModelCardStatus",
    describe="DescribeModelCard",
    listing="ListModelCards",
    list_member="ModelCardSummaries",
    delete="DeleteModelCard",
    missing=resource_not_found,
    view=View(computed=_shown),
    sort_by={name: COMMON_SORT[name] for name in ("Name", "CreationTime")},
    filters=_FILTERS,
)

#: A version's name is UID/NUMBER, with the uid of its card.
MODEL_CARD_VERSION = Kind(
    noun="ModelCardVersion",
    arn_type="model-card",  # the rest of the ARN is NAME/version/NUMBER
    name_member="ModelCardName",
    arn_member="ModelCardArn",
    status_member="ModelCardStatus",
    listing="ListModelCardVersions",
    list_member="ModelCardVersionSummaryList",
    missing=resource_not_found,
    view=View(computed=_version_shown),
    sort_by={"Version": _VERSION},
    default_sort=_VERSION,
    filters={name: column for name, column in _FILTERS.items() if name != "NameContains"},
    indexed=_version_indexed,
)


def create_model_card(transaction: Transaction, request: Request) -> Document:
    """Carry out CreateModelCard.

    Raises:
        Invalid: the content is no JSON object.
        Unsupported: the content is to be encrypted with a key.
    """
    asked = request.input
    if (asked.get("SecurityConfig") or {}).get("KmsKeyId") is not None:
        raise Unsupported("Model cards are not encrypted with keys of KMS here; leave SecurityConfig out")
    _check_content(asked["Content"])
    existing = transaction.resources.find(MODEL_CARD.noun, asked["ModelCardName"])
    if existing is not None:
        raise Conflict(f"A model card of that name already exists: {existing.arn}", code="ConflictException")
    spec: Document = {name: asked[name] for name in ("Content", "SecurityConfig") if name in asked}
    card = generic.create(
        transaction,
        MODEL_CARD,
        request,
        spec=spec,
        state={"ModelCardVersion": 1},
        status=asked["ModelCardStatus"],
    )
    _record(transaction, request, card)
    return {"ModelCardArn": card.arn}


def update_model_card(transaction: Transaction, request: Request) -> Document:
    """Carry out UpdateModelCard: what differs makes a new version.

    Raises:
        Invalid: content and status are given at once, or neither.
        Conflict: the content of an archived card would change.
    """
    card = generic.find(transaction, MODEL_CARD, request.input["ModelCardName"])
    content, status = request.input.get("Content"), request.input.get("ModelCardStatus")
    if (content is None) == (status is None):
        raise Invalid("UpdateModelCard takes Content or ModelCardStatus, one of them in each request")
    if content is not None:
        _check_content(content)
        if card.status == _ARCHIVED:
            raise Conflict(
                f"The model card {card.name!r} is Archived, so that its content stays; give it another status first",
                code="ConflictException",
            )
    if content in {None, card.spec["Content"]} and status in {None, card.status}:
        return {"ModelCardArn": card.arn}
    card = transaction.resources.replace(
        card,
        spec=card.spec if content is None else {**card.spec, "Content": content},
        state={
            **card.state,
            "ModelCardVersion": card.state["ModelCardVersion"] + 1,
            "LastModifiedBy": request.caller.principal,
        },
        status=status or card.status,
        generation=card.generation + 1,
    )
    _record(transaction, request, card)
    generic.record(transaction, card, request, request.operation, version=card.state["ModelCardVersion"])
    return {"ModelCardArn": card.arn}


def describe_model_card(transaction: Transaction, request: Request) -> Document:
    """Carry out DescribeModelCard: the latest version, or the one that is asked for."""
    asked = request.input
    card = generic.find(transaction, MODEL_CARD, asked["ModelCardName"])
    shown = generic.document(MODEL_CARD, card)
    number = asked.get("ModelCardVersion")
    if number is not None and number != card.state["ModelCardVersion"]:
        version = transaction.resources.find(MODEL_CARD_VERSION.noun, f"{card.uid}/{number}")
        if version is None:
            raise resource_not_found("Model card version", f"{number} of {card.name}")
        shown |= {
            "Content": version.spec["Content"],
            "ModelCardVersion": number,
            "ModelCardStatus": version.status,
            "LastModifiedTime": version.created_at.timestamp(),
            "LastModifiedBy": user_context(version.account, version.created_by),
        }
    if asked.get("IncludedData") == "MetadataOnly":
        shown["Content"] = msgspec.json.encode(metadata_of(shown["Content"])).decode()
    return shown


def list_model_card_versions(transaction: Transaction, request: Request) -> Document:
    """Carry out ListModelCardVersions, the latest first unless asked otherwise."""
    card = generic.find(transaction, MODEL_CARD, request.input["ModelCardName"])
    return generic.page_of(MODEL_CARD_VERSION, transaction, request, Filter(_OF_CARD, "=", card.uid))


def _record(transaction: Transaction, request: Request, card: Resource) -> None:
    number = card.state["ModelCardVersion"]
    generic.create(
        transaction,
        MODEL_CARD_VERSION,
        # The tags of a request are those of the card.
        replace(request, operation="CreateModelCardVersion", input={}),
        name=f"{card.uid}/{number}",
        arn=f"{card.arn}/version/{number}",
        spec={
            "CardUid": card.uid,
            "ModelCardName": card.name,
            "ModelCardArn": card.arn,
            "ModelCardVersion": number,
            "Content": card.spec["Content"],
        },
        status=card.status,
    )


def _check_content(content: str) -> None:
    try:
        found = read_json(content)
    except ValueError as error:
        raise Invalid(f"Content is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise Invalid(f"Content is a JSON {type(found).__name__}; expected an object in the schema of model cards")
