"""Every command has its line in the documents, and no document names a command that is gone."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

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


def shown_help(*arguments: str) -> str:
    found = CliRunner().invoke(app, [*arguments, "--help"], prog_name="towpath", terminal_width=80)
    assert found.exit_code == 0
    return found.output


@pytest.mark.parametrize("group", ["", *sorted(GROUPS)])
def test_a_list_of_commands_tells_each_in_a_line_that_is_not_cut(group: str) -> None:
    assert not re.findall(r"^  .*\.\.\.$", shown_help(*group.split()), re.M)


@pytest.mark.parametrize("name", NAMES)
def test_examples_stand_in_lines_of_their_own(name: str) -> None:
    text = shown_help(*name.split())
    assert not re.search(rf"towpath {name} .*towpath {name}\b", text), text
    for line in text.partition("Examples:")[2].partition("\n\n")[0].splitlines()[1:]:
        assert line.split()[0] == "towpath", text


def test_no_document_names_a_command_that_is_gone() -> None:
    named = re.findall(r"(?:`|^(?:\$ )?)towpath ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?", told(), re.M)
    assert named
    words = {f"{first} {second}" if first in GROUPS and second else first for first, second in named}
    assert words <= {*NAMES, *GROUPS}
