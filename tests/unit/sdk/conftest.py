"""A small project whose pipeline uses every step, and a server in this process that answers what a test tells it to."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from towpath.sdk import (
    Condition,
    CreateModel,
    Fail,
    Pipeline,
    Processing,
    Register,
    Training,
    dataset,
    join,
    parameter,
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("prepare.py", "train.py", "evaluate.py", "inference.py"):
        (tmp_path / name).write_text(f"print({name!r})\n")
    return tmp_path


@pytest.fixture
def pipeline(project: Path) -> Pipeline:
    limit = parameter("MinAccuracy", 0.60)
    model = parameter("Model", "bert", enum=["bert", "baseline"])
    prepare = Processing(
        "Prepare",
        script="prepare.py",
        inputs={"raw": dataset("reviews")},
        outputs=["train", "test"],
        arguments={"rows_per_class": 1000},
    )
    train = Training(
        "Train",
        script="train.py",
        include=["inference.py"],
        channels={"train": prepare.output("train")},
        hyperparameters={"model": model, "epochs": 2, "lr": 3e-4, "freeze": True, "version": "1"},
        metrics={"validation:accuracy": r"accuracy=([0-9.]+)"},
    )
    evaluate = Processing(
        "Evaluate",
        script="evaluate.py",
        inputs={"model": train.model, "test": prepare.output("test")},
        outputs=["evaluation"],
    )
    accuracy = evaluate.json("evaluation", "accuracy")
    register = Register("Register", group="reviews", model=train.model, metrics=evaluate.file("evaluation"))
    gate = Condition(
        "AccuracyGate",
        if_=[accuracy >= limit],
        then=[register, CreateModel("CreateModel", model=train.model)],
        otherwise=[Fail("TooLow", message=join("accuracy ", accuracy, " is below ", limit))],
    )
    return Pipeline("reviews", steps=[prepare, train, evaluate, gate], root=project)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request that was received."""

    method: str
    path: str
    headers: dict[str, str]  #: names in lower case
    body: bytes

    @property
    def operation(self) -> str:
        """The operation that a JSON request names."""
        return self.headers.get("x-amz-target", "")

    @property
    def document(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True, kw_only=True)
class Told:
    """An answer."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    close: bool = False  #: end the connection after it, without saying so beforehand


Script = Callable[[Asked], Told]


class Scripted:
    """The server's side of the conversation."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.asked: list[Asked] = []
        self.connections = 0
        self.closed = threading.Semaphore(0)  #: released for each connection that has ended
        self.url = ""

    @property
    def operations(self) -> list[str]:
        """The operations asked for so far, without their service."""
        return [asked.operation.rpartition(".")[2] for asked in self.asked if asked.operation]


@contextmanager
def _serving(script: Script) -> Iterator[Scripted]:
    """Serve `script` on a free port of this host."""
    scripted = Scripted(script)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            scripted.connections += 1

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(method=self.command, path=self.path, headers=headers, body=body)
            scripted.asked.append(asked)
            told = scripted.script(asked)
            self.send_response(told.status)
            for name, value in told.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(told.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(told.body)
            self.close_connection = told.close

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _answer

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    class Listener(ThreadingHTTPServer):
        def shutdown_request(self, request: Any) -> None:
            super().shutdown_request(request)
            scripted.closed.release()

    server = Listener(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01))
    thread.start()
    scripted.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield scripted
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def serve() -> Iterator[Callable[[Script], Scripted]]:
    """Return a function that starts a scripted server, which ends with the test."""
    with ExitStack() as stack:
        yield lambda script: stack.enter_context(_serving(script))


@pytest.fixture
def told() -> type[Told]:
    """Return the class of answers."""
    return Told
