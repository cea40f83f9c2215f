"""What the platform itself does for a step, inside the transaction that ends the step: Lineage and Cleanup."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from towpath.kernel.errors import Invalid, NotFound
from towpath.kernel.objects import ObjectRef, ObjectVersion, delete_marker, parse_s3_uri
from towpath.kernel.ports import Transaction
from towpath.kernel.resource import Document
from towpath.lineage import artifact, is_produced
from towpath.pipelines.model import StepRow
from towpath.pipelines.performed_arguments import (
    ENTITIES,
    cleanup_faults,
    entity_name_faults,
    lineage_faults,
    refuse,
)

Call: TypeAlias = Callable[[str, Document], Document]  #: an operation's name and its input -> its answer

_PAGE = 1000  #: objects that are looked at together


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """What a step that the platform carries out may use."""

    transaction: Transaction
    call: Call  #: on behalf of whoever started the execution
    principal: str
    steps: Mapping[str, StepRow]  #: those that it waited for, by name


Perform: TypeAlias = Callable[[Performance, Document], Document]  #: and the step's Arguments -> what it yields


def keep_records(performance: Performance, arguments: Document) -> Document:
    """Make the artifacts, actions and contexts of a Lineage step and associate them; return their ARNs by name.

    An action or a context that is there already is taken as it is: their names are unique, and a pipeline runs often.

    Raises:
        Invalid: the arguments are not what they must be; an association names an entity that the step does not make.
    """
    refuse(lineage_faults(arguments, entity_name_faults))
    arns: dict[str, dict[str, str]] = {noun: {} for noun in ENTITIES}
    for noun in ENTITIES:
        for asked in arguments.get(f"{noun}s") or ():
            name = asked.get(f"{noun}Name")
            arn = _entity(performance, noun, asked)
            if name is not None:
                arns[noun][name] = arn
    associations = []
    for asked in arguments.get("Associations") or ():
        ends = {f"{end}Arn": _named(asked[end], arns) for end in ("Source", "Destination")}
        kind = asked.get("AssociationType")
        performance.call("AddAssociation", {**ends, **({} if kind is None else {"AssociationType": kind})})
        associations.append(ends)
    return {**{f"{noun}Arns": named for noun, named in arns.items()}, "Associations": associations}


def _entity(performance: Performance, noun: str, asked: Document) -> str:
    if noun != "Artifact":
        try:
            found = performance.call(f"Describe{noun}", {f"{noun}Name": asked[f"{noun}Name"]})
        except NotFound:
            pass  # so it is made now
        else:
            return str(found[f"{noun}Arn"])
    return str(performance.call(f"Create{noun}", asked)[f"{noun}Arn"])


def _named(end: Document, arns: Mapping[str, Mapping[str, str]]) -> str:
    """Return the ARN of an end of an association: {Arn} or {Name, Type}."""
    arn = end.get("Arn")
    return arn if isinstance(arn, str) else arns[end["Type"]][end["Name"]]


def clean_up(performance: Performance, arguments: Document) -> Document:
    """Delete what the named steps left in S3; return which were cleaned, and which skipped or failed and why.

    Where no URIs are given, it is what the step's own job wrote to its output locations, and nothing else that lies
    there. Versions are kept behind a delete marker, as whenever something is deleted in S3.

    Raises:
        Invalid: the arguments are not what they must be.
    """
    refuse(cleanup_faults(arguments))
    cleaned: list[str] = []
    skipped: list[str] = []
    failed: list[Document] = []
    for entry in arguments["Resources"].get("S3") or ():
        name = entry["StepName"]
        row = performance.steps.get(name)
        uris = entry.get("S3Uris")
        if row is None or (uris is None and not _locations(row)):
            skipped.append(name)
            continue
        try:
            for uri in _locations(row) if uris is None else uris:
                _delete(performance, uri, None if uris is not None else row)
        except Invalid as error:
            failed.append({"StepName": name, "ErrorCode": "ClientError", "ErrorMessage": error.message})
        else:
            cleaned.append(name)
    return {"CleanedSteps": cleaned, "FailedSteps": failed, "SkippedSteps": skipped}


def _locations(row: StepRow) -> list[str]:
    """Return the S3 URIs at and below which a step's job wrote, as its yield tells them."""
    document = {} if row.yielded is None else row.yielded.document
    outputs = (document.get("ProcessingOutputConfig") or {}).get("Outputs") or ()
    found = [(output.get("S3Output") or {}).get("S3Uri") for output in outputs]
    found.append((document.get("ModelArtifacts") or {}).get("S3ModelArtifacts"))
    for member in ("OutputDataConfig", "TransformOutput"):
        found.append((document.get(member) or {}).get("S3OutputPath"))
    found.append((document.get("CheckpointConfig") or {}).get("S3Uri"))
    return [uri for uri in found if isinstance(uri, str)]


def _delete(performance: Performance, uri: str, writer: StepRow | None) -> None:
    transaction = performance.transaction
    bucket, key = parse_s3_uri(uri)
    if transaction.objects.bucket_created_at(bucket) is None:
        raise Invalid(f"{uri}: there is no bucket {bucket!r}")
    for version in _below(transaction, bucket, key):
        wrote = writer is None or (
            writer.resource is not None and is_produced(transaction, writer.resource, artifact(version))
        )
        if wrote:
            ref = ObjectRef(version.bucket, version.key)
            transaction.objects.put(delete_marker(ref, at=transaction.now, by=performance.principal))


def _below(transaction: Transaction, bucket: str, key: str) -> Iterator[ObjectVersion]:
    """Yield the objects at a key and in the folder of that name; of an empty key, all in the bucket."""
    after = ""
    while True:
        page = transaction.objects.listing(bucket, key, after=after, limit=_PAGE)
        for version in page:
            if not key or key.endswith("/") or version.key == key or version.key.startswith(f"{key}/"):
                yield version
        if len(page) < _PAGE:
            return
        after = page[-1].key
