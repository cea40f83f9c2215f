"""Formats of stored documents: how a document that an older release wrote becomes one of today's.

A kind's first format is 1; each upgrade in its row of `UPGRADES` makes the next one. A document is raised whenever it
is read, and stored in today's format by the next write; nothing has to be converted at once.

An upgrade must go on working for ever, so it handles raw documents and uses none of the features' types, which change.
Members that a kind is filtered or sorted by are columns: changing those takes a migration of the store beside it.
"""

from collections.abc import Callable, Sequence

import msgspec

from towpath.kernel.errors import Invalid
from towpath.kernel.resource import FORMAT, Document, Resource


class Contents(msgspec.Struct, frozen=True):
    """The documents of a resource, in one format."""

    spec: Document
    state: Document


Upgrade = Callable[[Contents], Contents]  #: pure; must not change what it is given

#: Noun of a kind -> its upgrades: from format 1 to 2, from 2 to 3, … Kinds that never changed are not there.
UPGRADES: dict[str, Sequence[Upgrade]] = {}


def current(kind: str) -> int:
    """Return the format in which this release writes documents of a kind."""
    return FORMAT + len(UPGRADES.get(kind, ()))


def raised(resource: Resource) -> Resource:
    """Return the resource with its documents in today's format.

    Raises:
        Invalid: a newer release wrote them.
    """
    newest = current(resource.kind)
    if resource.format == newest:
        return resource
    if resource.format > newest:
        raise Invalid(
            f"{resource.kind} {resource.name!r} is stored in format {resource.format}, and this release reads formats "
            f"up to {newest}: a newer release wrote it. Use that release, or restore a backup."
        )
    contents = Contents(resource.spec, resource.state)
    for upgrade in UPGRADES[resource.kind][resource.format - FORMAT :]:
        contents = upgrade(contents)
    return msgspec.structs.replace(resource, spec=contents.spec, state=contents.state, format=newest)
