"""`towpath up` and `towpath down`: start a server, find one, end one."""

import logging
import os
import select
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from towpath.home import HomeFolder, Server, find_home
from towpath.sdk.errors import NoServer

logger = logging.getLogger(__name__)

START_S = 60.0  #: how long a background server may take to answer
POLL_S = 0.05  #: between two looks at a server that somebody else starts
STOP_S = 60.0  #: how long a server may take to end
SILENT_S = 3.0  #: after so long somebody who waits is told what for
_READY = b"ready\n"  #: what a server says to whoever started it; else it says why it could not start
_LONGEST_REASON = 4096  #: bytes; as much is written to a pipe at once

HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home", help="Folder of the platform's data. Default: TOWPATH_HOME, .towpath of the project, ~/.towpath."
    ),
]


def folder(home: Path | None) -> HomeFolder:
    """Return the home that a command's --home option means."""
    return find_home() if home is None else HomeFolder(home.expanduser().absolute())


def up(
    home: HomeOption = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Exactly this port; 0: any free one. Default: 7400 or the next free one."),
    ] = None,
    background: Annotated[bool, typer.Option("--background", "-b", help="Start it and return.")] = False,
    ready_fd: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Run the server in the foreground until Ctrl-C.

    Jobs and endpoints outlive it; the next server takes them over.

    Example: towpath up --home ~/towpath --port 7400
    """
    where = folder(home)
    if background:
        server = ensure_server(where, port=port)
        typer.echo(f"Towpath answers at {server.url} (home {server.home}).\nEnd it with: towpath down{where.option}")
        if server.moved:
            typer.echo(server.moved, err=True)
        return
    _serve(where, port, ready_fd)


def _serve(home: HomeFolder, port: int | None, ready_fd: int | None) -> None:
    # The server's packages are imported here: no other command needs them.
    from towpath import settings
    from towpath.app import configure_logging
    from towpath.kernel.errors import TowpathError
    from towpath.server import run
    from towpath.variables import misspelt

    def on_ready(server: Server) -> None:
        if ready_fd is not None:
            os.write(ready_fd, _READY)
            os.close(ready_fd)
        typer.echo(
            f"Towpath {server.version} answers at {server.url}\n"
            f"  home         {server.home}\n"
            f"  credentials  {home.credentials_file}\n"
            f'  AWS clients  eval "$(towpath env{home.option})"\n'
            "Press Ctrl-C to stop; jobs and endpoints go on and are adopted at the next start."
        )
        if server.moved:
            typer.echo(server.moved, err=True)

    try:
        loaded = settings.load(home.settings_file)
        configure_logging(loaded)
        for told in misspelt(os.environ):
            logger.warning("%s", told)
        run(home, loaded, port=port, on_ready=on_ready)
    except TowpathError as error:
        if ready_fd is not None:
            os.write(ready_fd, str(error).encode())
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error


def down(
    home: HomeOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Stop jobs and endpoints too.")] = False,
) -> None:
    """End the server; with --all its jobs and endpoints too.

    Example: towpath down --all
    """
    where = folder(home)
    if stop_server(where):
        typer.echo(f"The server of {where.path} has ended.")
    else:
        typer.echo(f"No server is running for {where.path}.")
    if not where.path.is_dir():
        return
    # The server's packages: no command that only asks a server needs them.
    from towpath import settings
    from towpath.app import running_without_server, stop_everything
    from towpath.kernel.errors import Invalid
    from towpath.server import held

    if everything:
        try:
            known = settings.load(where.settings_file)
        except Invalid as error:  # what runs is ended all the same: that needs none of them
            typer.echo(f"Warning: {error.message}", err=True)
            known = settings.Settings()
        with held(where):
            stopped = stop_everything(where, known, say=partial(typer.echo, err=True))
        told = f"Stopped {len(stopped)} running job(s) and model server(s)." if stopped else "Nothing else was running."
        typer.echo(told)
        return
    running = running_without_server(where)
    if running:
        typer.echo(
            f"Still running, and adopted at the next start: {', '.join(running)}.\n"
            f"End them too: towpath down --all{where.option}"
        )


def ensure_server(home: HomeFolder, *, port: int | None = None) -> Server:
    """Return the home's running server, started in the background when there was none.

    What the environment holds that a server would not heed is told on standard error.

    Raises:
        NoServer: it could not be started; says why, or holds the end of its log where that is not known.
    """
    try:
        server = home.running_server()
        if server is not None:
            return server
        home.make()
        log = home.open_server_log()
    except OSError as error:
        raise NoServer(
            f"The home {home.path} cannot be used: {error.strerror}. Choose another with --home or TOWPATH_HOME."
        ) from error
    _tell_misspelt()
    reader, writer = os.pipe()
    command = [sys.executable, "-m", "towpath", "up", "--home", str(home.path), "--ready-fd", str(writer)]
    if port is not None:
        command += ["--port", str(port)]
    start = log.tell()
    with log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(writer,),
            start_new_session=True,
            cwd="/",
        )
    os.close(writer)
    try:
        answered, _, _ = select.select([reader], [], [], START_S)
        said = os.read(reader, _LONGEST_REASON) if answered else b""
    finally:
        os.close(reader)
    started = home.running_server()
    if said != _READY or started is None:
        if process.poll() is None:
            process.terminate()
        other = _started_elsewhere(home)
        if other is not None:
            return other
        known = said.decode(errors="replace") if said != _READY else ""
        why = known or f"The end of {home.server_log}:\n{_tail(home.server_log, start)}"
        raise NoServer(f"The server did not start. {why}")
    process.returncode = 0  # it is meant to outlive us: no warning that it still runs
    return started


def _tell_misspelt() -> None:
    # Only whoever starts a server needs the settings, and waits for a second then.
    from towpath.variables import misspelt

    for told in misspelt(os.environ):
        typer.echo(f"Warning: {told}", err=True)


def _started_elsewhere(home: HomeFolder) -> Server | None:
    """Return the server that another command has begun to start on this home, once it answers; None without one."""
    give_up = time.monotonic() + START_S
    while home.holder() is not None and time.monotonic() < give_up:
        server = home.running_server()
        if server is not None:
            return server
        time.sleep(POLL_S)
    return None


def stop_server(home: HomeFolder) -> bool:
    """End the server that holds the home and wait until it is gone; False when there was none.

    Raises:
        NoServer: it did not end in time.
    """
    pid = home.holder()
    if pid is None:
        return False
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        signal.pidfd_send_signal(process, signal.SIGTERM)
        ended, _, _ = select.select([process], [], [], SILENT_S)
        if not ended:
            typer.echo(f"Waiting for the server (process {pid}) to finish what it has begun.", err=True)
            ended, _, _ = select.select([process], [], [], STOP_S - SILENT_S)
    finally:
        os.close(process)
    if not ended:
        raise NoServer(f"The server (process {pid}) did not end within {STOP_S:g} s. See {home.server_log}")
    return True


def _tail(path: Path, start: int, lines: int = 15) -> str:
    """Return the last lines of what was written to a text file from a byte on, empty when it is gone."""
    try:
        return "\n".join(path.read_bytes()[start:].decode(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""
