"""Users of a server and their access keys, by the operations of IAM."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from towpath.callers import ROLE_OF_POLICY, Role, bearer_token
from towpath.sdk.errors import Conflict, DefinitionError, NotFound

if TYPE_CHECKING:
    from xml.etree import ElementTree  # imported where it is used: few calls need it

    from towpath.sdk.client import Client

_VERSION = "2010-05-08"  #: of the IAM API


@dataclass(frozen=True, kw_only=True)
class KeyEntry:
    """An access key, without its secret."""

    user: str
    access_key: str
    active: bool
    created_at: float  #: seconds since 1970
    roles: tuple[Role, ...]  #: of its user


@dataclass(frozen=True, kw_only=True)
class NewKey:
    """An access key as it is told once, when it is made."""

    user: str
    access_key: str
    secret_key: str

    @property
    def token(self) -> str:
        """The bearer token that follows from it, for `TOWPATH_TOKEN`."""
        return bearer_token(self.access_key, self.secret_key)


class Keys:
    """The users of a server and their keys."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def create(self, user: str, *, roles: Collection[Role] = ()) -> NewKey:
        """Make another key for a user, who is made where there is none of that name.

        Args:
            roles: of a new user, who has to have one.
        Raises:
            DefinitionError: the user is new, and no role is given.
            Conflict: the user is there already, and has other roles.
        """
        try:
            if not roles:
                self._call("GetUser", UserName=user)
        except NotFound:
            listed = ", ".join(sorted(Role))
            raise DefinitionError(
                f"{user} is new here: say what {user} may do with --role, which is one of {listed}, or several"
            ) from None
        try:
            self._call("CreateUser", UserName=user)
        except Conflict:
            has = self.roles(user)
            if roles and set(has) != set(roles):
                raise Conflict(
                    "EntityAlreadyExists",
                    f"the user {user} is there already and has the roles {', '.join(has) or 'none'}; "
                    "change them: towpath keys roles",
                    status=409,
                ) from None
        else:
            if roles:
                self.set_roles(user, roles)
        (key,) = self._call("CreateAccessKey", UserName=user).iter("AccessKey")
        return NewKey(user=user, access_key=_text(key, "AccessKeyId"), secret_key=_text(key, "SecretAccessKey"))

    def roles(self, user: str) -> tuple[Role, ...]:
        """Return the roles of a user."""
        attached = self._call("ListAttachedUserPolicies", UserName=user).iter("PolicyArn")
        return tuple(sorted(ROLE_OF_POLICY[policy.text or ""] for policy in attached))

    def set_roles(self, user: str, roles: Collection[Role]) -> None:
        """Give a user these roles and no others; without any the user may do nothing.

        Raises:
            NotFound: there is no such user.
            Conflict: nobody would be left who may do everything.
        """
        has = self.roles(user)
        for role in sorted({*roles} - {*has}):
            self._call("AttachUserPolicy", UserName=user, PolicyArn=role.policy_arn)
        for role in sorted({*has} - {*roles}):
            self._call("DetachUserPolicy", UserName=user, PolicyArn=role.policy_arn)

    def ls(self) -> list[KeyEntry]:
        """Return the keys of all users, by user and time."""
        return [
            KeyEntry(
                user=_text(key, "UserName"),
                access_key=_text(key, "AccessKeyId"),
                active=_text(key, "Status") == "Active",
                created_at=datetime.fromisoformat(_text(key, "CreateDate")).timestamp(),
                roles=roles,
            )
            for user, roles in [(name, self.roles(name)) for name in self._users()]
            for key in self._call("ListAccessKeys", UserName=user).iter("member")
        ]

    def rm(self, access_key: str) -> KeyEntry:
        """Remove a key, and its user with the last one; return what it was.

        Raises:
            NotFound: there is none of that name.
        """
        found = [entry for entry in self.ls() if entry.access_key == access_key]
        if not found:
            raise NotFound("NoSuchEntity", f"there is no access key {access_key!r}; see: towpath keys ls", status=404)
        (entry,) = found
        self._call("DeleteAccessKey", UserName=entry.user, AccessKeyId=access_key)
        with contextlib.suppress(Conflict):  # has other keys
            self._call("DeleteUser", UserName=entry.user)
        return entry

    def _users(self) -> list[str]:
        found: list[str] = []
        marker: dict[str, str] = {}
        while True:
            page = self._call("ListUsers", **marker)
            found += [_text(user, "UserName") for user in page.iter("member") if user.find("UserName") is not None]
            if page.find(".//Marker") is None:
                return sorted(found)
            marker = {"Marker": _text(page, ".//Marker")}

    def _call(self, action: str, **members: str) -> ElementTree.Element:
        body = urlencode({"Action": action, "Version": _VERSION, **members}).encode()
        from xml.etree import ElementTree

        tree = ElementTree.fromstring(self._client.send_form(body))
        for element in tree.iter():
            element.tag = element.tag.rpartition("}")[2]
        return tree


def _text(element: ElementTree.Element, path: str) -> str:
    return element.findtext(path) or ""
