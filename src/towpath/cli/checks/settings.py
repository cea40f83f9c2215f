"""Which settings the server runs with, which it would start with, and where they differ."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from towpath.cli.checks.check import OK, WARNING, WRONG, Check
from towpath.home import HomeFolder

if TYPE_CHECKING:
    from towpath.settings import Settings

_NAME = "settings"


def settings_checks(home: HomeFolder) -> tuple[Settings, list[Check]]:
    """Return the settings that count, and what is to tell of them: a running server's, else the next one's."""
    # The server's packages are imported here: no other command needs them.
    from towpath import settings
    from towpath.kernel.errors import Invalid
    from towpath.sdk.errors import ClientError
    from towpath.variables import misspelt

    found: list[Check] = []
    begun_with = None
    try:
        begun_with = settings.load(home.settings_file)
    except Invalid as error:
        found.append(Check(name=_NAME, state=WRONG, detail=error.message))
    else:
        place = str(home.settings_file) if home.settings_file.exists() else "no file"
        found.append(Check(name=_NAME, state=OK, detail=f"{place}; {_changed(begun_with)}"))
    found += [Check(name="environment", state=WARNING, detail=told_of) for told_of in misspelt(os.environ)]
    try:
        told = _told(home)
    except ClientError as error:
        found.append(Check(name=_NAME, state=WARNING, detail=f"the server does not tell what it runs with: {error}"))
        told = None
    running, left_out = (None, []) if told is None else settings.from_shown(told)
    if told is not None:
        found += [_unreadable(name, told[name]) for name in left_out]
    if running is not None and begun_with is not None:
        found += _differences(running, begun_with, left_out)
    return running or begun_with or settings.Settings(), found


def _told(home: HomeFolder) -> dict[str, Any] | None:
    """Return the settings that the running server shows, as it shows them; None without one."""
    from towpath.sdk import Client

    if not home.path.is_dir() or home.running_server() is None:
        return None
    with Client(home=home.path) as client:
        told = client.call("Towpath.DescribeServer", {})["Settings"]
    return {each["Name"]: json.loads(each["Value"]) for each in told}


def _unreadable(name: str, value: Any) -> Check:
    told = f"the running server, of another release, has {name} {json.dumps(value)}, which this one does not know"
    return Check(name=_NAME, state=WARNING, detail=f"{told}; begin it anew: towpath down, then towpath up")


def _changed(settings: Settings) -> str:
    """Return which settings are not the defaults."""
    names = settings.differences(type(settings)())
    told = [f"{name} {_value(settings, name)}" for name in names]
    return f"{', '.join(told)}; the others are the defaults" if told else "all are the defaults"


def _differences(running: Settings, begun_with: Settings, left_out: list[str]) -> Iterator[Check]:
    for name in running.differences(begun_with):
        if name in left_out:
            continue
        told = f"the running server has {name} {_value(running, name)}, the next one gets {_value(begun_with, name)}"
        yield Check(name=_NAME, state=WARNING, detail=f"{told}; begin it anew: towpath down, then towpath up")


def _value(settings: Settings, name: str) -> str:
    return json.dumps(getattr(settings, name))
