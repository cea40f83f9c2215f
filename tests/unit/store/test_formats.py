"""Documents that older releases wrote are raised when they are read, and stored in today's format when written."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from towpath.kernel import formats
from towpath.kernel.errors import Invalid
from towpath.kernel.formats import Contents
from towpath.kernel.generic import create
from towpath.kernel.kinds import Kind
from towpath.kernel.operations import Request
from towpath.kernel.ports import Query
from towpath.kernel.principals import PLATFORM
from towpath.kernel.resource import Resource
from towpath.store import SqliteStore

BOAT = Kind(noun="Boat", arn_type="boat", name_member="BoatName", arn_member="BoatArn")


def in_metres(before: Contents) -> Contents:
    """From format 1 to 2: lengths were in feet."""
    spec = {name: value for name, value in before.spec.items() if name != "LengthInFeet"}
    return Contents({**spec, "LengthInMetres": round(before.spec["LengthInFeet"] * 0.3048, 2)}, before.state)


def with_locks(before: Contents) -> Contents:
    """From format 2 to 3: the locks passed were counted, now they are named."""
    state = {name: value for name, value in before.state.items() if name != "Locks"}
    return Contents(before.spec, {**state, "Passed": [f"lock {n + 1}" for n in range(before.state.get("Locks", 0))]})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "store.db")
    yield opened
    opened.close()


@pytest.fixture
def upgraded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be the release after two upgrades."""
    monkeypatch.setitem(formats.UPGRADES, "Boat", (in_metres, with_locks))


def make(store: SqliteStore, name: str, spec: dict[str, object], state: dict[str, object]) -> Resource:
    request = Request(operation="CreateBoat", input={"BoatName": name}, caller=PLATFORM)
    return store.write(lambda transaction: create(transaction, BOAT, request, spec=dict(spec), state=dict(state)))


def stored(store: SqliteStore, name: str) -> tuple[int, bytes, bytes]:
    """Return format, spec and state of a row as they lie in the store."""
    row = store.read(
        lambda transaction: transaction.connection.exec_driver_sql(
            "SELECT format, spec, state FROM resource WHERE name = ?", (name,)
        ).one()
    )
    return (row.format, row.spec, row.state)


def find(store: SqliteStore, name: str) -> Resource:
    found = store.read(lambda transaction: transaction.resources.find("Boat", name))
    assert found is not None
    return found


def test_a_document_of_the_first_format_is_read_as_one_of_today(
    store: SqliteStore, request: pytest.FixtureRequest
) -> None:
    make(store, "Ida", {"LengthInFeet": 70}, {"Locks": 2})
    before = stored(store, "Ida")
    request.getfixturevalue("upgraded")
    boat = find(store, "Ida")
    assert (boat.format, boat.spec, boat.state) == (3, {"LengthInMetres": 21.34}, {"Passed": ["lock 1", "lock 2"]})
    page = store.read(lambda transaction: transaction.resources.query(Query(kind="Boat")))
    assert page.items == [boat]
    assert stored(store, "Ida") == before, "reading changes nothing"


def test_only_the_upgrades_that_a_document_lacks_are_applied(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(formats.UPGRADES, "Boat", (in_metres,))
    made = make(store, "Ida", {"LengthInMetres": 20.0}, {"Locks": 1})
    assert made.format == 2
    monkeypatch.setitem(formats.UPGRADES, "Boat", (in_metres, with_locks))
    assert find(store, "Ida").spec == {"LengthInMetres": 20.0}
    assert find(store, "Ida").state == {"Passed": ["lock 1"]}


def test_a_change_of_one_part_stores_both_in_the_new_format(store: SqliteStore, request: pytest.FixtureRequest) -> None:
    """A row whose spec were new and whose state were old could never be read again."""
    make(store, "Ida", {"LengthInFeet": 10}, {"Locks": 1})
    request.getfixturevalue("upgraded")
    boat = find(store, "Ida")
    changed = store.write(lambda transaction: transaction.resources.replace(boat, state={"Passed": ["lock 9"]}))
    assert stored(store, "Ida") == (3, b'{"LengthInMetres":3.05}', b'{"Passed":["lock 9"]}')
    assert find(store, "Ida") == changed
    store.write(lambda transaction: transaction.resources.replace(changed, status="Moored"))
    assert find(store, "Ida").spec == {"LengthInMetres": 3.05}


def test_a_new_document_has_the_newest_format(store: SqliteStore, upgraded: None) -> None:
    made = make(store, "Ida", {"LengthInMetres": 20.0}, {})
    assert made == find(store, "Ida")
    assert stored(store, "Ida")[0] == 3


def test_an_upgrade_does_not_change_what_it_is_given() -> None:
    before = Contents({"LengthInFeet": 70}, {"Locks": 1})
    with_locks(in_metres(before))
    assert before == Contents({"LengthInFeet": 70}, {"Locks": 1})


def test_a_document_of_a_newer_release_is_refused_by_name(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as newer:
        newer.setitem(formats.UPGRADES, "Boat", (in_metres, with_locks))
        make(store, "Ida", {"LengthInMetres": 20.0}, {})
    with pytest.raises(Invalid, match=r"Boat 'Ida' is stored in format 3, and this release reads formats up to 1"):
        find(store, "Ida")
