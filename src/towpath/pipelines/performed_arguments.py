"""What is wrong with the Arguments of the steps that the platform carries out itself: Lineage and Cleanup.

No operation has a shape for them. They are looked at twice: in the definition, where an expression may stand for what
is not known yet, and once more when the step begins and everything has its value.
"""

from collections.abc import Callable, Set
from typing import Any, TypeAlias

from towpath.kernel.errors import Invalid
from towpath.kernel.objects import parse_s3_uri
from towpath.kernel.resource import Document
from towpath.pipelines.faults import Findings, Place, item, member
from towpath.pipelines.paths import describe

Unknown: TypeAlias = Callable[[Any], bool]  #: whether a value stands for one that is not known yet

ENTITIES = ("Artifact", "Action", "Context")
_PLACE = "Arguments"


def never(_: Any) -> bool:
    """Return False: everything has its value."""
    return False


def refuse(findings: Findings) -> None:
    """Raise what is wrong with the arguments of a step that begins.

    Raises:
        Invalid: the first of the findings.
    """
    for place, message in findings:
        raise Invalid(f"{place}: {message}")


def lineage_faults(
    arguments: Document,
    entity_faults: Callable[[str, Any, Place], Findings],
    *,
    place: Place = _PLACE,
    unknown: Unknown = never,
) -> Findings:
    """Yield what is wrong with the Arguments of a Lineage step.

    Args:
        entity_faults: gives what is wrong with one entity, by its noun, as it stands there, and its place.
    """
    for noun in ENTITIES:
        inside = member(place, f"{noun}s")
        entities = arguments.get(f"{noun}s")
        yield from _list_faults(entities, inside, unknown)
        for number, entity in enumerate(_items(entities)):
            if not unknown(entity):
                yield from entity_faults(noun, entity, item(inside, number))
    inside = member(place, "Associations")
    associations = arguments.get("Associations")
    yield from _list_faults(associations, inside, unknown)
    for number, association in enumerate(_items(associations)):
        if not unknown(association):
            yield from _association_faults(association, arguments, item(inside, number), unknown)


def entity_name_faults(noun: str, entity: Any, place: Place, unknown: Unknown = never) -> Findings:
    """Yield what keeps an entity from being looked up by its name; its Create operation checks the rest."""
    if not isinstance(entity, dict):
        yield place, f"expected an object, found {describe(entity)}"
        return
    name = entity.get(f"{noun}Name")
    if noun != "Artifact" and not (isinstance(name, str) or unknown(name)):
        yield member(place, f"{noun}Name"), f"expected a text, found {describe(name)}"


def _association_faults(association: Any, arguments: Document, place: Place, unknown: Unknown) -> Findings:
    if not isinstance(association, dict):
        yield place, f"expected an object with Source and Destination, found {describe(association)}"
        return
    for name in ("Source", "Destination"):
        end = association.get(name)
        if not unknown(end):
            yield from _end_faults(end, arguments, member(place, name), unknown)


def _end_faults(end: Any, arguments: Document, place: Place, unknown: Unknown) -> Findings:
    if isinstance(end, dict) and (isinstance(end.get("Arn"), str) or unknown(end.get("Arn"))):
        return
    noun, name = (end.get("Type"), end.get("Name")) if isinstance(end, dict) else (None, None)
    if not (noun in ENTITIES or unknown(noun)) or not (isinstance(name, str) or unknown(name)):
        yield place, f"expected an object with Arn, or with Name and Type ({', '.join(ENTITIES)})"
        return
    if unknown(noun) or unknown(name) or unknown(arguments.get(f"{noun}s")):
        return
    entities = _items(arguments.get(f"{noun}s"))
    names = [entity.get(f"{noun}Name") for entity in entities if isinstance(entity, dict)]
    made = [each for each in names if isinstance(each, str)]
    if name not in made and not any(map(unknown, [*entities, *names])):
        yield place, f"the step makes no {noun} {name!r}; it makes {', '.join(made) or 'none'}"


def cleanup_faults(
    arguments: Document, *, place: Place = _PLACE, unknown: Unknown = never, steps: Set[str] | None = None
) -> Findings:
    """Yield what is wrong with the Arguments of a Cleanup step.

    The steps are named in the definition itself, since the Cleanup waits for them.

    Args:
        steps: the names of those that there are; None: they were checked before.
    """
    inside = member(place, "Resources")
    resources = arguments.get("Resources")
    if not isinstance(resources, dict) or unknown(resources):
        yield inside, f"expected an object with S3, the list of what is deleted; found {describe(resources)}"
        return
    inside = member(inside, "S3")
    entries = resources.get("S3")
    if entries is None:
        return  # so nothing is deleted
    if not isinstance(entries, list):
        yield inside, f"expected a list of objects with the StepName of what it waits for; found {describe(entries)}"
        return
    for number, entry in enumerate(entries):
        yield from _entry_faults(entry, item(inside, number), unknown, steps)


def _entry_faults(entry: Any, place: Place, unknown: Unknown, steps: Set[str] | None) -> Findings:
    name = entry.get("StepName") if isinstance(entry, dict) else None
    if not isinstance(name, str):
        yield place, "expected an object with StepName, and S3Uris where only some are meant"
        return
    if steps is not None and name not in steps:
        yield member(place, "StepName"), f"there is no step {name!r}"
    uris, inside = entry.get("S3Uris"), member(place, "S3Uris")
    yield from _list_faults(uris, inside, unknown)
    for number, uri in enumerate(_items(uris)):
        if unknown(uri):
            continue
        if not isinstance(uri, str):
            yield item(inside, number), f"expected an S3 URI, found {describe(uri)}"
            continue
        try:
            parse_s3_uri(uri)
        except Invalid as error:
            yield item(inside, number), error.message


def _list_faults(value: Any, place: Place, unknown: Unknown) -> Findings:
    if not (value is None or isinstance(value, list) or unknown(value)):
        yield place, f"expected a list, found {describe(value)}"


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
