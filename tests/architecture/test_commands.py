"""Every command has its line in the documents, and no document names a command that is gone."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from towpath.cli.main import app

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def names_in(group: Any, *above: str) -> Iterator[str]:
    """Yield each command of a group as it is typed, groups themselves left out."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from names_in(command, *above, name)
        else:
            yield " ".join((*above, name))


NAMES = sorted(names_in(typer.main.get_command(app)))
GROUPS = {name.split()[0] for name in NAMES if " " in name}


def told() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in DOCUMENTS)


def test_groups_are_looked_into() -> None:
    assert {"up", "data get", "secrets set"} <= set(NAMES)
    assert {"data", "secrets"} <= GROUPS


@pytest.mark.parametrize("name", NAMES)
def test_every_command_is_in_the_documents(name: str) -> None:
    assert re.search(rf"towpath {name}(?![\w-])", told()), f"no document shows `towpath {name}`"


def test_no_document_names_a_command_that_is_gone() -> None:
    named = re.findall(r"(?:`|^(?:\$ )?)towpath ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?", told(), re.M)
    assert named
    words = {f"{first} {second}" if first in GROUPS and second else first for first, second in named}
    assert words <= {*NAMES, *GROUPS}
