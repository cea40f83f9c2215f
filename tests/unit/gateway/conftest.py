"""A front door on a real store in a temporary folder, asked in process."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.experiments import EXPERIMENT, create_experiment, explode

from towpath.callers import Role
from towpath.gateway import Gateway, KeyRing, ServiceModels
from towpath.gateway.gateway import Application, Message
from towpath.kernel import generic
from towpath.kernel.arns import Home
from towpath.kernel.errors import Invalid
from towpath.kernel.operations import Operation, Request
from towpath.kernel.ports import Store, Transaction
from towpath.kernel.principals import AccessKey
from towpath.kernel.resource import Document
from towpath.store import SqliteStore

HOME = Home("123456789012", "us-east-1")
ADA = AccessKey(
    principal="ada",
    access_key="AKIAADA",
    secret_key="ada/secret+key",
    created_at=datetime.now(UTC),
    roles=frozenset({Role.ADMINISTRATOR}),
)
MODELS = ServiceModels()


def refuse(_: Transaction, __: Request) -> Document:
    """Refuse."""
    raise Invalid("Cannot do that.")


OPERATIONS = {
    operation.name: operation
    for operation in (
        Operation(name="CreateExperiment", function=create_experiment),
        Operation(name="DescribeModel", function=explode, writes=False),
        Operation(name="DeleteModel", function=refuse),
        *generic.operations_of(EXPERIMENT),
        *generic.TAG_OPERATIONS,
    )
}


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with_store = SqliteStore(tmp_path_factory.mktemp("store") / "towpath.db", home=HOME)
    yield with_store
    with_store.close()


@pytest.fixture
def make_gateway(store: Store) -> Callable[..., Gateway]:
    """Return a function that makes a gateway, with other ports where they are given."""

    def make(**ports: Any) -> Gateway:
        given = {
            "store": store,
            "operations": OPERATIONS,
            "keys": KeyRing(lambda: [ADA]),
            "home": HOME,
            "home_id": "home-1",
            "models": MODELS,
        }
        return Gateway(**{**given, **ports})

    return make


@pytest.fixture
def gateway(make_gateway: Callable[..., Gateway]) -> Gateway:
    return make_gateway()


@dataclass
class Answer:
    """What came back."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    pieces: list[bytes] = field(default_factory=list)  #: of the body, as they were sent
    finished: bool = False


@pytest.fixture
def ada() -> AccessKey:
    return ADA


@pytest.fixture(name="ask")
def _ask() -> Callable[..., Answer]:
    return ask


def ask(
    app: Application,
    method: str,
    path: str,
    headers: dict[str, str] | None = None,
    *parts: bytes,
    client: str = "127.0.0.1",
) -> Answer:
    """Return what an ASGI application answers to a request whose body comes in `parts`, from the address `client`."""
    raw_path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": raw_path,
        "raw_path": raw_path.encode("latin-1"),
        "query_string": query.encode("latin-1"),
        "client": (client, 50_000),
        "server": ("127.0.0.1", 7400),
        "headers": [(n.encode("latin-1"), v.encode("latin-1")) for n, v in (headers or {}).items()],
    }
    incoming: list[Message] = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    incoming.append({"type": "http.request", "body": b"", "more_body": False})
    answer = Answer()

    async def receive() -> Message:
        return incoming.pop(0) if incoming else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {n.decode(): v.decode() for n, v in message["headers"]}
        else:
            answer.pieces.append(message.get("body", b""))
            answer.body += answer.pieces[-1]
            answer.finished = not message.get("more_body", False)

    asyncio.run(app(scope, receive, send))
    return answer
