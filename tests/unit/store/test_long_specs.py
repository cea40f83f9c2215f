"""A long spec lies beside its row, and nobody who asks for the resource can tell."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from towpath.housekeeping.model import VersionKey
from towpath.kernel.clock import VirtualClock
from towpath.kernel.errors import StaleRevision
from towpath.kernel.ports import Query
from towpath.kernel.resource import Document, Resource, Uid
from towpath.store import SqliteStore, SqlTransaction
from towpath.store.codec import to_json
from towpath.store.long_specs import KEPT_BYTES, LONG_BYTES, DecodedSpecs
from towpath.store.migrations import SCRIPTS, upgrade
from towpath.store.sqlite import _engine

LONG: Document = {"Definition": "x" * LONG_BYTES}


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def store(tmp_path: Path, clock: VirtualClock) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "store.db", clock=clock)
    yield opened
    opened.close()


def make(store: SqliteStore, name: str, spec: Document, parent: Uid | None = None) -> Resource:
    new = Resource(
        uid=Uid(name.ljust(32, "0")),
        account=store.home.account,
        region=store.home.region,
        kind="Barge",
        name=name,
        arn=f"arn:barge/{name}",
        spec=spec,
        parent=parent,
        created_at=store.clock.now(),
        created_by="somebody",
        modified_at=store.clock.now(),
    )
    store.write(lambda transaction: transaction.resources.insert(new))
    return new


def kept(path: Path) -> list[tuple[str, int, int | None]]:
    """Return of each resource its name, how long the spec in its row is, and how long the one beside it."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(
            "SELECT name, length(resource.spec), length(long_spec.spec) FROM resource"
            " LEFT JOIN long_spec USING (uid) ORDER BY seq"
        ).fetchall()


def test_every_way_to_ask_finds_a_long_spec(store: SqliteStore, tmp_path: Path) -> None:
    parent = make(store, "parent", {"Short": 1})
    made = make(store, "child", LONG, parent=parent.uid)

    def found(ways: list[Resource | None]) -> None:
        assert [way and way.spec for way in ways] == [LONG] * len(ways)

    store.read(
        lambda transaction: found(
            [
                transaction.resources.get(made.uid),
                transaction.resources.find("Barge", "child"),
                transaction.resources.by_arn(made.arn),
                *transaction.resources.children(parent.uid),
                *transaction.resources.query(Query(kind="Barge")).items[:1],
            ]
        )
    )
    (_, short, beside), (_, long, long_beside) = kept(tmp_path / "store.db")
    assert short > 0
    assert beside is None
    assert long == 0
    assert long_beside is not None
    assert long_beside > LONG_BYTES


def test_a_change_of_anything_else_leaves_it_and_a_change_of_the_spec_replaces_it(
    store: SqliteStore, tmp_path: Path
) -> None:
    made = make(store, "a", LONG)
    path = tmp_path / "store.db"
    changed = store.write(lambda transaction: transaction.resources.replace(made, state={"Turn": 1}))
    assert store.read(lambda transaction: transaction.resources.get(made.uid)) == changed
    longer = store.write(lambda transaction: transaction.resources.replace(changed, spec={**LONG, "More": 1}))
    assert store.read(lambda transaction: transaction.resources.get(made.uid)) == longer
    assert [row[1] for row in kept(path)] == [0]
    short = store.write(lambda transaction: transaction.resources.replace(longer, spec={"Short": 1}))
    assert store.read(lambda transaction: transaction.resources.get(made.uid)) == short
    assert [row[2] for row in kept(path)] == [None]
    again = store.write(lambda transaction: transaction.resources.replace(short, spec=LONG))
    assert store.read(lambda transaction: transaction.resources.get(made.uid)) == again
    with pytest.raises(StaleRevision):
        store.write(lambda transaction: transaction.resources.replace(short, spec={"Lost": 1}))
    assert store.read(lambda transaction: transaction.resources.get(made.uid)) == again


def test_it_is_read_and_decoded_once_for_everybody_who_asks(store: SqliteStore) -> None:
    made = make(store, "a", LONG)
    first, second = (store.read(lambda transaction: transaction.resources.get(made.uid)) for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.spec is second.spec


def test_what_a_transaction_wrote_and_read_is_forgotten_when_it_is_undone(store: SqliteStore) -> None:
    made = make(store, "a", LONG)

    def fail(transaction: SqlTransaction) -> None:
        transaction.resources.replace(made, spec={**LONG, "Undone": 1})
        read = transaction.resources.get(made.uid)
        assert read is not None
        assert "Undone" in read.spec
        raise RuntimeError("undone")

    with pytest.raises(RuntimeError, match="undone"):
        store.write(fail)
    assert store.read(lambda transaction: transaction.resources.get(made.uid)) == made
    # Its revision is the one that the write which was undone had.
    changed = store.write(lambda transaction: transaction.resources.replace(made, spec={**LONG, "Done": 1}))
    assert store.read(lambda transaction: transaction.resources.get(made.uid)) == changed


def test_no_more_is_kept_decoded_than_so_many_bytes_but_for_the_last() -> None:
    decoded = DecodedSpecs()
    half = KEPT_BYTES // 2
    for name in ("a", "b", "a", "c"):
        decoded.keep(Uid(name), name, half, {"Name": name})
    found = {name: decoded.find(Uid(name), name) for name in ("a", "b", "c")}
    assert found == {"a": {"Name": "a"}, "b": None, "c": {"Name": "c"}}
    decoded.keep(Uid("d"), "d", 2 * KEPT_BYTES, {})
    assert decoded.find(Uid("d"), "d") == {}
    assert decoded.find(Uid("c"), "c") is None


def test_house_keeping_finds_what_it_names(store: SqliteStore) -> None:
    version = VersionKey("lake", "a.txt", "v1")
    made = make(store, "a", {**LONG, "Read": {"Uri": "s3://lake/a.txt", "VersionId": "v1"}})
    make(store, "b", LONG)
    for uids in (None, [made.uid]):
        found = store.read(
            lambda transaction, uids=uids: transaction.housekeeping.references(frozenset([version]), uids)  # type: ignore[misc]
        )
        assert found == {made.uid: frozenset([version])}


def test_it_goes_with_the_tombstone_of_its_resource(store: SqliteStore, clock: VirtualClock, tmp_path: Path) -> None:
    made = make(store, "a", LONG)
    clock.advance(timedelta(days=1).total_seconds())
    store.write(lambda transaction: transaction.resources.replace(made, deleted_at=transaction.now))
    assert store.write(lambda transaction: transaction.housekeeping.drop_tombstones([made.uid])) == 1
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        assert connection.execute("SELECT count(*) FROM long_spec").fetchone() == (0,)


def test_a_store_of_the_schema_before_is_raised_with_all_that_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    engine = _engine(path)
    upgrade(engine, path, head="0008")
    rows = [("short", b'{"Short": 1}'), ("long", b'{"Definition": "' + b"x" * LONG_BYTES + b'"}')]
    with closing(sqlite3.connect(path)) as connection:
        for name, spec in rows:
            connection.execute(
                "INSERT INTO resource (uid, account, region, kind, name, arn, spec, state, generation,"
                " observed_generation, revision, format, created_at, created_by, modified_at, sort)"
                " VALUES (?, '000000000000', 'us-east-1', 'Barge', ?, ?, ?, '{}', 1, 1, 1, 1, 0, 'x', 0, '{}')",
                (name, name, f"arn:barge/{name}", spec),
            )
        connection.commit()
    upgrade(engine, path, scripts=SCRIPTS)
    engine.dispose()
    assert [(name, row > 0, beside is not None) for name, row, beside in kept(path)] == [
        ("short", True, False),
        ("long", False, True),
    ]
    raised = SqliteStore(path)
    try:
        specs = raised.read(
            lambda transaction: [
                found.spec if (found := transaction.resources.get(Uid(name))) else None for name, _ in rows
            ]
        )
        assert specs == [{"Short": 1}, LONG]
    finally:
        raised.close()


def texts(path: Path) -> list[int]:
    """Return how long the texts are that lie by themselves."""
    with closing(sqlite3.connect(path)) as connection:
        return [length for (length,) in connection.execute("SELECT length(text) FROM long_text ORDER BY length(text)")]


def of(letter: str, **more: str) -> Document:
    return {"Before": 1, "Definition": letter * (LONG_BYTES + len(more) + 1), **more}


def test_a_long_text_lies_there_once_for_all_specs_that_hold_it(store: SqliteStore, tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    made = [make(store, name, of("x", Name=name)) for name in ("a", "b", "c")]
    make(store, "other", of("\u00fc"))
    assert len(texts(path)) == 2
    assert all(beside is not None and beside < 100 for _, _, beside in kept(path))
    for each in made:
        found = store.read(lambda transaction, uid=each.uid: transaction.resources.get(uid))  # type: ignore[misc]
        assert found == each
    again = SqliteStore(path)  # nothing is kept decoded there
    try:
        read = [again.read(lambda transaction, uid=each.uid: transaction.resources.get(uid)) for each in made]  # type: ignore[misc]
        assert read == made
        definitions = {id(each.spec["Definition"]) for each in read if each is not None}
        assert len(definitions) == 1, "decoded once, too"
        (first, second, *_) = read
        assert first is not None
        assert second is not None
        assert first.spec is not second.spec
    finally:
        again.close()


def test_a_long_text_goes_with_the_last_spec_that_holds_it(
    store: SqliteStore, clock: VirtualClock, tmp_path: Path
) -> None:
    path = tmp_path / "store.db"
    a, b, c = (make(store, name, of("x")) for name in "abc")
    store.write(lambda transaction: transaction.resources.replace(a, spec={**a.spec, "Before": 2}))
    assert len(texts(path)) == 1
    store.write(lambda transaction: transaction.resources.replace(b, spec=of("y")))
    assert len(texts(path)) == 2
    with pytest.raises(StaleRevision):
        store.write(lambda transaction: transaction.resources.replace(b, spec=of("z")))
    assert len(texts(path)) == 2
    for uid in (a.uid, c.uid):
        found = store.read(lambda transaction, uid=uid: transaction.resources.get(uid))  # type: ignore[misc]
        assert found is not None
        deleted = found
        store.write(lambda transaction: transaction.resources.replace(deleted, deleted_at=transaction.now))  # noqa: B023
    assert len(texts(path)) == 2, "what is deleted may be undeleted"
    store.write(lambda transaction: transaction.housekeeping.drop_tombstones([a.uid]))
    assert len(texts(path)) == 2
    store.write(lambda transaction: transaction.housekeeping.drop_tombstones([c.uid]))
    (left,) = texts(path)
    assert store.read(lambda transaction: transaction.resources.get(b.uid)).spec == of("y")  # type: ignore[union-attr]
    assert left > LONG_BYTES


def test_the_texts_of_a_store_of_the_schema_before_are_moved(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    engine = _engine(path)
    upgrade(engine, path, head="0010")
    specs = {"a": of("x"), "b": of("x"), "c": of("\u00fc\n"), "d": LONG}
    with closing(sqlite3.connect(path)) as connection:
        for name, spec in specs.items():
            connection.execute(
                "INSERT INTO resource (uid, account, region, kind, name, arn, spec, state, generation,"
                " observed_generation, revision, format, created_at, created_by, modified_at, sort)"
                " VALUES (?, '000000000000', 'us-east-1', 'Barge', ?, ?, x'', '{}', 1, 1, 1, 1, 0, 'x', 0, '{}')",
                (name, name, f"arn:barge/{name}"),
            )
            connection.execute("INSERT INTO long_spec VALUES (?, ?, ?)", (name, name * 32, to_json(spec)))
        connection.commit()
    engine.dispose()
    raised = SqliteStore(path)
    try:
        for name, spec in specs.items():
            found = raised.read(lambda transaction, name=name: transaction.resources.get(Uid(name)))  # type: ignore[misc]
            assert found is not None
            assert found.spec == spec
    finally:
        raised.close()
    assert len(texts(path)) == 2
