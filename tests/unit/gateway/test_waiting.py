"""Requests that wait for something to happen: they hold no thread, and end in time."""

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from towpath.gateway import Gateway, Limits, application
from towpath.gateway.errors import Protocol, older_code, wire_error
from towpath.gateway.gateway import Message
from towpath.gateway.news import News
from towpath.gateway.protocols.json import render_error
from towpath.kernel.errors import NotFound, TowpathError
from towpath.kernel.operations import NotYet, Operation, Request
from towpath.kernel.principals import AccessKey
from towpath.kernel.resource import Document


class Box:
    """What ReceiveMessage is asked of: it answers once something was put in."""

    def __init__(self) -> None:
        self.looks = 0
        self.body: str | None = None
        self.patience_s = 30.0
        self.again_s: float | None = None
        self.filled_at: int | None = None  #: the look that finds something without any news of it
        self.refuses: TowpathError | None = None

    def receive(self, _: Any, request: Request) -> Document:
        self.looks += 1
        if self.looks == self.filled_at:
            self.body = "found"
        if self.refuses is not None:
            raise self.refuses
        if self.body is None:
            raise NotYet(answer={}, kind="QueueMessage", patience_s=self.patience_s, again_s=self.again_s)
        return {"Messages": [{"Body": self.body}]}


class Waiting:
    """A front door with a box behind it, and requests to it that can be left alone."""

    def __init__(self, make_gateway: Callable[..., Gateway], ada: AccessKey, **ports: Any) -> None:
        self._authorization = f"Bearer {ada.token}"
        self.box = Box()
        self.news = News()
        table = {"ReceiveMessage": Operation(name="ReceiveMessage", function=self.box.receive)}
        self._app = application(make_gateway(services={"sqs": table}, news=self.news, **ports))

    async def ask(self, gone: asyncio.Event | None = None) -> tuple[int, Document]:
        """Return status and answer of a request; its client goes away when `gone` is set."""
        body = json.dumps({"QueueUrl": "http://x/123456789012/q", "WaitTimeSeconds": 20}).encode()
        head = {"x-amz-target": "AmazonSQS.ReceiveMessage", "authorization": self._authorization}
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/",
            "raw_path": b"/",
            "query_string": b"",
            "client": ("127.0.0.1", 50_000),
            "server": ("127.0.0.1", 7400),
            "headers": [(name.encode(), value.encode()) for name, value in head.items()],
        }
        incoming: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        status, answered = 0, b""

        async def receive() -> Message:
            if incoming:
                return incoming.pop()
            await (gone or asyncio.Event()).wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            nonlocal status, answered
            status = message.get("status", status)
            answered += message.get("body", b"")

        await self._app(scope, receive, send)
        return status, json.loads(answered) if answered else {}

    async def begun(self) -> "asyncio.Task[tuple[int, Document]]":
        """Return a request that waits."""
        task = asyncio.ensure_future(self.ask())
        while not self.news.count and not task.done():
            await asyncio.sleep(0)
        return task


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(story, 20))


def test_a_request_is_answered_when_there_is_news(make_gateway: Callable[..., Gateway], ada: AccessKey) -> None:
    async def story() -> None:
        door = Waiting(make_gateway, ada)
        task = await door.begun()
        door.news.tell("Other")
        door.box.body = "hello"
        # As the store does it: from a thread of its own.
        threading.Thread(target=door.news.tell, args=("QueueMessage",)).start()
        assert await task == (200, {"Messages": [{"Body": "hello"}]})
        assert door.news.count == 0

    run(story())


def test_more_requests_may_wait_than_there_are_threads(make_gateway: Callable[..., Gateway], ada: AccessKey) -> None:
    async def story() -> None:
        door = Waiting(make_gateway, ada, limits=Limits(threads=2))
        tasks = [asyncio.ensure_future(door.ask()) for _ in range(50)]
        while door.news.count < 50:
            await asyncio.sleep(0.001)
        door.box.body = "for all"
        door.news.tell("QueueMessage")
        assert {status for status, _ in await asyncio.gather(*tasks)} == {200}

    run(story())


def test_a_request_looks_again_when_it_is_time_and_gives_up_in_time(
    make_gateway: Callable[..., Gateway], ada: AccessKey
) -> None:
    async def story() -> None:
        door = Waiting(make_gateway, ada)
        door.box.again_s, door.box.filled_at = 0.01, 5
        assert await door.ask() == (200, {"Messages": [{"Body": "found"}]})
        assert door.box.looks == 5
        door.box.body, door.box.patience_s = None, 0.05
        assert await door.ask() == (200, {})

    run(story())


def test_nobody_waits_when_the_server_ends_or_too_many_do(make_gateway: Callable[..., Gateway], ada: AccessKey) -> None:
    async def story() -> None:
        door = Waiting(make_gateway, ada, limits=Limits(waiting=1))
        task = await door.begun()
        assert await door.ask() == (200, {}), "one waits already"
        door.news.close()
        assert await task == (200, {})
        assert await door.ask() == (200, {})

    run(story())


def test_nothing_is_done_for_a_client_that_went_away(make_gateway: Callable[..., Gateway], ada: AccessKey) -> None:
    async def story() -> None:
        door = Waiting(make_gateway, ada)
        gone = asyncio.Event()
        task = asyncio.ensure_future(door.ask(gone))
        while not door.news.count:
            await asyncio.sleep(0)
        looks = door.box.looks
        gone.set()
        assert await task == (0, {})
        door.news.tell("QueueMessage")
        await asyncio.sleep(0.01)
        assert door.box.looks <= looks + 1 and door.news.count == 0

    run(story())


def test_an_error_of_a_later_look_is_told_by_its_older_code_too(
    make_gateway: Callable[..., Gateway], ada: AccessKey
) -> None:
    async def story() -> None:
        door = Waiting(make_gateway, ada)
        task = await door.begun()
        door.box.refuses = NotFound("It was deleted.", code="QueueDoesNotExist")
        door.news.tell("QueueMessage")
        assert await task == (400, {"__type": "QueueDoesNotExist", "message": "It was deleted."})

    run(story())


def test_what_an_older_client_looks_for_is_told_of_services_that_had_another_protocol() -> None:
    error = wire_error(NotFound("none", code="QueueDoesNotExist"), Protocol.JSON)
    assert older_code("sqs", error) == "AWS.SimpleQueueService.NonExistentQueue"
    assert older_code("sagemaker", error) is None
    headers = render_error(error, "r", older_code=older_code("sqs", error)).headers
    assert headers["x-amzn-query-error"] == "AWS.SimpleQueueService.NonExistentQueue;Sender"
    assert "x-amzn-query-error" not in render_error(error, "r").headers
