"""SeaweedFS, an S3 server that is none of ours, on free ports of loopback; see `scripts/environments`."""

import json
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from tests.s3_server import s3_client

WEED = Path(__file__).parents[1] / ".venv-lanes" / "seaweedfs" / "bin" / "weed"
ACCESS_KEY, SECRET_KEY = "towpath", "seaweed-secret"
_STARTS_WITHIN_S = 60.0
_ENDS_WITHIN_S = 20.0
#: Each server that `weed server` starts listens on one of its own.
_PARTS = ("master", "volume", "filer", "s3")
_PORTS = tuple(f"{part}.{port}" for part in _PARTS for port in ("port", "port.grpc"))


@dataclass(frozen=True)
class SeaweedFS:
    """A running server."""

    url: str
    folder: Path
    process: "subprocess.Popen[bytes]"

    def client(self) -> Any:
        """Return a client that asks once."""
        return s3_client(self.url, ACCESS_KEY, SECRET_KEY)


@contextmanager
def seaweedfs(folder: Path) -> Iterator[SeaweedFS]:
    """Serve S3 with its data in `folder` until the block is left."""
    if not WEED.exists():
        pytest.skip(f"{WEED} is not there; scripts/environments lanes seaweedfs makes it")
    keys = {"credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}], "name": "admin", "actions": ["Admin"]}
    config = folder / "s3.json"
    config.write_text(json.dumps({"identities": [keys]}))
    data = folder / "data"
    data.mkdir()
    ports = dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True))
    # Paths of sockets have to be short.
    with tempfile.TemporaryDirectory(prefix="weed") as sockets, (folder / "log").open("wb") as log:
        arguments = {
            "dir": data,
            "ip": "127.0.0.1",
            "ip.bind": "127.0.0.1",
            "master.telemetry": "false",
            "master.volumeSizeLimitMB": 64,
            "volume.max": 1000,
            "filer": "true",
            "filer.localSocket": f"{sockets}/filer.sock",
            "s3": "true",
            "s3.config": config,
            "s3.localSocket": f"{sockets}/s3.sock",
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            **ports,
        }
        process = subprocess.Popen(
            [WEED, f"-logdir={folder}", "server", *(f"-{name}={value}" for name, value in arguments.items())],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            cwd=folder,
        )
        server = SeaweedFS(f"http://127.0.0.1:{ports['s3.port']}", folder, process)
        try:
            _wait(server)
            yield server
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_ENDS_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(_ENDS_WITHIN_S)


def _wait(server: SeaweedFS) -> None:
    """Wait until objects can be stored: the parts of the server find each other some time after they listen."""
    end = time.monotonic() + _STARTS_WITHIN_S
    pause = threading.Event()
    while True:
        assert server.process.poll() is None, (server.folder / "log").read_text()[-3000:]
        assert time.monotonic() < end, (
            f"no S3 within {_STARTS_WITHIN_S:g} s\n{(server.folder / 'log').read_text()[-3000:]}"
        )
        try:
            with urlopen(f"{server.url}/healthz", timeout=5) as answer:
                if answer.status == 200 and _stores(server):
                    return
        except (URLError, OSError):
            pass
        pause.wait(0.1)


def _stores(server: SeaweedFS) -> bool:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        client = server.client()
        client.create_bucket(Bucket="ready")
        client.put_object(Bucket="ready", Key="k", Body=b"x")
    except (ClientError, BotoCoreError):
        return False
    return True


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]
