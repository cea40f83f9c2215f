"""What the way through the front door adds to an invocation, beside asking the model server itself."""

import socket
import tempfile
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

from measuring import Row, alternate, home_with_server, wall_ms

from towpath import Client, Pipeline, Register, Training
from towpath.compute.process import ProcessBackend

TRAIN = """
import os, pathlib, shutil
code = pathlib.Path(os.environ["SM_MODEL_DIR"], "code")
code.mkdir()
shutil.copy("inference.py", code)
"""
INFERENCE = """
def model_fn(folder):
    return None

def predict_fn(data, model):
    return data
"""


class UnixConnection(HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        """Connect to the path."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


def invocations(repeat: int) -> Iterator[Row]:
    """Measure an echo model through the front door and directly."""
    with tempfile.TemporaryDirectory(prefix="towpath-bench-") as scratch, home_with_server() as (home, _):
        project = Path(scratch)
        (project / "train.py").write_text(TRAIN)
        (project / "inference.py").write_text(INFERENCE)
        train = Training("Train", script="train.py", include=["inference.py"])
        client = Client(home=home)
        pipeline = Pipeline(
            "bench", steps=[train, Register("Register", group="bench", model=train.model)], root=project
        )
        client.run(pipeline).wait(timeout_s=120)
        client.approve("bench/1", note="for the benchmark")
        client.deploy("bench/1", endpoint="bench")
        backend = ProcessBackend(home / "jobs", home=home)
        (serving,) = [job for job in backend.live() if job.serves]
        direct = UnixConnection(backend.address(serving.key))

        def ask_directly() -> None:
            direct.request("POST", "/invocations", b"[1, 2, 3]", {"Content-Type": "application/json"})
            if direct.getresponse().read() != b"[1, 2, 3]":
                raise RuntimeError("the model server does not echo")

        def ask() -> None:
            client.invoke("bench", b"[1, 2, 3]", content_type="application/json")

        ask_directly()
        ask()
        floor, through = alternate(50 * repeat, lambda: wall_ms(ask_directly), lambda: wall_ms(ask))
    yield Row(
        what="invocation through the front door",
        measured=through,
        floor=floor,
        unit="ms",
        floor_is="the model server itself",
        target="hop 0.5 ms",
        beside=f"the hop: {through - floor:.2f} ms",
    )
