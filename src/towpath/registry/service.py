"""The operations of the model registry."""

from collections.abc import Callable
from typing import Any, NoReturn

from msgspec.structs import replace

from towpath.jobs.channels import PinnedInput, pin
from towpath.jobs.images import Environment
from towpath.kernel.arns import name_of
from towpath.kernel.errors import Conflict, Invalid, NotFound, TowpathError
from towpath.kernel.events import Event
from towpath.kernel.generic import (
    create,
    delete_operation,
    describe_operation,
    document,
    find,
    list_operation,
    record,
    with_sort,
)
from towpath.kernel.objects import ObjectVersion
from towpath.kernel.operations import Operation, Request
from towpath.kernel.ports import Filter, Query, Transaction
from towpath.kernel.repeats import TOKENS, digest_of, is_repeated, token_of
from towpath.kernel.resource import Document, Resource, view
from towpath.lineage.model import model_package_graph
from towpath.lineage.record import record as record_graph
from towpath.registry import approval
from towpath.registry.approval import ApprovalStatus
from towpath.registry.cards import operations as card_operations
from towpath.registry.history import Entry, Topic, approvals
from towpath.registry.kinds import MODEL_PACKAGE, MODEL_PACKAGE_GROUP
from towpath.registry.packages import (
    EnvironmentFound,
    PackageSpec,
    PackageState,
    artifacts,
    model_files,
    report_files,
    spec_of,
    state_document,
    state_of,
)
from towpath.registry.policies import OPERATIONS as POLICIES

Resolve = Callable[[str], Environment]  #: image name -> environment; raises a TowpathError for an unknown image

STATE_CHANGE = "SageMaker Model Package State Change"


def operations(resolve: Resolve) -> list[Operation]:
    """Return the registry's operations; `resolve` tells what an image stands for, so that a version records it."""

    def create_model_package(transaction: Transaction, request: Request) -> Document:
        return register(transaction, request, resolve)

    return [
        Operation(name="CreateModelPackageGroup", function=create_model_package_group),
        describe_operation(MODEL_PACKAGE_GROUP),
        _own_account(list_operation(MODEL_PACKAGE_GROUP)),
        delete_operation(MODEL_PACKAGE_GROUP),
        *POLICIES,
        *card_operations(),
        Operation(name="CreateModelPackage", function=create_model_package),
        describe_operation(MODEL_PACKAGE),
        _narrowed(list_operation(MODEL_PACKAGE)),
        Operation(name="UpdateModelPackage", function=update_model_package),
        delete_operation(MODEL_PACKAGE),
        Operation(name="BatchDescribeModelPackage", function=batch_describe_model_package, writes=False),
    ]


def create_model_package_group(transaction: Transaction, request: Request) -> Document:
    """Carry out CreateModelPackageGroup."""
    name = request.input["ModelPackageGroupName"]
    existing = transaction.resources.find(MODEL_PACKAGE_GROUP.noun, name)
    if existing is not None:
        raise Conflict(f"Model Package Group already exists: {existing.arn}", code="ValidationException")
    return {"ModelPackageGroupArn": create(transaction, MODEL_PACKAGE_GROUP, request, status="Completed").arn}


def ensure_group(transaction: Transaction, request: Request, name: str) -> Resource:
    """Return the group `name`, made on behalf of `request` where it is absent, as pipelines do on SageMaker."""
    existing = transaction.resources.find(MODEL_PACKAGE_GROUP.noun, name)
    if existing is not None:
        return existing
    wanted = replace(request, operation="CreateModelPackageGroup", input={"ModelPackageGroupName": name}, parent=None)
    return create(transaction, MODEL_PACKAGE_GROUP, wanted, status="Completed")


def register(transaction: Transaction, request: Request, resolve: Resolve) -> Document:
    """Carry out CreateModelPackage: the next version of a group, or an unversioned package.

    On behalf of a pipeline execution (`request.parent`) an absent group is made.

    Raises:
        Invalid: there is no model at a container's ModelDataUrl, or the request names both a group and a package.
    """
    asked = request.input
    given, grouped = asked.get("ModelPackageName"), asked.get("ModelPackageGroupName")
    if (given is None) == (grouped is None):
        raise Invalid("CreateModelPackage needs either ModelPackageGroupName, for a version, or ModelPackageName")
    again = _made_by(transaction, request)
    if again is not None:
        return {"ModelPackageArn": again.arn}
    spec = {k: v for k, v in asked.items() if k not in {"Tags", *TOKENS, "ModelPackageGroupName"}}
    group = None
    if grouped is not None:
        group = _group(transaction, request, name_of(grouped))
        spec.setdefault("ModelApprovalStatus", ApprovalStatus.PENDING.value)
    elif "ModelApprovalStatus" in asked:
        raise Invalid("ModelApprovalStatus belongs to versions in a group; leave it out or give ModelPackageGroupName")
    state = _found(transaction, request, spec, group, resolve)
    name = given if group is None else f"{group.name}/{state.model_package_version}"
    package = create(
        transaction,
        MODEL_PACKAGE,
        request,
        name=name,
        spec=spec,
        state=state_document(state),
        status="Completed",
    )
    transaction.events.append(_state_change(transaction, package, request, before=None))
    _record_lineage(transaction, package, state)
    return {"ModelPackageArn": package.arn}


def update_model_package(transaction: Transaction, request: Request) -> Document:
    """Carry out UpdateModelPackage: an approval decision, or changes of metadata; both become history.

    Raises:
        Conflict: a rule of `approval` speaks against the decision, or a fixed part of a version would change.
    """
    asked = request.input
    package = find(transaction, MODEL_PACKAGE, asked["ModelPackageArn"])
    state = state_of(package)
    if is_repeated(request, token=state.update_token, digest=state.update_digest, arn=package.arn):
        return {"ModelPackageArn": package.arn}  # the answer to an earlier try of this request was lost
    before = package.spec.get("ModelApprovalStatus")
    spec, members = _with_metadata(package, asked)
    entries: list[Entry] = []
    wanted = asked.get("ModelApprovalStatus")
    note = asked.get("ApprovalDescription")
    if wanted is not None:
        approval.check(
            approval.Decision(
                package=package.name,
                versioned=state.model_package_version is not None,
                package_status=package.status or "",
                current=before,
                wanted=ApprovalStatus(wanted),
            )
        )
        spec["ModelApprovalStatus"] = wanted
        # A note explains the decision that it came with; it does not outlive it.
        spec.pop("ApprovalDescription", None)
        entries.append(
            Entry(
                topic=Topic.APPROVAL,
                at=transaction.now,
                by=request.caller.principal,
                before=before,
                after=wanted,
                note=note or "",
            )
        )
    elif note is not None:
        members.append("ApprovalDescription")
    if note is not None:
        spec["ApprovalDescription"] = note
    if members:
        entries.append(
            Entry(topic=Topic.METADATA, at=transaction.now, by=request.caller.principal, members=tuple(members))
        )
    if not entries:
        return {"ModelPackageArn": package.arn}
    token = token_of(request)
    if token is not None:
        state = replace(state, update_token=token, update_digest=digest_of(request))
    after = replace(package, spec=spec, state=state_document(replace(state, history=(*state.history, *entries))))
    updated = transaction.resources.replace(
        package,
        spec=after.spec,
        state=after.state,
        generation=package.generation + 1,
        sort=with_sort(MODEL_PACKAGE, after).sort,
    )
    record(transaction, updated, request, request.operation, members=members)
    if wanted is not None and wanted != before:
        # Approving what is approved is noted in its history, and no news: what deploys approved versions does it once.
        transaction.events.append(_state_change(transaction, updated, request, before=before))
    return {"ModelPackageArn": updated.arn}


def batch_describe_model_package(transaction: Transaction, request: Request) -> Document:
    """Carry out BatchDescribeModelPackage: what was found, and an error for each ARN that was not."""
    found: Document = {}
    errors: Document = {}
    for arn in request.input["ModelPackageArnList"]:
        try:
            found[arn] = document(MODEL_PACKAGE, find(transaction, MODEL_PACKAGE, arn))
        except TowpathError as error:
            errors[arn] = {"ErrorCode": error.code or type(error).__name__, "ErrorResponse": error.message}
    return {"ModelPackageSummaries": found, "BatchDescribeModelPackageErrorMap": errors}


def approval_history(package: Resource) -> list[Document]:
    """Return who decided what about a package, oldest first: `At`, `By`, `Before`, `After`, `Note`."""
    return [
        {
            "At": entry.at.timestamp(),
            "By": entry.by,
            "Before": entry.before,
            "After": entry.after,
            "Note": entry.note,
        }
        for entry in approvals(state_of(package).history)
    ]


def _made_by(transaction: Transaction, request: Request) -> Resource | None:
    """Return what an earlier try of the same request made: clients repeat a token when an answer is lost."""
    token = token_of(request)
    if token is None or request.parent is not None:
        return None
    found = transaction.resources.query(Query(kind=MODEL_PACKAGE.noun, filters=(Filter("token", "=", token),), limit=1))
    if not found.items:
        return None
    (made,) = found.items
    state = state_of(made)
    return made if is_repeated(request, token=token, digest=state.request_digest, arn=made.arn) else None


def _group(transaction: Transaction, request: Request, name: str) -> Resource:
    if request.parent is not None:
        return ensure_group(transaction, request, name)
    try:
        return find(transaction, MODEL_PACKAGE_GROUP, name)
    except NotFound as error:
        raise NotFound(
            f"{error.message} Create it first with CreateModelPackageGroup.", code="ValidationException"
        ) from error


def _found(
    transaction: Transaction, request: Request, spec: Document, group: Resource | None, resolve: Resolve
) -> PackageState:
    """Return what stands behind a package now: exact object versions, environments, and its number."""
    typed = view(PackageSpec, spec)
    containers = typed.inference_specification.containers
    wanted = [model_files(container, f"Containers[{n}]") for n, container in enumerate(containers)]
    model_data = tuple(_pinned(transaction, item) for item in wanted if item is not None)
    return PackageState(
        model_package_group_name=None if group is None else group.name,
        model_package_version=(
            None if group is None else transaction.resources.next_number(f"model-package-group/{group.uid}")
        ),
        model_data=model_data,
        reports=tuple(_pinned(transaction, item) for item in report_files(typed)),
        environments=tuple(_environments(containers, resolve)),
        history=(
            Entry(
                topic=Topic.REGISTERED,
                at=transaction.now,
                by=request.caller.principal,
                after=spec.get("ModelApprovalStatus"),
            ),
        ),
        client_token=token_of(request) if request.parent is None else None,
        request_digest=digest_of(request) if request.parent is None and token_of(request) is not None else None,
    )


def _record_lineage(transaction: Transaction, package: Resource, state: PackageState) -> None:
    """Write what the package is made of into the lineage graph."""
    record_graph(
        transaction,
        model_package_graph(
            package.uid,
            package.arn,
            models=artifacts(state.model_data, role="model"),
            evaluations=artifacts(state.reports, role="evaluation"),
            execution=package.parent,
        ),
    )


def _pinned(transaction: Transaction, wanted: Any) -> PinnedInput:
    return pin(wanted, transaction.objects, _no_manifests)


def _no_manifests(version: ObjectVersion) -> NoReturn:
    raise Invalid(f"{version.uri}: a model's files cannot be named by a manifest")


def _environments(containers: Any, resolve: Resolve) -> list[EnvironmentFound]:
    found = []
    for container in containers:
        if container.image is None:
            continue
        try:
            environment = resolve(container.image)
        except TowpathError:
            # A registry may hold models that are served elsewhere; only CreateModel insists on an image known here.
            continue
        found.append(
            EnvironmentFound(
                image=container.image,
                python_version=environment.python_version,
                fingerprint=environment.fingerprint,
            )
        )
    return found


_SET = ("SourceUri", "ModelCard", "ModelLifeCycle", "ModelPackageRegistrationType")


def _with_metadata(package: Resource, asked: Document) -> tuple[Document, list[str]]:
    """Return the spec with the metadata of an update merged in, and the names of the members that changed."""
    spec = dict(package.spec)
    members = [member for member in _SET if member in asked]
    spec.update({member: asked[member] for member in members})
    if "InferenceSpecification" in asked:
        if spec_of(package).inference_specification.containers:
            raise Conflict(
                f"The InferenceSpecification of {package.name} is part of the version and cannot be changed; "
                "register a new version",
                code="ValidationException",
            )
        raise Invalid("Give the InferenceSpecification when the package is created; it cannot be added later")
    properties = dict(spec.get("CustomerMetadataProperties") or {})
    changed = {**properties, **asked.get("CustomerMetadataProperties", {})}
    for name in asked.get("CustomerMetadataPropertiesToRemove", ()):
        changed.pop(name, None)
    if changed != properties:
        spec["CustomerMetadataProperties"] = changed
        members.append("CustomerMetadataProperties")
    added = asked.get("AdditionalInferenceSpecificationsToAdd")
    if added:
        present = list(spec.get("AdditionalInferenceSpecifications") or [])
        taken = {item["Name"] for item in present}
        for item in added:
            if item["Name"] in taken:
                raise Conflict(
                    f"{package.name} has an additional inference specification {item['Name']!r} already",
                    code="ValidationException",
                )
        spec["AdditionalInferenceSpecifications"] = present + added
        members.append("AdditionalInferenceSpecifications")
    return spec, members


def _state_change(transaction: Transaction, package: Resource, request: Request, *, before: str | None) -> Event:
    """Return EventBridge's event of a package, with the exact transition."""
    state = state_of(package)
    return Event(
        type=STATE_CHANGE,
        subject=package.uid,
        subject_arn=package.arn,
        principal=request.caller.principal,
        at=transaction.now,
        detail={
            "ModelPackageName": package.name,
            "ModelPackageGroupName": state.model_package_group_name,
            "ModelPackageVersion": state.model_package_version,
            "ModelPackageArn": package.arn,
            "ModelPackageStatus": package.status,
            "ModelApprovalStatus": package.spec.get("ModelApprovalStatus"),
            "PreviousModelApprovalStatus": before,
            "ApprovalDescription": package.spec.get("ApprovalDescription"),
            "CustomerMetadataProperties": package.spec.get("CustomerMetadataProperties") or {},
            "InferenceSpecification": package.spec.get("InferenceSpecification"),
            "CreationTime": package.created_at.timestamp(),
            "LastModifiedTime": transaction.now.timestamp(),
            "UpdatedModelPackageFields": ["ModelApprovalStatus"] if before is not None else [],
        },
    )


def _own_account(operation: Operation) -> Operation:
    """Return ListModelPackageGroups: a home is one account, and no other shares groups with it."""

    def listing(transaction: Transaction, request: Request) -> Document:
        if request.input.get("CrossAccountFilterOption") == "CrossAccount":
            return {"ModelPackageGroupSummaryList": []}
        return operation.function(transaction, request)

    return replace(operation, function=listing)


def _narrowed(operation: Operation) -> Operation:
    """Return ListModelPackages with the group given by name or ARN, and without one SageMaker's default type."""

    def listing(transaction: Transaction, request: Request) -> Document:
        asked = dict(request.input)
        group = asked.get("ModelPackageGroupName")
        if group is not None:
            asked["ModelPackageGroupName"] = find(transaction, MODEL_PACKAGE_GROUP, group).name
        else:
            asked.setdefault("ModelPackageType", "Unversioned")
        if asked.get("ModelPackageType") == "Both":
            del asked["ModelPackageType"]
        return operation.function(transaction, replace(request, input=asked))

    return replace(operation, function=listing)
