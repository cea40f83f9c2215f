"""`towpath keys`: who may call this server, and with which keys."""

from __future__ import annotations

from typing import Annotated

import typer

from towpath.callers import Role
from towpath.cli.console import say, show_json, show_table, when
from towpath.cli.options import HomeOption, JsonOption, connect

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Make, list and remove access keys of users.")


@app.command()
def create(
    user: Annotated[str, typer.Argument(help="Whose key it is; made where there is no user of that name.")],
    role: Annotated[
        list[Role] | None, typer.Option("--role", help="What the user may do; repeatable. A new one needs it.")
    ] = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Make an access key for a user, and print it this once.

    What is done with it stands under the user's name in the record of events.

    Example: towpath keys create ada --role data-scientist
    """
    key = connect(home).keys.create(user, roles=role or ())
    if as_json:
        shown = {"UserName": key.user, "AccessKeyId": key.access_key, "SecretAccessKey": key.secret_key}
        show_json({**shown, "BearerToken": key.token})
        return
    say(f"AWS_ACCESS_KEY_ID={key.access_key}")
    say(f"AWS_SECRET_ACCESS_KEY={key.secret_key}")
    say(f"TOWPATH_TOKEN={key.token}")


@app.command("roles")
def set_roles(
    user: Annotated[str, typer.Argument(help="Whose roles they are, as `towpath keys ls` shows them.")],
    roles: Annotated[list[Role], typer.Argument(help="All that the user is to have.")],
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Set what a user may do.

    That counts at once, for all keys and sessions of that user.

    Example: towpath keys roles ada ml-engineer approver
    """
    given = sorted(set(roles))
    connect(home).keys.set_roles(user, given)
    if as_json:
        show_json({"UserName": user, "Roles": given})
    else:
        say(f"{user} is now {' and '.join(given)}.")


@app.command()
def ls(as_json: JsonOption = False, home: HomeOption = None) -> None:
    """List the keys of all users, and what these may do.

    Secret keys are not shown.

    Example: towpath keys ls
    """
    found = connect(home).keys.ls()
    if as_json:
        show_json(
            [
                {
                    "UserName": key.user,
                    "AccessKeyId": key.access_key,
                    "Status": "Active" if key.active else "Inactive",
                    "CreateDate": key.created_at,
                    "Roles": key.roles,
                }
                for key in found
            ]
        )
        return
    rows = [
        (
            key.user,
            ", ".join(key.roles) or "none",
            key.access_key,
            "Active" if key.active else "Inactive",
            when(key.created_at),
        )
        for key in found
    ]
    show_table(("user", "roles", "access key", "state", "created"), rows)


@app.command()
def rm(
    access_key: Annotated[str, typer.Argument(help="The access key, as `towpath keys ls` shows it.")],
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Remove a key. It is refused from then on; its user goes with the last one.

    Example: towpath keys rm TPAK0123456789ABCDEF
    """
    removed = connect(home).keys.rm(access_key)
    if as_json:
        show_json({"UserName": removed.user, "AccessKeyId": removed.access_key})
    else:
        say(f"The key {removed.access_key} of {removed.user} is removed.")
