"""Pages hold exactly what a query asks for, in its order, however the rows are looked up."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from sqlalchemy import text

from towpath.kernel import generic
from towpath.kernel.clock import VirtualClock
from towpath.kernel.kinds import Kind
from towpath.kernel.operations import Request
from towpath.kernel.ports import Filter, Query
from towpath.kernel.principals import PLATFORM
from towpath.kernel.resource import Resource, Uid
from towpath.pipelines.model import StepRow, StepStatus
from towpath.store import SqliteStore, SqlTransaction, migrations, queries
from towpath.store.sqlite import _engine

BARGE = Kind(
    noun="Barge",
    arn_type="barge",
    name_member="BargeName",
    arn_member="BargeArn",
    indexed=lambda resource: {name: resource.spec.get(name) for name in ("Colour", "Canal", "Tons")},
)

COLOURS = st.sampled_from(["red", "blue", "Blue"])
CANALS = st.sampled_from(["Leeds", "Oxford"])
TONS = st.integers(0, 3)
BARGES = st.lists(
    st.fixed_dictionaries(
        {"later_s": st.sampled_from([0, 1])}, optional={"Colour": COLOURS, "Canal": CANALS, "Tons": TONS}
    ),
    max_size=12,
)
FILTERS = st.lists(
    st.one_of(
        st.builds(Filter, st.just("Colour"), st.sampled_from(["=", "contains", "begins"]), COLOURS),
        st.builds(Filter, st.just("Canal"), st.just("="), CANALS),
        st.builds(Filter, st.just("Tons"), st.sampled_from(["=", ">", "<=", "<", ">="]), TONS),
        st.builds(Filter, st.just("name"), st.sampled_from(["contains", "="]), st.sampled_from(["1", "b1", "B"])),
    ),
    max_size=4,
).map(tuple)

HOLDS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda value, wanted: value == wanted,
    "contains": lambda value, wanted: wanted.lower() in value.lower(),
    "begins": lambda value, wanted: value.startswith(wanted),
    ">": lambda value, wanted: value > wanted,
    "<": lambda value, wanted: value < wanted,
    ">=": lambda value, wanted: value >= wanted,
    "<=": lambda value, wanted: value <= wanted,
}


def make(store: SqliteStore, name: str, spec: dict[str, Any]) -> Resource:
    asked = Request(operation="CreateBarge", input={"BargeName": name, **spec}, caller=PLATFORM)
    return store.write(lambda transaction: generic.create(transaction, BARGE, asked))


def pages(store: SqliteStore, query: Query) -> list[str]:
    page = store.read(lambda transaction: transaction.resources.query(query))
    assert len(page.items) <= query.limit
    found = [item.name for item in page.items]
    return found if page.token is None else found + pages(store, replace(query, token=page.token))


def meets(barge: Resource, condition: Filter) -> bool:
    value = barge.name if condition.member == "name" else barge.spec.get(condition.member)
    return value is not None and HOLDS[condition.operator](value, condition.value)


@settings(max_examples=40)
@given(
    barges=BARGES,
    filters=FILTERS,
    sort_by=st.sampled_from(["created_at", "name", "Tons", "Colour"]),
    descending=st.booleans(),
    limit=st.integers(1, 5),
)
def test_pages_hold_what_meets_every_condition_in_order(
    tmp_path_factory: pytest.TempPathFactory,
    barges: list[dict[str, Any]],
    filters: tuple[Filter, ...],
    sort_by: str,
    descending: bool,
    limit: int,
) -> None:
    clock = VirtualClock()
    store = SqliteStore(tmp_path_factory.mktemp("queries") / "store.db", clock=clock)
    try:
        made = []
        for number, barge in enumerate(barges):
            clock.advance(barge["later_s"])
            made.append(make(store, f"b{number}", {name: barge[name] for name in barge if name != "later_s"}))
        wanted = [barge for barge in made if all(meets(barge, condition) for condition in filters)]
        if sort_by in {"Tons", "Colour"}:
            wanted = [barge for barge in wanted if sort_by in barge.spec]

        def place(barge: Resource) -> Any:
            value = barge.spec[sort_by] if sort_by in barge.spec else getattr(barge, sort_by)
            return value, made.index(barge)

        expected = [barge.name for barge in sorted(wanted, key=place, reverse=descending)]
        query = Query(kind="Barge", filters=filters, sort_by=sort_by, descending=descending, limit=limit)
        assert pages(store, query) == expected
    finally:
        store.close()


def test_the_newest_with_a_rare_value_is_found_without_a_look_at_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all on one canal the only red one is wanted: what is read does not grow with those of other colours."""
    monkeypatch.setattr(queries, "_COUNTED", 5)
    store = SqliteStore(tmp_path / "store.db")
    try:
        for number in range(20):
            make(store, f"b{number}", {"Canal": "Leeds", "Colour": "red" if number == 3 else "blue"})
        steps: list[int] = []

        def look(transaction: SqlTransaction) -> list[str]:
            driver: Any = transaction.connection.connection.dbapi_connection
            counted = 0

            def count() -> int:
                nonlocal counted
                counted += 1
                return 0

            driver.set_progress_handler(count, 1)
            try:
                query = Query(
                    kind="Barge", filters=(Filter("Canal", "=", "Leeds"), Filter("Colour", "=", "red")), limit=1
                )
                return [item.name for item in transaction.resources.query(query).items]
            finally:
                driver.set_progress_handler(None, 1)
                steps.append(counted)

        assert store.read(look) == ["b3"]
        for number in range(20, 300):
            make(store, f"b{number}", {"Canal": "Leeds", "Colour": "blue"})
        assert store.read(look) == ["b3"]
        assert steps[1] <= steps[0] + 5, "instructions of SQLite's machine, before and after there were 280 more"
    finally:
        store.close()


def test_members_of_an_older_schema_are_told_when_their_resources_were_created(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    clock = VirtualClock()
    store = SqliteStore(path, clock=clock)
    make(store, "older", {"Canal": "Leeds"})
    clock.advance(5)
    make(store, "newer", {"Canal": "Leeds"})
    store.close()
    engine = _engine(path)
    with engine.connect() as connection:
        for statement in (
            "DROP TABLE long_spec_text",
            "DROP TABLE long_text",
            "DROP TABLE long_spec",
            "DROP TABLE log_line",
            "ALTER TABLE work DROP COLUMN failing_since",
            "ALTER TABLE work DROP COLUMN fault",
            "DROP TABLE changed_child",
            "DROP INDEX step_position",
            "DROP INDEX resource_index_text",
            "ALTER TABLE resource_index DROP COLUMN created_at",
            "CREATE INDEX resource_index_text ON resource_index (kind, member, text, uid)",
            "DROP TABLE cached_step",
            "DROP TABLE metric_series",
            "DROP TABLE metric_datum",
            "DROP TABLE object_access",
            "UPDATE alembic_version SET version_num = '0002'",
        ):
            connection.execute(text(statement))
        connection.commit()
    engine.dispose()
    assert migrations.HEAD >= "0003"
    raised = SqliteStore(path, clock=clock)
    try:
        assert pages(raised, Query(kind="Barge", filters=(Filter("Canal", "=", "Leeds"),))) == ["newer", "older"]
    finally:
        raised.close()


@pytest.mark.parametrize("descending", [False, True])
def test_a_page_of_steps_is_read_without_the_others(tmp_path: Path, descending: bool) -> None:
    store = SqliteStore(tmp_path / "store.db")
    execution = Uid("e" * 32)
    rows = [StepRow(name=f"S{n}", status=StepStatus.SUCCEEDED, position=n) for n in range(250)]
    store.write(lambda transaction: transaction.steps.put(execution, rows))
    found: list[StepRow] = []

    def next_page(transaction: SqlTransaction) -> list[StepRow]:
        after = found[-1].position if found else None
        return transaction.steps.page(execution, after=after, limit=100, descending=descending)

    while page := store.read(next_page):
        found += page
    assert found == (rows[::-1] if descending else rows)
    order = "DESC" if descending else "ASC"
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        plan = connection.execute(
            "EXPLAIN QUERY PLAN SELECT data FROM step WHERE execution = ? AND position > 7 "
            f"ORDER BY position {order}, name {order} LIMIT 100",
            (execution,),
        ).fetchall()
    told = " ".join(str(row[-1]) for row in plan)
    assert "step_position" in told
    assert "TEMP B-TREE" not in told
    store.close()
