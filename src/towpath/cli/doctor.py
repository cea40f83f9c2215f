"""`towpath doctor`: what this host can do for jobs, and whether the home is in order."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import typer

from towpath.cli.checks import OK, WRONG, Check, home_checks, host_checks, running_checks, settings_checks
from towpath.cli.console import show_json, show_table
from towpath.cli.options import HomeOption, JsonOption, folder
from towpath.home import HomeFolder


def doctor(as_json: JsonOption = False, home: HomeOption = None) -> None:
    """Try what this host can do, and whether the home is in order.

    Exits 1 where something is wrong.

    Example: towpath doctor
    """
    found = list(checks(folder(home)))
    wrong = any(check.state == WRONG for check in found)
    if as_json:
        shown = [{"Name": check.name, "State": check.state, "Detail": check.detail} for check in found]
        show_json({"Ok": not wrong, "Checks": shown})
    else:
        show_table(("check", "state", "what was found"), [(each.name, each.state, each.detail) for each in found])
    if wrong:
        raise typer.Exit(1)


def checks(home: HomeFolder) -> Iterator[Check]:
    """Look at one thing after the other."""
    yield Check(name="python", state=OK, detail=f"{sys.version.split()[0]}, {sys.executable}")
    yield from home_checks(home)
    if home.path.is_dir():
        yield from running_checks(home)
    settings, told = settings_checks(home)
    yield from told
    yield from host_checks(home, settings)
