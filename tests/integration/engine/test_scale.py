"""What the engine asks of the store for a step does not grow with the steps, and is built by SQLAlchemy for none."""

import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from towpath.app import Platform
from towpath.store import SqliteStore
from towpath.testing.many_steps import ROLE, ask, at_work, jobs

pytestmark = pytest.mark.slow

FEW, MANY = 60, 360  #: links of a chain
MOST_STATEMENTS = 66  #: for a link, reads and commits included; nine for values of metrics that it is the first to have
MOST_TRANSACTIONS = 1.5  #: for a link
MOST_BUILT = 0.1  #: for a link: what begins and ends an execution may


@dataclass(kw_only=True)
class Counted:
    """What a store was asked."""

    statements: float = 0
    transactions: float = 0  #: that write
    built: float = 0  #: statements that SQLAlchemy put together

    def since(self, before: "Counted", *, of: int) -> "Counted":
        """Return what was asked since then, for each of so many steps."""
        return Counted(
            statements=(self.statements - before.statements) / of,
            transactions=(self.transactions - before.transactions) / of,
            built=(self.built - before.built) / of,
        )


def counting(store: SqliteStore) -> Counted:
    """Return what counts all that a store is asked from now on."""
    counted = Counted()

    def asked(statement: str) -> None:
        counted.statements += 1
        counted.transactions += statement == "BEGIN IMMEDIATE"

    def built(*_: Any) -> None:
        counted.built += 1

    def trace(connection: Any, *_: Any) -> None:
        connection.set_trace_callback(asked)

    event.listen(store._engine, "before_cursor_execute", built)
    event.listen(store._engine, "checkout", trace)
    # The writer has had its connection from the beginning.
    store.write(lambda transaction: trace(transaction.connection.connection.dbapi_connection))
    return counted


def run(platform: Platform, name: str, count: int) -> None:
    """Run a chain of jobs to its end, without asking the store for how it stands."""
    ask(platform, "CreatePipeline", PipelineName=name, PipelineDefinition=jobs(count), RoleArn=ROLE)
    arn = ask(platform, "StartPipelineExecution", PipelineName=name, ClientRequestToken="x" * 32)
    pause = threading.Event()
    while True:
        pause.wait(0.1)  # seldom enough that what it asks is not seen in what a step asks
        found = platform.store.read(lambda transaction: transaction.resources.by_arn(arn["PipelineExecutionArn"]))
        assert found is not None
        if found.status != "Executing":
            assert found.status == "Succeeded", found.state
            return


def test_a_step_among_many_asks_the_store_for_no_more_than_one_among_few(tmp_path: Path) -> None:
    with at_work(tmp_path) as engine:
        run(engine, "first", 5)  # statements are built when they are run for the first time
        counted = counting(engine.store)
        asked: dict[int, Counted] = {}
        for count in (FEW, MANY):
            before = replace(counted)
            run(engine, f"of-{count}", count)
            asked[count] = counted.since(before, of=count)
        few, many = asked[FEW], asked[MANY]
        assert many.statements <= few.statements
        assert many.statements <= MOST_STATEMENTS
        assert many.transactions <= MOST_TRANSACTIONS
        assert many.built <= MOST_BUILT
