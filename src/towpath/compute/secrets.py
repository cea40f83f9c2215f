"""Keeps secrets in one file of the home that only its owner can read."""

import os
import threading
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import msgspec

from towpath.jobs.ports import SecretEntry
from towpath.kernel.errors import Unavailable, noticing_full_disk
from towpath.runner.folder import sync_folder, write_all


class _Kept(msgspec.Struct, frozen=True):
    value: str
    changed_at: datetime


_file = msgspec.json.Decoder(dict[str, _Kept])


class SecretFile:
    """Implements `jobs.ports.SecretStore`. The file is not encrypted: whoever is its owner or root can read it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def put(self, name: str, value: str, *, at: datetime) -> None:
        """Set a secret, or replace its value."""
        with self._lock:
            kept = self._read()
            if name not in kept or kept[name].value != value:
                with noticing_full_disk():
                    self._write({**kept, name: _Kept(value, at)})

    def remove(self, name: str) -> bool:
        """Remove a secret; return whether there was one."""
        with self._lock:
            kept = self._read()
            if name in kept:
                with noticing_full_disk():
                    self._write({other: item for other, item in kept.items() if other != name})
            return name in kept

    def entries(self) -> list[SecretEntry]:
        """Return all secrets without their values, by name."""
        return [SecretEntry(name=name, changed_at=item.changed_at) for name, item in sorted(self._read().items())]

    def values(self, names: Iterable[str]) -> dict[str, str]:
        """Return the values of those that are set."""
        wanted = set(names)
        if not wanted:
            return {}
        return {name: item.value for name, item in self._read().items() if name in wanted}

    def _read(self) -> dict[str, _Kept]:
        try:
            return _file.decode(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except msgspec.DecodeError as error:
            # Without its detail, which could quote a value.
            raise Unavailable(f"{self._path} is damaged; restore it, or remove it and set the secrets anew") from error

    def _write(self, kept: dict[str, _Kept]) -> None:
        fresh = self._path.with_name(f"{self._path.name}.new")
        fresh.unlink(missing_ok=True)  # one that a crash left may be readable by others
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            write_all(descriptor, msgspec.json.encode(kept))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        fresh.replace(self._path)
        sync_folder(self._path.parent)
