"""What a search looks at of a document says the same of every property as the whole document does."""

import json
from pathlib import Path
from typing import Any

import pytest

from towpath.app import KINDS, OperationShapes
from towpath.gateway import ServiceModels
from towpath.kernel import formats, generic
from towpath.kernel.resource import Document, Resource, view
from towpath.kernel.shapes import project
from towpath.search.properties import narrowed, own_names, searched, static_names, values
from towpath.search.records import SEARCHABLE

MEMBERS = {searchable.noun: searchable.member for searchable in SEARCHABLE.values()}
GOLDEN = [
    path
    for path in sorted((Path(__file__).parents[2] / "golden" / "resources").glob("*/*.json"))
    if path.stem.partition("-")[0] in MEMBERS
]
OUTPUT: Any = OperationShapes(ServiceModels()).output("Search")


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_property_is_read_alike_from_the_part_that_is_looked_at(path: Path) -> None:
    resource = formats.raised(view(Resource, json.loads(path.read_text("utf-8"))["stored"]))
    shape = OUTPUT.members["Results"].member.members[MEMBERS[resource.kind]]
    shown = generic.document(KINDS[resource.kind], resource)
    if "Model" in shape.members:
        shown = {"Model": shown, "MonitoringSchedules": []}

    def properties(of: Document) -> Document:
        return searched(project(of, shape))

    whole = properties(shown)
    names = {*static_names(shape), *own_names(whole), "CreatedBy.UserProfileName", "Metrics", "Nothing.such"}
    for name in names | {name.lower() for name in names}:
        part = narrowed(shown, shape, [name])
        assert values(properties(part), name) == values(whole, name), name
        assert len(part) < len(shown) or len(shown) <= 3, "less is looked at"
