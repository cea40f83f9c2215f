"""The versions of pipelines: each definition that one has had, numbered from 1, and the aliases that name some.

A version is a resource, known by the uid of its pipeline: one that takes the name of a deleted pipeline begins anew.
Which version an alias means is kept by the pipeline: an alias names one of them at most.
"""

from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from towpath.callers import Role
from towpath.kernel import generic
from towpath.kernel.errors import Conflict, Invalid, NotFound
from towpath.kernel.operations import Request
from towpath.kernel.ports import Filter, Transaction
from towpath.kernel.resource import Document, Resource
from towpath.pipelines.kinds import ALIASES, LATEST, OF_PIPELINE, PIPELINE, PIPELINE_VERSION
from towpath.pipelines.rights import ROLES, stored

_MOST_ALIASES = 10  #: of one version, as on SageMaker
_FIRST = 1


def latest(pipeline: Resource) -> int:
    """Return the number of a pipeline's latest version."""
    return int(pipeline.state.get(LATEST, _FIRST))


def aliases_of(pipeline: Resource, number: int) -> list[str]:
    """Return the aliases of a version."""
    known: dict[str, int] = pipeline.state.get(ALIASES, {})
    return sorted(alias for alias, named in known.items() if named == number)


def record(transaction: Transaction, request: Request, pipeline: Resource, definition: str) -> int:
    """Write down a definition as the next version of a pipeline, and return its number."""
    number = transaction.resources.next_number(f"pipeline/{pipeline.uid}")
    generic.create(
        transaction,
        PIPELINE_VERSION,
        # The tags of a request are those of the pipeline.
        replace(request, operation="CreatePipelineVersion", input={}),
        name=_name(pipeline, number),
        arn=f"{pipeline.arn}/version/{number}",
        spec={
            "PipelineUid": pipeline.uid,
            "PipelineArn": pipeline.arn,
            "PipelineVersionId": number,
            "PipelineDefinition": definition,
            **({} if (roles := stored(request.caller.roles)) is None else {ROLES: roles}),
        },
    )
    return number


def record_first(transaction: Transaction, request: Request, pipeline: Resource) -> None:
    """Write down the version of a pipeline that an older release made, which knew no versions."""
    if LATEST not in pipeline.state and transaction.resources.find(PIPELINE_VERSION.noun, _name(pipeline, 1)) is None:
        author = replace(request.caller, roles=frozenset({Role.ADMINISTRATOR}))  # as every user was then
        record(transaction, replace(request, caller=author), pipeline, pipeline.spec["PipelineDefinition"])


def asked_for(pipeline: Resource, asked: Document) -> int | None:
    """Return the number of the version that a request names by id or by alias, None where it names none.

    Raises:
        Invalid: it names one by both.
        NotFound: no version has the alias.
    """
    number, alias = asked.get("PipelineVersionId"), asked.get("PipelineVersionAlias")
    if alias is None:
        return number
    if number is not None:
        raise Invalid("PipelineVersionId and PipelineVersionAlias exclude each other; give one of them")
    known: dict[str, int] = pipeline.state.get(ALIASES, {})
    if alias not in known:
        raise NotFound(
            f"Version {alias!r} of the pipeline {pipeline.name!r} does not exist; its aliases are: "
            f"{', '.join(sorted(known)) or 'none'}.",
            code="ResourceNotFound",
        )
    return known[alias]


def find(transaction: Transaction, pipeline: Resource, number: int) -> Resource | None:
    """Return a version, None where it is the one of a pipeline that an older release made.

    Raises:
        NotFound: the pipeline has no such version.
    """
    version = transaction.resources.find(PIPELINE_VERSION.noun, _name(pipeline, number))
    if version is None and (LATEST in pipeline.state or number != _FIRST):
        raise NotFound(
            f"Version {number} of the pipeline {pipeline.name!r} does not exist; its latest is {latest(pipeline)}.",
            code="ResourceNotFound",
        )
    return version


def definition_of(transaction: Transaction, pipeline: Resource, number: int) -> str:
    """Return the definition of a version."""
    version = None if number == latest(pipeline) else find(transaction, pipeline, number)
    text: str = (pipeline if version is None else version).spec["PipelineDefinition"]
    return text


def author_roles(transaction: Transaction, pipeline: Resource, number: int) -> list[str] | None:
    """Return the roles that whoever wrote a version had then, None where that was an administrator."""
    version = find(transaction, pipeline, number)
    roles: list[str] | None = None if version is None else version.spec.get(ROLES)
    return roles


def shown(transaction: Transaction, pipeline: Resource, number: int) -> Document:
    """Return what DescribePipeline shows of a version."""
    version = find(transaction, pipeline, number)
    document: Document = {
        "PipelineDefinition": definition_of(transaction, pipeline, number),
        "PipelineVersionAliases": aliases_of(pipeline, number),
    }
    for member in ("PipelineVersionDisplayName", "PipelineVersionDescription"):
        if version is not None and member in version.spec:
            document[member] = version.spec[member]
    return document


def shown_of_execution(pipeline: Resource | None, execution: Document) -> Document:
    """Return what is shown of an execution, with the aliases that its version has now."""
    number = execution.get("PipelineVersionId")
    if pipeline is None or number is None:
        return execution
    return {**execution, "PipelineVersionAliases": aliases_of(pipeline, number)}


def ran(transaction: Transaction, pipeline: Resource, number: int, execution_arn: str) -> None:
    """Note that an execution of a version has begun."""
    version = find(transaction, pipeline, number)
    if version is not None:
        state = {**version.state, "LastExecutionPipelineExecutionArn": execution_arn}
        transaction.resources.replace(version, state=state, modified_at=version.modified_at)


def with_aliases(pipeline: Resource, number: int, add: Iterable[str], remove: Iterable[str]) -> dict[str, int]:
    """Return the aliases of a pipeline once some were given to a version and some taken from it. Pure.

    Raises:
        Invalid: an alias is to be added and removed, or is not there to be removed, or there would be too many.
        Conflict: an alias belongs to another version.
    """
    known: dict[str, int] = dict(pipeline.state.get(ALIASES, {}))
    add, remove = list(add), list(remove)
    both = sorted(set(add) & set(remove))
    if both:
        raise Invalid(f"The alias {both[0]!r} is in Add and in Remove; it can be in one of them")
    for alias in remove:
        if known.get(alias) != number:
            raise Invalid(f"Version {number} of the pipeline {pipeline.name!r} has no alias {alias!r} to remove")
        del known[alias]
    for alias in add:
        other = known.get(alias, number)
        if other != number:
            raise Conflict(
                f"The alias {alias!r} belongs to version {other} of {pipeline.name!r}; remove it there first",
                code="ConflictException",
            )
        known[alias] = number
    if sum(1 for named in known.values() if named == number) > _MOST_ALIASES:
        raise Invalid(
            f"Version {number} of the pipeline {pipeline.name!r} would have more than {_MOST_ALIASES} aliases"
        )
    return known


def update_pipeline_version(transaction: Transaction, request: Request) -> Document:
    """Carry out UpdatePipelineVersion: the names, the description and the aliases of a version."""
    asked = request.input
    pipeline = generic.find(transaction, PIPELINE, asked["PipelineArn"])
    number = asked["PipelineVersionId"]
    record_first(transaction, request, pipeline)
    version = find(transaction, pipeline, number)
    assert version is not None, "recorded just now"
    members = ("PipelineVersionDisplayName", "PipelineVersionDescription")
    changes: dict[str, Any] = {member: asked[member] for member in members if member in asked}
    version = transaction.resources.replace(
        version, spec={**version.spec, **changes}, generation=version.generation + 1
    )
    operations = asked.get("PipelineVersionAliasOperations") or {}
    aliases = with_aliases(pipeline, number, operations.get("Add", ()), operations.get("Remove", ()))
    transaction.resources.replace(
        pipeline,
        state={**pipeline.state, ALIASES: aliases, LATEST: latest(pipeline)},
        modified_at=pipeline.modified_at,
    )
    generic.record(transaction, version, request, request.operation, changed=sorted(changes), aliases=operations)
    return {"PipelineArn": pipeline.arn, "PipelineVersionId": number}


def list_pipeline_versions(transaction: Transaction, request: Request) -> Document:
    """Carry out ListPipelineVersions, the latest first unless asked otherwise."""
    pipeline = generic.find(transaction, PIPELINE, request.input["PipelineName"])
    answer = generic.page_of(PIPELINE_VERSION, transaction, request, Filter(OF_PIPELINE, "=", pipeline.uid))
    found = answer["PipelineVersionSummaries"]
    if LATEST not in pipeline.state and not found:
        at = pipeline.created_at.timestamp()
        found.append({"PipelineArn": pipeline.arn, "PipelineVersionId": _FIRST, "CreationTime": at})
    for version in found:
        version["PipelineVersionAliases"] = aliases_of(pipeline, version["PipelineVersionId"])
    return answer


def _name(pipeline: Resource, number: int) -> str:
    return f"{pipeline.uid}/{number}"
