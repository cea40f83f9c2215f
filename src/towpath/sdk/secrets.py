"""Secrets by name: what stands for one in a job's variables, and setting them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from towpath.sdk.errors import DefinitionError

if TYPE_CHECKING:
    from towpath.sdk.client import Client

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,127}")


def secret(name: str) -> str:
    """Return what stands for a secret in the `environment` of a step; only the job itself finds its value there.

    It may be a part of the variable's text: `f"postgres://reader:{secret('DB_PASSWORD')}@db/reviews"`.

    Raises:
        DefinitionError: it is no name of a secret.
    """
    if not _NAME.fullmatch(name):
        raise DefinitionError(f"{name!r} is no name of a secret; expected letters, digits, '_', '.' and '-'")
    return f"{{{{secrets.{name}}}}}"


@dataclass(frozen=True, kw_only=True)
class SecretEntry:
    """A secret, without its value."""

    name: str
    changed_at: float  #: seconds since 1970


class Secrets:
    """The secrets of a server. Their values cannot be read back."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def set(self, name: str, value: str) -> None:
        """Set a secret, or replace its value; jobs that run keep the value they have.

        Raises:
            DefinitionError: it is no name of a secret.
        """
        secret(name)
        self._client.call("Towpath.PutJobSecret", {"Name": name, "Value": value})

    def ls(self) -> list[SecretEntry]:
        """Return all secrets by name."""
        found = self._client.call("Towpath.ListJobSecrets")["Secrets"]
        return [SecretEntry(name=item["Name"], changed_at=float(item["LastModifiedTime"])) for item in found]

    def rm(self, name: str) -> None:
        """Remove a secret.

        Raises:
            NotFound: there is none of that name.
        """
        secret(name)
        self._client.call("Towpath.DeleteJobSecret", {"Name": name})
