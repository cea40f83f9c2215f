"""The store keeps what was committed, undoes what failed, and never gives a number or a lease twice."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import DatabaseError, OperationalError

from towpath.kernel import generic
from towpath.kernel.clock import VirtualClock
from towpath.kernel.errors import Conflict, DiskFull, Invalid, StaleRevision, Unavailable
from towpath.kernel.kinds import COMMON_FILTERS, COMMON_SORT, Kind
from towpath.kernel.operations import Request
from towpath.kernel.ports import Filter, Query
from towpath.kernel.principals import PLATFORM
from towpath.kernel.resource import Document, Resource, Uid
from towpath.store import SqliteStore, SqlTransaction, migrations
from towpath.store.sqlite import _engine
from towpath.store.tables import metadata
from towpath.store.work import Lease

Work = Callable[[SqlTransaction], object]

THING = Kind(
    noun="Thing",
    arn_type="thing",
    name_member="ThingName",
    arn_member="ThingArn",
    status_member="ThingStatus",
    describe="DescribeThing",
    listing="ListThings",
    list_member="Things",
    delete="DeleteThing",
    filters=COMMON_FILTERS,
    sort_by={**COMMON_SORT, "Weight": "Weight"},
    indexed=lambda resource: {"Weight": resource.spec.get("Weight"), "Colour": resource.spec.get("Colour")},
)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def store(tmp_path: Path, clock: VirtualClock) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "store.db", clock=clock)
    yield opened
    opened.close()


def ask(operation: str, **members: object) -> Request:
    return Request(operation=operation, input=dict(members), caller=PLATFORM)


def make(store: SqliteStore, name: str, parent: Uid | None = None, **members: object) -> Resource:
    request = Request(operation="CreateThing", input={"ThingName": name, **members}, caller=PLATFORM, parent=parent)
    return store.write(lambda transaction: generic.create(transaction, THING, request))


def names(store: SqliteStore, **members: object) -> list[str]:
    """Return the names that ListThings gives, all pages of it."""
    listing = generic.list_operation(THING).function

    def page(transaction: SqlTransaction, request: Request) -> Document:
        return listing(transaction, request)

    found: list[str] = []
    token: Document = {}
    while True:
        request = ask("ListThings", **members, **token)
        answer = store.read(partial(page, request=request))
        found += [thing["ThingName"] for thing in answer["Things"]]
        if "NextToken" not in answer:
            return found
        token = {"NextToken": answer["NextToken"]}


def test_what_was_written_is_read_back_after_a_restart(tmp_path: Path) -> None:
    first = SqliteStore(tmp_path / "s.db")
    made = make(first, "a", Weight=3, Nested={"list": [1, 2.5, None, "ü"]})
    first.close()
    second = SqliteStore(tmp_path / "s.db")
    try:
        assert second.read(lambda transaction: transaction.resources.find("Thing", "a")) == made
    finally:
        second.close()


def _waits_for_the_disk(transaction: SqlTransaction) -> bool:
    return bool(transaction.connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2)  # FULL


def test_what_was_noted_is_seen_and_told_like_all_that_was_written_but_does_not_wait_for_the_disk(
    tmp_path: Path,
) -> None:
    store = SqliteStore(tmp_path / "store.db")
    told: list[set[Uid]] = []
    store.on_commit(told.append)
    assert store.write(_waits_for_the_disk)
    assert not store.note(_waits_for_the_disk)
    store.note(lambda transaction: transaction.work.schedule(Uid("a"), transaction.now))
    assert store.read(lambda transaction: transaction.work.next_due()) is not None
    assert store.write(_waits_for_the_disk), "what is written after it waits for both"
    store.close()
    assert told == [{"a"}]
    again = SqliteStore(tmp_path / "store.db")
    assert again.read(lambda transaction: transaction.work.next_due()) is not None
    again.close()


def test_one_write_among_notes_makes_their_common_commit_wait_for_the_disk(store: SqliteStore) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def busy(_: SqlTransaction) -> None:
        entered.set()
        assert go_on.wait(60)

    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(store.note, busy)
        assert entered.wait(60)
        noted = pool.submit(store.note, _waits_for_the_disk)
        written = pool.submit(store.write, _waits_for_the_disk)
        while store._queue.qsize() < 2:
            pass
        go_on.set()
        assert written.result(60)
        assert noted.result(60)
        first.result(60)


def test_a_failing_function_undoes_itself_and_leaves_its_neighbours(store: SqliteStore) -> None:
    def fails(transaction: SqlTransaction) -> None:
        generic.create(transaction, THING, ask("CreateThing", ThingName="half"))
        raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose"):
        store.write(fails)
    make(store, "whole")
    assert names(store) == ["whole"]


def test_a_savepoint_undoes_only_what_was_written_inside(store: SqliteStore) -> None:
    def work(transaction: SqlTransaction) -> None:
        generic.create(transaction, THING, ask("CreateThing", ThingName="outer"))
        with pytest.raises(ValueError, match="inner"), transaction.nested():
            generic.create(transaction, THING, ask("CreateThing", ThingName="inner"))
            raise ValueError("inner")

    store.write(work)
    assert names(store) == ["outer"]


def test_a_name_is_unique_among_live_resources_and_free_again_after_deletion(store: SqliteStore) -> None:
    first = make(store, "a")
    with pytest.raises(Conflict, match="already exists"):
        make(store, "a")
    delete = generic.delete_operation(THING).function
    store.write(lambda transaction: delete(transaction, ask("DeleteThing", ThingName="a")))
    second = make(store, "a")
    assert second.uid != first.uid
    tombstone = store.read(lambda transaction: transaction.resources.get(first.uid))
    assert tombstone is not None
    assert not tombstone.is_live


def test_the_second_of_two_writers_is_told_to_decide_again(store: SqliteStore) -> None:
    made = make(store, "a")
    store.write(lambda transaction: transaction.resources.replace(made, status="One"))
    with pytest.raises(StaleRevision):
        store.write(lambda transaction: transaction.resources.replace(made, status="Two"))
    found = store.read(lambda transaction: transaction.resources.find("Thing", "a"))
    assert found is not None
    assert found.status == "One"


def test_a_change_of_status_makes_the_parent_due(store: SqliteStore, clock: VirtualClock) -> None:
    parent = make(store, "parent")
    child = make(store, "child", parent=parent.uid)
    store.write(lambda transaction: transaction.resources.replace(child, status="Done"))
    leases = store.write(lambda transaction: transaction.work.lease("me", clock.now(), 60, 10))
    assert [lease.uid for lease in leases] == [parent.uid]


def test_pages_hold_every_resource_once_whatever_the_order(store: SqliteStore, clock: VirtualClock) -> None:
    made = []
    for number in range(7):
        made.append(f"n{number}")
        make(store, f"n{number}", Weight=number % 3)
        if number % 2:
            clock.advance(1)
    for sort_by in ("Name", "CreationTime", "Weight"):
        for order in ("Ascending", "Descending"):
            found = names(store, SortBy=sort_by, SortOrder=order, MaxResults=2)
            assert sorted(found) == made, (sort_by, order)
    assert names(store, SortBy="Name", SortOrder="Ascending", MaxResults=3) == made


def test_filters_narrow_the_list(store: SqliteStore, clock: VirtualClock) -> None:
    make(store, "red-1", Colour="red", Weight=1)
    clock.advance(10)
    later = make(store, "blue-2", Colour="blue", Weight=2)
    assert names(store, NameContains="RED") == ["red-1"]
    assert names(store, CreationTimeAfter=later.created_at.timestamp()) == ["blue-2"]
    query = Query(kind="Thing", filters=(Filter("Colour", "=", "blue"), Filter("Weight", ">", 1)))
    page = store.read(lambda transaction: transaction.resources.query(query))
    assert [item.name for item in page.items] == ["blue-2"]


def test_a_made_up_token_is_refused(store: SqliteStore) -> None:
    with pytest.raises(Invalid, match="'nonsense' is not one that this server gave out"):
        names(store, NextToken="nonsense")


def test_numbers_are_never_given_twice_even_when_the_writer_fails(store: SqliteStore) -> None:
    given_out: list[int] = []

    def take() -> None:
        for _ in range(20):
            given_out.append(store.write(lambda transaction: transaction.resources.next_number("group")))

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(given_out) == list(range(1, 81))


def test_tags_are_set_changed_and_removed(store: SqliteStore) -> None:
    made = make(store, "a", Tags=[{"Key": "k", "Value": "1"}, {"Key": "other", "Value": "x"}])
    store.write(lambda transaction: transaction.resources.set_tags(made.uid, {"k": "2", "other": None}))
    assert store.read(lambda transaction: transaction.resources.tags(made.uid)) == {"k": "2"}


@settings(max_examples=30, deadline=None)
@given(
    steps=st.lists(st.tuples(st.sampled_from(["schedule", "lease", "back", "time"]), st.integers(0, 3)), max_size=30)
)
def test_work_is_held_by_one_and_never_forgotten(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    """Whatever the order of calls: no two live leases on one item, and what was scheduled comes up again in the end."""
    clock = VirtualClock()
    store = SqliteStore(tmp_path_factory.mktemp("work") / "s.db", clock=clock)
    held: dict[str, Lease] = {}
    wanted: set[str] = set()
    try:
        for action, number in steps:
            uid = Uid(f"item{number}")
            if action == "schedule":
                store.write(lambda transaction, uid=uid: transaction.work.schedule(uid, clock.now()))  # type: ignore[misc]
                wanted.add(uid)
            elif action == "lease":
                for lease in store.write(lambda transaction: transaction.work.lease("me", clock.now(), 60, 2)):
                    assert lease.uid not in held
                    held[lease.uid] = lease
                    wanted.discard(lease.uid)
            elif action == "back" and uid in held:
                lease = held.pop(uid)
                store.write(lambda transaction, lease=lease: transaction.work.give_back(lease, None))  # type: ignore[misc]
            else:
                clock.advance(number)
        for lease in held.values():
            store.write(lambda transaction, lease=lease: transaction.work.give_back(lease, None))  # type: ignore[misc]
        due = store.write(lambda transaction: transaction.work.lease("me", clock.now(), 60, 10))
        assert {lease.uid for lease in due} == wanted
    finally:
        store.close()


def test_a_turn_that_outlasts_its_lease_and_fails_is_put_off_as_any_other(
    store: SqliteStore, clock: VirtualClock
) -> None:
    def due() -> datetime | None:
        return store.read(lambda transaction: transaction.work.next_due())

    store.write(lambda transaction: transaction.work.schedule(Uid("a"), clock.now()))
    (lease,) = store.write(lambda transaction: transaction.work.lease("me", clock.now(), 60, 1))
    clock.advance(61)
    store.write(lambda transaction: transaction.work.expire(clock.now()))
    assert due() == clock.now()
    later = clock.now() + timedelta(seconds=30)
    store.write(lambda transaction: transaction.work.fail(lease, clock.now(), later, "the bucket does not answer"))
    assert due() == later


def test_a_lease_that_ran_out_is_refused_and_its_work_is_due_again(store: SqliteStore, clock: VirtualClock) -> None:
    uid = Uid("item")
    store.write(lambda transaction: transaction.work.schedule(uid, clock.now()))
    (old,) = store.write(lambda transaction: transaction.work.lease("gone", clock.now(), 60, 1))
    clock.advance(61)
    store.write(lambda transaction: transaction.work.expire(clock.now()))
    (new,) = store.write(lambda transaction: transaction.work.lease("me", clock.now(), 60, 1))
    assert new.token > old.token
    with pytest.raises(StaleRevision):
        store.write(lambda transaction: transaction.work.confirm(old))
    assert store.read(lambda transaction: transaction.work.next_due()) == clock.now() + timedelta(seconds=60)


def test_the_migrations_make_exactly_the_tables_of_this_release(tmp_path: Path) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    engine = _engine(tmp_path / "s.db")
    migrations.follow(engine)  # a new store is made of the very tables that it is compared with here
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    assert migrations.current(engine) == migrations.HEAD
    engine.dispose()


def test_a_store_of_a_newer_release_is_refused_unharmed(tmp_path: Path) -> None:
    import sqlite3

    path = tmp_path / "s.db"
    SqliteStore(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(Invalid, match="newer release"):
        SqliteStore(path)


def test_many_lineage_nodes_and_edges_stand_as_if_put_one_by_one(store: SqliteStore) -> None:
    nodes: list[tuple[str, str, Document]] = [(f"n{number}", "Artifact", {"size": number}) for number in range(1500)]
    again: list[tuple[str, str, Document]] = [
        ("n7", "Artifact", {"role": "data"}),
        ("new", "Job", {}),
        ("new", "Job", {"a": 1}),
    ]

    def work(transaction: SqlTransaction) -> None:
        transaction.lineage.put_nodes(nodes, transaction.now)
        transaction.lineage.put_nodes([*again, *nodes], transaction.now)
        transaction.lineage.put_nodes([], transaction.now)
        edges = [("new", f"n{number}", "Produced") for number in range(1500)]
        transaction.lineage.put_edges([*edges, *edges], transaction.now)
        transaction.lineage.put_edges([], transaction.now)
        assert transaction.lineage.node("n7") == ("Artifact", {"size": 7, "role": "data"})
        assert transaction.lineage.node("new") == ("Job", {"a": 1})
        assert len(transaction.lineage.edges_out_of("new")) == 1500
        assert transaction.lineage.edges_into("n7") == [("new", "Produced")]

    store.write(work)


def test_nothing_of_a_batch_is_kept_once_sqlite_has_undone_its_transaction(store: SqliteStore) -> None:
    """Where the disk is full, SQLite may undo the whole transaction, and not only the statement that found it full."""
    begun, go_on = threading.Event(), threading.Event()

    def hold(_: SqlTransaction) -> None:
        begun.set()
        assert go_on.wait(30)

    def put(name: str, transaction: SqlTransaction) -> bool:
        return transaction.objects.create_bucket(name, transaction.now)

    def fill(transaction: SqlTransaction) -> None:
        transaction.connection.connection.dbapi_connection.execute("ROLLBACK")  # type: ignore[union-attr]
        full = sqlite3.OperationalError("database or disk is full")
        full.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise OperationalError("INSERT", {}, full)

    with ThreadPoolExecutor() as threads:
        threads.submit(store.write, hold)
        assert begun.wait(30)
        batch = []
        for work in (partial(put, "before"), fill, partial(put, "after")):
            batch.append(threads.submit(store.write, work))
            while store._queue.qsize() < len(batch):
                pass  # so that they come in this order
        go_on.set()
        assert all(isinstance(done.exception(), Unavailable) for done in batch)
    assert store.read(lambda transaction: transaction.objects.buckets()) == []
    assert store.write(partial(put, "later"))


def test_a_database_that_cannot_grow_is_told_as_a_full_disk_and_goes_on_when_it_can(store: SqliteStore) -> None:
    def limit(pages: int, transaction: SqlTransaction) -> None:
        transaction.connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    def put(count: int, transaction: SqlTransaction) -> None:
        for number in range(count):
            transaction.objects.create_bucket(f"{number}-{'x' * 1000}", transaction.now)

    store.write(partial(limit, 1))  # the smallest that SQLite takes is what the file has now
    with pytest.raises(DiskFull, match="nothing was changed"):
        store.write(partial(put, 100))
    assert store.read(lambda transaction: transaction.objects.buckets()) == []
    store.write(partial(limit, 1 << 20))
    store.write(partial(put, 100))
    assert len(store.read(lambda transaction: transaction.objects.buckets())) == 100


def alone(store: SqliteStore, work: Work) -> BaseException | None:
    """Return what a write raises that has a transaction for itself."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(store.write, work).exception()


def in_a_batch(store: SqliteStore, work: Work) -> BaseException | None:
    """Return what a write raises that shares its transaction with another one."""
    begun, go_on = threading.Event(), threading.Event()

    def hold(_: SqlTransaction) -> None:
        begun.set()
        assert go_on.wait(30)

    with ThreadPoolExecutor() as threads:
        threads.submit(store.write, hold)
        assert begun.wait(30)
        ended = threads.submit(store.write, work)
        while store._queue.qsize() < 1:
            pass
        threads.submit(store.write, lambda transaction: None)
        while store._queue.qsize() < 2:
            pass
        go_on.set()
        return ended.exception()


@pytest.mark.parametrize("write", [alone, in_a_batch])
def test_only_what_is_wrong_with_disk_or_file_is_told_as_that(
    store: SqliteStore, write: Callable[[SqliteStore, Work], BaseException | None]
) -> None:
    def ask_nonsense(transaction: SqlTransaction) -> None:
        transaction.connection.exec_driver_sql("SELECT 1 FROM nowhere")

    def meet_a_broken_page(_: SqlTransaction) -> None:
        broken = sqlite3.DatabaseError("database disk image is malformed")
        broken.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise DatabaseError("INSERT", {}, broken)

    def fill_the_disk(transaction: SqlTransaction) -> None:
        pages = transaction.connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        transaction.connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        transaction.connection.exec_driver_sql("CREATE TABLE large AS SELECT zeroblob(1000000)")

    nonsense = write(store, ask_nonsense)
    assert isinstance(nonsense, OperationalError), "a fault of ours, and nothing that free disk space would mend"
    assert "nowhere" in str(nonsense)
    for work, says in ((meet_a_broken_page, "malformed"), (fill_the_disk, "full")):
        told = write(store, work)
        assert isinstance(told, Unavailable), told
        assert says in told.message


def test_a_write_that_meets_the_closing_of_the_store_always_ends(store: SqliteStore) -> None:
    queue, writer = store._queue, store._writer
    closing = threading.Thread(target=store.close)

    class ClosedMeanwhile:
        """A queue to which work comes late: the store begins to close right before."""

        def put(self, item: object) -> None:
            if item is not None:
                closing.start()
                writer.join(0.5)  # where closing does not wait for the work, the writer is gone by then
            queue.put(item)  # type: ignore[arg-type]

        def __getattr__(self, name: str) -> object:
            return getattr(queue, name)

    store._queue = ClosedMeanwhile()  # type: ignore[assignment]
    written: list[bool] = []
    put = partial(store.write, lambda transaction: transaction.objects.create_bucket("late", transaction.now))
    writing = threading.Thread(target=lambda: written.append(put()), daemon=True)
    writing.start()
    writing.join(60)
    assert written == [True], "nobody answers it any more"
    closing.join()
    with pytest.raises(Unavailable, match="closed"):
        store.write(lambda transaction: None)
