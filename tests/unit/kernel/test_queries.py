"""All of a query is read, page by page."""

from datetime import UTC, datetime
from pathlib import Path

from towpath.kernel.arns import Home
from towpath.kernel.clock import VirtualClock
from towpath.kernel.ports import Filter, Query
from towpath.kernel.queries import every, every_in
from towpath.kernel.resource import Resource, Uid
from towpath.store import SqliteStore, SqlTransaction

AT = datetime(2026, 1, 1, tzinfo=UTC)


def thing(number: int) -> Resource:
    return Resource(
        uid=Uid(f"uid-{number}"),
        account="000000000000",
        region="us-east-1",
        kind="Thing",
        name=f"thing-{number}",
        arn=f"arn:thing/{number}",
        spec={},
        status="Odd" if number % 2 else "Even",
        created_at=AT,
        created_by="ada",
        modified_at=AT,
    )


def test_a_query_is_read_to_its_end_each_resource_once(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db", home=Home("000000000000", "us-east-1"), clock=VirtualClock())

    def fill(transaction: SqlTransaction) -> None:
        for number in range(7):
            transaction.resources.insert(thing(number))

    store.write(fill)
    for limit in (1, 2, 3, 7, 100):
        things = Query(kind="Thing", limit=limit)
        found = [resource.name for resource in every(store, things)]
        assert sorted(found) == [f"thing-{number}" for number in range(7)]
        within = store.read(lambda transaction, things=things: list(every_in(transaction, things)))  # type: ignore[misc]
        assert [resource.name for resource in within] == found
        even = Query(kind="Thing", filters=(Filter("status", "=", "Even"),), limit=limit)
        assert sorted(resource.name for resource in every(store, even)) == ["thing-0", "thing-2", "thing-4", "thing-6"]
    assert list(every(store, Query(kind="Nothing"))) == []
    store.close()
