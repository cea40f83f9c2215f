"""The life of a server process: its lock on the home, its port, its signals, and what it leaves behind."""

import gc
import os
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType

import uvicorn

from towpath import __version__
from towpath.app import Platform
from towpath.exposure import address_of, check_keys, check_transport
from towpath.home import HomeFolder, Server
from towpath.kernel.errors import Conflict, Invalid, noticing_full_disk
from towpath.settings import Settings
from towpath.tls import check_trust, client_context, server_context

PORTS_TRIED = 100  #: from the configured port upwards
SECOND_SIGNAL_S = 5.0  #: how long a second Ctrl-C can still stop jobs and endpoints too


@contextmanager
def held(home: HomeFolder) -> Iterator[None]:
    """Hold the home: one process at a time uses it.

    Raises:
        Conflict: another process holds it; says which.
        Invalid: the folder, or what lies in it, cannot be made or written; says what.
        DiskFull: there is no room for the note of who holds it.
    """
    with ExitStack() as stack:
        try:
            with noticing_full_disk():
                stack.enter_context(home.held())
        except BlockingIOError as error:
            server = home.server()
            where = f" at {server.url}" if server else ""
            raise Conflict(
                f"The home {home.path} is in use by process {home.holder()}{where}. "
                "Use that server, end it with `towpath down`, or choose another home with --home."
            ) from error
        except OSError as error:
            raise Invalid(
                f"The home {home.path} cannot be used: {error.strerror}. Choose another with --home or TOWPATH_HOME."
            ) from error
        # Before anything is opened: SQLite would leave files beside a store that it may only read.
        unwritable = home.unwritable()
        if unwritable is not None:
            raise Invalid(
                f"The home {home.path} cannot be used: user {os.geteuid()} may not write {unwritable}. Give it to the "
                "user who runs the server, or choose another home with --home or TOWPATH_HOME."
            )
        yield


def bind(host: str, port: int, *, exactly: bool) -> socket.socket:
    """Return a listening socket on `port`, or unless `exactly` on the next free one.

    Raises:
        Invalid: no port could be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    last: OSError | None = None
    for candidate in [port] if exactly or port == 0 else range(port, min(port + PORTS_TRIED, 65536)):
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, candidate))
            listener.listen(512)
            return listener
        except OSError as error:
            listener.close()
            last = error
    raise Invalid(f"Port {port} on {host} cannot be used: {last}. Choose another with --port.") from last


class _HttpServer(uvicorn.Server):
    """Uvicorn with our signals: the first one ends the server, a second one its jobs and endpoints too."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None], on_end: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready
        self._on_end = on_end
        self.ended_by: int | None = None
        self.twice = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._on_end()  # requests that wait for something to happen are answered, and hold nothing up
        await super().shutdown(sockets=sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)
        yield  # the handlers stay: a second signal may come while the platform closes

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if self.ended_by is None:
            self.ended_by = number
            self.should_exit = True
        else:
            self.twice.set()


def run(home: HomeFolder, settings: Settings, *, port: int | None, on_ready: Callable[[Server], None]) -> None:
    """Serve the home until a signal ends it.

    Args:
        port: exactly this port; None: the configured one or the next free one.
        on_ready: called once requests are answered.
    Raises:
        Conflict: another process uses the home.
        Invalid: the home, the port or a setting cannot be used.
        DiskFull: there is no room for what a server writes when it starts.
    """
    check_transport(settings)
    # The address that a certificate is for names a port, so no other one will do.
    exactly = port is not None or bool(settings.url)
    with ExitStack() as stack:
        stack.enter_context(held(home))
        stack.enter_context(noticing_full_disk())
        listener = bind(settings.host, settings.port if port is None else port, exactly=exactly)
        stack.callback(listener.close)
        address = listener.getsockname()
        url = address_of(settings, address[0], address[1])
        tls, ca = secured(home, settings, url)
        before = home.last_address()
        server = Server(
            url=url,
            pid=os.getpid(),
            started_at=time.time(),
            version=__version__,
            home=str(home.path),
            ca=str(ca or ""),
            region=settings.region,
            moved_from=before if before != url and not exactly and settings.port else "",
        )
        platform = Platform.open(home, settings, url=server.url)
        try:
            check_keys(settings, platform.keys(), own=platform.gateway.own_key)
        except Invalid:
            platform.close()
            raise

        def ready() -> None:
            home.write_server(server)
            on_ready(server)

        http = _HttpServer(
            uvicorn.Config(
                platform.application,
                http="httptools",
                loop="uvloop",
                lifespan="on",
                access_log=False,
                log_config=None,
                server_header=False,
                proxy_headers=False,  # what a proxy says is heeded in one place, `gateway.exchange`
                timeout_graceful_shutdown=10,
            ),
            ready,
            platform.gateway.news.close,
        )
        http.config.load()
        http.config.ssl = tls
        # What is loaded by now stays; looking through all of it again and again is a twentieth of what a step costs.
        gc.collect()
        gc.freeze()
        platform.start()
        try:
            http.run(sockets=[listener])
        finally:
            _end(platform, http)
            home.server_file.unlink(missing_ok=True)


def secured(home: HomeFolder, settings: Settings, url: str) -> tuple[ssl.SSLContext | None, Path | None]:
    """Return what a server needs to speak TLS, and the file that its clients check it by; None where it speaks none.

    Raises:
        Invalid: a file is missing or wrong, or clients at `url` would refuse the certificate.
    """
    if not settings.tls_certificate:
        return None, None
    context = server_context(home.path / settings.tls_certificate, home.path / settings.tls_key)
    ca = home.path / settings.tls_ca if settings.tls_ca else None
    check_trust(context, client_context(ca), url)
    return context, ca


def _end(platform: Platform, http: _HttpServer) -> None:
    """Close the platform; say what goes on running, and stop that too when asked a second time."""
    live = platform.live()
    if live and http.ended_by == signal.SIGINT and sys.stderr.isatty():
        print(
            f"\nStopped. Still running, and adopted at the next start: {', '.join(live)}.\n"
            f"Press Ctrl-C again within {SECOND_SIGNAL_S:g} s to stop them too (later: towpath down --all).",
            file=sys.stderr,
            flush=True,
        )
        http.twice.wait(SECOND_SIGNAL_S)
    elif live:
        print(f"Stopped. Still running, and adopted at the next start: {', '.join(live)}.", file=sys.stderr)
    platform.close()
    if http.twice.is_set():
        platform.stop_everything()
        print("Jobs and endpoints are stopped too.", file=sys.stderr)
