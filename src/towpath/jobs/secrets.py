"""Secrets by name: how a request names them, and the operations that set, list and remove them.

A value goes from the one who sets it into the store and from there to the jobs that name it, and never into a document,
an event or an answer.
"""

import re
from collections.abc import Iterable

from towpath.jobs.ports import SecretStore
from towpath.kernel.errors import Invalid, NotFound
from towpath.kernel.events import Event
from towpath.kernel.operations import Operation, Request
from towpath.kernel.ports import Transaction
from towpath.kernel.resource import Document

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,127}")
REFERENCE = re.compile(r"\{\{\s*secrets\.([A-Za-z_][A-Za-z0-9_.-]*)\s*\}\}")
#: Begins the names of what stands for keys of the job's own; see `towpath.identity.job_keys`.
SESSION = "towpath."
SHORTEST = 8  #: characters of a value; shorter ones cannot be kept out of logs without making gaps everywhere
LONGEST = 4096


def named_in(values: Iterable[str]) -> tuple[str, ...]:
    """Return the secrets that these values of variables name as `{{secrets.NAME}}`, each once."""
    return tuple(sorted({name for value in values for name in REFERENCE.findall(value)}))


def session_reference(what: str) -> str:
    """Return what names a part of the job's own keys in a variable: `access-key`, `secret-key` or `session-token`."""
    return f"{{{{secrets.{SESSION}{what}}}}}"


class Secrets:
    """The operations on secrets."""

    def __init__(self, store: SecretStore) -> None:
        self._store = store

    def put(self, transaction: Transaction, request: Request) -> Document:
        """Carry out PutJobSecret."""
        name, value = request.input["Name"], request.input["Value"]
        _check(name, value)
        self._store.put(name, value, at=transaction.now)
        _record(transaction, request, name)
        return {"Name": name}

    def list(self, transaction: Transaction, request: Request) -> Document:
        """Carry out ListJobSecrets."""
        found = self._store.entries()
        return {"Secrets": [{"Name": item.name, "LastModifiedTime": item.changed_at.timestamp()} for item in found]}

    def delete(self, transaction: Transaction, request: Request) -> Document:
        """Carry out DeleteJobSecret."""
        name = request.input["Name"]
        if not self._store.remove(name):
            raise NotFound(f"There is no secret {name!r}.", code="ResourceNotFound")
        _record(transaction, request, name)
        return {}

    def operations(self) -> "tuple[Operation, ...]":
        """Return every operation on secrets."""
        return (
            Operation(name="PutJobSecret", function=self.put),
            Operation(name="ListJobSecrets", function=self.list, writes=False),
            Operation(name="DeleteJobSecret", function=self.delete),
        )


def _check(name: str, value: str) -> None:
    """Raise Invalid when a secret cannot be kept; the message never holds the value."""
    if not NAME.fullmatch(name):
        raise Invalid(
            f"{name!r} is no name of a secret: expected letters, digits, '_', '.' and '-', a letter or '_' first, "
            "at most 128"
        )
    if name.startswith(SESSION):
        raise Invalid(f"{name!r} is no name of a secret: those that begin with {SESSION!r} are keys of the jobs' own")
    if len(value.strip()) < SHORTEST or len(value) > LONGEST:
        raise Invalid(
            f"The value of secret {name!r} has {len(value)} characters; expected {SHORTEST} to {LONGEST}, since a "
            "shorter one cannot be kept out of logs"
        )
    if "\0" in value:
        raise Invalid(f"The value of secret {name!r} holds a NUL character, which no variable can")


def _record(transaction: Transaction, request: Request, name: str) -> None:
    transaction.events.append(
        Event(
            type=request.operation,
            subject=None,
            principal=request.caller.principal,
            at=transaction.now,
            detail={"request_id": request.caller.request_id, "Name": name},
        )
    )
