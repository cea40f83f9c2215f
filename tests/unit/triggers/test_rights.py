"""With whose rights a rule starts executions: those of whoever wrote it, and it is no way around an approval."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.callers import Role
from towpath.identity.rights import APPROVE, allowed
from towpath.kernel.decisions import Decision
from towpath.kernel.operations import Operation, Request
from towpath.kernel.ports import Query
from towpath.kernel.principals import Caller
from towpath.kernel.resource import Document, Resource
from towpath.pipelines.rights import starter_roles, written_by
from towpath.store import SqliteStore
from towpath.triggers.deliveries import DeliveryController, Start, deliver
from towpath.triggers.kinds import DELIVERY, RULE
from towpath.triggers.model import Target
from towpath.triggers.rules import put_rule

PIPELINE = "arn:aws:sagemaker:us-east-1:000000000000:pipeline/reviews"
EVENT = {"detail-type": "x", "source": "aws.sagemaker", "time": "2026-11-29T08:00:00Z", "resources": [], "detail": {}}
ADMIN = Caller("root", roles=frozenset({Role.ADMINISTRATOR}))
ADA = Caller("ada", roles=frozenset({Role.DATA_SCIENTIST}))


@given(st.lists(st.frozensets(st.sampled_from(Role)), min_size=1))
def test_a_rule_approves_only_where_everybody_who_wrote_it_may(writers: list[frozenset[Role]]) -> None:
    spec: Document = {"State": "ENABLED"}
    for roles in writers:
        spec = written_by(spec, roles)
    everybody = all(allowed(roles, "sagemaker", APPROVE) for roles in writers)
    assert allowed(starter_roles(spec), "sagemaker", APPROVE) == everybody


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "store.db")
    yield opened
    opened.close()


def started_with(store: SqliteStore, *writers: Caller) -> frozenset[Role]:
    """Return the roles with which a rule that these have written starts an execution."""
    asked: dict[str, Any] = {"Name": "nightly", "EventPattern": json.dumps({"source": ["aws.sagemaker"]})}
    for writer in writers:
        request = Request(operation="PutRule", input=asked, caller=writer)
        store.write(partial(put_rule, request=request))
    found: list[Caller] = []

    def start(_: Any, request: Request) -> Document:
        found.append(request.caller)
        return {"PipelineExecutionArn": f"{PIPELINE}/execution/e"}

    def pass_on(transaction: Any) -> Resource:
        rule = transaction.resources.find(RULE.noun, "nightly")
        deliver(transaction, rule, Target(arn=PIPELINE), EVENT)
        (delivery,) = transaction.resources.query(Query(kind=DELIVERY.noun)).items
        return cast(Resource, delivery)

    delivery = store.write(pass_on)
    operations = {"StartPipelineExecution": Operation(name="StartPipelineExecution", function=start)}
    controller = DeliveryController(operations, lambda *_: pytest.fail("nothing is sent"), wake=lambda _: None)
    store.write(lambda transaction: controller.apply(transaction, delivery, Decision(facts=(Start(),))))
    (caller,) = found
    return caller.roles


def test_an_execution_is_started_with_the_roles_of_whoever_wrote_the_rule(store: SqliteStore) -> None:
    assert started_with(store, ADA) == ADA.roles


def test_an_administrators_rule_has_every_right_until_somebody_else_writes_it(store: SqliteStore) -> None:
    assert started_with(store, ADMIN) == ADMIN.roles


def test_what_a_data_scientist_wrote_is_not_raised_by_an_administrator(store: SqliteStore) -> None:
    assert started_with(store, ADMIN, ADA, ADMIN) == ADA.roles
