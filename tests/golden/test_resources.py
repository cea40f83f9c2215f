"""What older releases stored is read today as it was read then."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.golden.story import FOLDER, answers, faults, release, views

from towpath.app import KINDS
from towpath.kernel import formats
from towpath.kernel.formats import Contents
from towpath.kernel.resource import Resource, view

FILES = sorted(FOLDER.glob("*/*.json"))
RELEASES = sorted(path.name for path in FOLDER.iterdir() if path.is_dir())


def shown(path: Path) -> str:
    return path.relative_to(FOLDER).with_suffix("").as_posix()


def golden(path: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return read


def stored(path: Path) -> Resource:
    return view(Resource, golden(path)["stored"], strict=True)


def lacking(recorded: Any, today: Any, place: str = "") -> list[str]:
    """Return where today's document does not hold what was recorded."""
    if isinstance(recorded, dict) and isinstance(today, dict):
        return [
            fault for name, value in recorded.items() for fault in lacking(value, today.get(name), f"{place}.{name}")
        ]
    if isinstance(recorded, list) and isinstance(today, list) and len(recorded) == len(today):
        return [
            fault
            for number, pair in enumerate(zip(recorded, today, strict=True))
            for fault in lacking(*pair, f"{place}[{number}]")
        ]
    return [] if recorded == today else [f"{place}: {recorded!r} was recorded, {today!r} is read"]


@pytest.mark.parametrize("path", FILES, ids=shown)
def test_a_stored_resource_is_read_as_it_was(path: Path) -> None:
    recorded, resource = golden(path), formats.raised(stored(path))
    assert lacking(recorded["answers"], dict(answers(resource))) == []
    assert lacking(recorded["views"], views(resource)) == []
    assert list(faults([resource])) == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("of", RELEASES)
def test_every_kind_has_a_document_in_every_release_that_knew_it(of: str, kind: str) -> None:
    since = min((path.parent.name for path in FILES if stored(path).kind == kind), default=None, key=numbers)
    assert since is not None, f"no release has a golden document of a {kind}; see {FOLDER.name}/README.md"
    assert numbers(of) < numbers(since) or list((FOLDER / of).glob(f"{kind}[.-]*json")), f"{of} has none of a {kind}"


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_document_in_its_current_format(kind: str) -> None:
    found = {resource.format for resource in map(stored, FILES) if resource.kind == kind}
    assert formats.current(kind) in found, f"no golden document of a {kind} in today's format; see README.md there"


def test_the_release_in_the_making_has_its_documents() -> None:
    assert release() in RELEASES, "see README.md in tests/golden/resources"


def test_a_member_that_is_read_differently_is_named() -> None:
    recorded = {"a": {"b": [1, 2]}, "c": "x"}
    assert lacking(recorded, {"a": {"b": [1, 2], "new": 1}, "c": "x"}) == []
    assert lacking(recorded, {"a": {"b": [1, 3]}, "c": None}) == [
        ".a.b[1]: 2 was recorded, 3 is read",
        ".c: 'x' was recorded, None is read",
    ]


def test_a_format_without_an_upgrade_that_keeps_its_meaning_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A change that forgets a member of what older releases stored fails the test above."""
    path = FOLDER / RELEASES[0] / "Dataset.json"
    forget = lambda before: Contents({**before.spec, "Description": None}, before.state)  # noqa: E731
    monkeypatch.setitem(formats.UPGRADES, "Dataset", (forget,))
    assert formats.current("Dataset") not in {stored(path).format}
    assert lacking(golden(path)["answers"], dict(answers(formats.raised(stored(path)))))


def numbers(name: str) -> tuple[int, ...]:
    return tuple(map(int, name.split(".")))
