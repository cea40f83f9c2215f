"""`towpath backup` and `towpath restore`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from towpath.cli.console import busy, say, show_json, size, when
from towpath.cli.options import HomeOption, JsonOption, folder


def backup(
    file: Annotated[Path, typer.Argument(help="The tar file to write; it must not exist.")],
    with_keys: Annotated[
        bool, typer.Option("--with-keys", help="Put the keys of all principals into it. Else new ones are made.")
    ] = False,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Write the home into one file, also while its server works.

    What was written is read back and checked, digest by digest.

    Example: towpath backup /backups/towpath-monday.tar
    """
    # The server's packages are imported here: no other command needs them.
    from towpath.backup import back_up

    with busy("Writing the backup"):
        done = back_up(folder(home), file.expanduser().absolute(), with_keys=with_keys)
    told = done.description
    if as_json:
        show_json(
            {
                "File": str(done.file),
                "Size": done.size,
                "Objects": told.objects,
                "ObjectBytes": told.object_bytes,
                "ObjectsLie": told.objects_lie,
            }
        )
        return
    checked = "every digest checked"
    if not told.has_bytes:
        checked = f"whose bytes are all in {told.objects_lie}, and stay there"
    say(f"{done.file}: {size(done.size)}, {told.objects} objects of {size(told.object_bytes)}, {checked}")
    if not with_keys:
        say("It holds no keys: the first start of a restored home makes new ones.")


def restore(
    file: Annotated[Path, typer.Argument(help="A file that `towpath backup` wrote.")],
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Make a home of a backup, in a new or empty folder.

    Example: towpath restore /backups/towpath-monday.tar --home ~/towpath
    """
    from towpath.backup import restore as restore_home

    where = folder(home)
    with busy("Restoring and checking"):
        done = restore_home(file.expanduser().absolute(), where)
    told = done.description
    if as_json:
        show_json({"Home": str(where.path), "Objects": told.objects, "CreationTime": told.created_at})
        return
    checked = "every digest checked" if told.has_bytes else f"their bytes in {told.objects_lie}"
    say(f"{where.path} is as the home was at {when(told.created_at)}: {told.objects} objects, {checked}")
    say(f"Start it: towpath up --home {where.path}")
