"""What a user pays before anything happens: the import of the client, the start of a server, its shortest answer."""

import json
import os
import statistics
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from measuring import PASS, Row, alternate, platform, python, resident_mb, started, wall_ms

#: The least that answers HTTP with the same server library: it writes its port when it is ready.
BARE_SERVER = """
import asyncio, os, sys, uvicorn
async def app(scope, receive, send):
    if scope["method"] == "POST":
        while (await receive()).get("more_body"):
            pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})
server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
async def main():
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.001)
    port = server.servers[0].sockets[0].getsockname()[1]
    os.write(int(sys.argv[1]), str(port).encode())
    await serving
asyncio.run(main())
"""
BARE = [sys.executable, "-c", BARE_SERVER, "{fd}"]


def client(repeat: int) -> Iterator[Row]:
    """Measure what a user's script pays for importing the client."""
    floor, bare, imported = alternate(
        repeat,
        python("pass"),
        python("import towpath", sys.executable),
        python("from towpath import Client, Pipeline, Training", sys.executable),
    )
    yield Row(what="import towpath", measured=bare, floor=floor, unit="ms", floor_is=PASS, target="under 150 ms")
    yield Row(
        what="import all of the client", measured=imported, floor=floor, unit="ms", floor_is=PASS, target="under 150 ms"
    )


def server(repeat: int) -> Iterator[Row]:
    """Measure how soon a server answers, what memory it holds then, and how long its shortest answer takes."""
    memory: dict[str, list[float]] = {"bare": [], "ours": []}

    def measure(name: str, command: list[str], environment: dict[str, str]) -> float:
        with started(command, environment) as running:
            memory[name].append(resident_mb(running.pid))
        return running.ready_ms

    with tempfile.TemporaryDirectory(prefix="towpath-bench-") as scratch:
        home = Path(scratch, "home")
        command, environment = platform(home)
        measure("ours", command, environment)  # the first start makes the home
        floor, ours = alternate(
            max(3, repeat // 3),
            lambda: measure("bare", BARE, dict(os.environ)),
            lambda: measure("ours", command, environment),
        )
        with started(BARE, dict(os.environ)) as least, started(command, environment):
            url = json.loads((home / "server.json").read_text())["url"]
            least_ms, health_ms = alternate(100, get(f"http://127.0.0.1:{least.told}/health"), get(f"{url}/health"))
    floor_is = "uvicorn with an app of three lines"
    yield Row(what="server ready, home exists", measured=ours, floor=floor, unit="ms", floor_is=floor_is, target="1 s")
    held = {name: statistics.median(each) for name, each in memory.items()}
    yield Row(
        what="server, memory", measured=held["ours"], floor=held["bare"], unit="MB", floor_is=floor_is, target="120 MB"
    )
    yield Row(what="GET /health, new connection", measured=health_ms, floor=least_ms, unit="ms", floor_is=floor_is)


def get(url: str) -> Callable[[], float]:
    """Return an action that measures one GET over a new connection."""
    return lambda: wall_ms(lambda: urllib.request.urlopen(url).read())
