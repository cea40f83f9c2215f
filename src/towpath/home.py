"""Where a home is, which files it has, and how a client finds its server. Standard library only: the client uses it."""

import contextlib
import fcntl
import json
import os
import shlex
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

FOLDER = ".towpath"
_FLOCK = "hhqqi"  #: struct flock: type, whence, start, length, pid
_PROJECT_MARKS = (".git", "pyproject.toml", "pipeline.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server, as it tells of itself in `HOME/server.json`."""

    url: str  #: for example "http://127.0.0.1:7400"
    pid: int
    started_at: float  #: epoch seconds
    version: str
    home: str
    ca: str = ""  #: PEM file that its certificate is checked by; empty: without TLS, or what the system trusts
    region: str = ""  #: of the home, as its settings and its environment said; empty: an earlier release told none
    moved_from: str = ""  #: address of the server before, where that was another one

    @property
    def moved(self) -> str:
        """What to tell whoever knows the address of the server before, empty where it is the same."""
        if not self.moved_from:
            return ""
        return (
            f"It answered at {self.moved_from} before. Whatever was told that address needs the new one: shells "
            '(eval "$(towpath env)"), TOWPATH_ENDPOINT, clients of AWS.'
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """The administrator's keys, in `HOME/credentials` (mode 0600)."""

    principal: str
    access_key: str
    secret_key: str
    token: str


@dataclass(frozen=True, slots=True)
class HomeFolder:
    """The files of a home."""

    path: Path

    @property
    def option(self) -> str:
        """What a command typed here needs to mean this home: nothing where it is found anyway."""
        return "" if find_home().path == self.path else f" --home {shlex.quote(str(self.path))}"

    @property
    def lock(self) -> Path:
        return self.path / "lock"

    @property
    def server_file(self) -> Path:
        return self.path / "server.json"

    @property
    def address_file(self) -> Path:
        """Where the last server answered; kept when it has ended."""
        return self.path / "address"

    @property
    def credentials_file(self) -> Path:
        return self.path / "credentials"

    @property
    def settings_file(self) -> Path:
        return self.path / "towpath.toml"

    @property
    def database(self) -> Path:
        return self.path / "towpath.db"

    @property
    def objects(self) -> Path:
        return self.path / "objects"

    @property
    def jobs(self) -> Path:
        return self.path / "jobs"

    @property
    def reserve(self) -> Path:
        """What is given back when the disk is full, see `store.reserve`."""
        return self.path / "reserve"

    @property
    def secrets(self) -> Path:
        return self.path / "secrets.json"

    @property
    def clients(self) -> Path:
        """What `towpath env` writes for AWS clients."""
        return self.path / "clients"

    @property
    def layers(self) -> Path:
        return self.path / "layers"

    @property
    def server_log(self) -> Path:
        return self.path / "server.log"

    def server(self) -> Server | None:
        """Return what the last server wrote about itself; it may be gone. None when there was none."""
        try:
            return Server(**json.loads(self.server_file.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None

    def last_address(self) -> str:
        """Return where the last server answered, empty when there was none."""
        try:
            return self.address_file.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return ""

    def holder(self) -> int | None:
        """Return the process id of the server that holds the home, None when nobody does."""
        try:
            lock = os.open(self.lock, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            answer = fcntl.fcntl(lock, fcntl.F_OFD_GETLK, struct.pack(_FLOCK, fcntl.F_WRLCK, 0, 0, 0, 0))
            if struct.unpack(_FLOCK, answer)[0] == fcntl.F_UNLCK:
                return None
            text = os.pread(lock, 32, 0).decode().strip()
            return int(text) if text.isdigit() else None
        finally:
            os.close(lock)

    def make(self) -> None:
        """Make the folder as needed, and let nobody but its owner read what lies in it, whatever the umask was.

        The database holds every key, and jobs print what they like. A folder that was there already may be one that
        others work in, so the parts are closed and not the folder itself.
        """
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        for folder in (self.objects, self.jobs, self.layers, self.path / "run"):
            _close(folder, 0o700)
        for file in (self.database, *self.path.glob(f"{self.database.name}-*"), self.server_log, self.reserve):
            _close(file, 0o600)

    def open_server_log(self) -> BinaryIO:
        """Open the log of a server in the background for appending."""
        return os.fdopen(os.open(self.server_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "ab")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the home: one process at a time uses it.

        Raises:
            BlockingIOError: another process holds it.
            OSError: the folder cannot be made or written.
        """
        self.make()
        lock = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # Locks of open file descriptions can be asked about without being taken, so that a client's question
            # never keeps a server from starting. Source: Linux manual page fcntl_locking(2).
            fcntl.fcntl(lock, fcntl.F_OFD_SETLK, struct.pack(_FLOCK, fcntl.F_WRLCK, 0, 0, 0, 0))
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            os.close(lock)

    def running_server(self) -> Server | None:
        """Return the server that holds the home now, None when there is none."""
        pid, server = self.holder(), self.server()
        return server if server is not None and server.pid == pid else None

    def where_to_look(self, address: str) -> str:
        """Return what to do where no server answers at an address: the home's may have another one by now."""
        server = None
        with contextlib.suppress(ValueError, TypeError):  # a half-written file of a foreign hand says no more than none
            server = self.running_server()
        if server is None or server.url.rstrip("/") == address.rstrip("/"):
            return f"start one: towpath up --background{self.option}"
        return f"the server of {self.path} answers at {server.url} now: name that address, or unset TOWPATH_ENDPOINT"

    def credentials(self) -> Credentials | None:
        """Return the administrator's keys, None before the first start."""
        try:
            return Credentials(**json.loads(self.credentials_file.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None

    def unwritable(self) -> Path | None:
        """Return the first of the home's files and folders that a server writes and this process may not, else None."""
        store = [self.database.with_name(self.database.name + end) for end in ("", "-wal", "-shm")]
        written = (self.path, *store, self.objects, self.objects / "started", self.objects / "blobs", self.jobs)
        return next((path for path in written if path.exists() and not _may_write(path)), None)

    def write_server(self, server: Server) -> None:
        """Write `server.json` whole or not at all, and the address for those who start after it."""
        _write(self.address_file, server.url, 0o600)
        _write(self.server_file, json.dumps(asdict(server), indent=1), 0o644)

    def write_credentials(self, credentials: Credentials) -> None:
        """Write `credentials`, readable by the owner alone."""
        _write(self.credentials_file, json.dumps(asdict(credentials), indent=1), 0o600)


def find_home(start: Path | None = None) -> HomeFolder:
    """Return the home to use: `TOWPATH_HOME`, else `.towpath` of the project around `start`, else `~/.towpath`.

    The project is the nearest folder from `start` (default: the working folder) upwards that has a `.towpath` folder,
    else the nearest that has `.git`, `pyproject.toml` or `pipeline.py`. The folder need not exist yet.
    """
    named = os.environ.get("TOWPATH_HOME")
    if named:
        return HomeFolder(Path(named).expanduser().absolute())
    here = (start or Path.cwd()).absolute()
    folders = [here, *here.parents]
    for folder in folders:
        if folder != Path.home() and (folder / FOLDER).is_dir():
            return HomeFolder(folder / FOLDER)
    for folder in folders:
        if folder != Path.home() and any((folder / mark).exists() for mark in _PROJECT_MARKS):
            return HomeFolder(folder / FOLDER)
    return HomeFolder(Path.home() / FOLDER)


def _close(path: Path, mode: int) -> None:
    """Take rights away that go beyond `mode`; what is not there needs nothing."""
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_mode & 0o777 & ~mode:
            path.chmod(mode)


def _may_write(path: Path) -> bool:
    return os.access(path, os.W_OK | os.X_OK if path.is_dir() else os.W_OK, effective_ids=True)


def _write(path: Path, text: str, mode: int) -> None:
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
