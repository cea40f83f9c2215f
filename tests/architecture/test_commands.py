"""Every command has its line in the documents, and no document names a command that is gone."""

import re
from pathlib import Path

import pytest
import typer.main

from towpath.cli.main import app

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMAND = typer.main.get_command(app)
NAMES = sorted(getattr(COMMAND, "commands"))  # noqa: B009 - a group, though its type does not say so


def told() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in DOCUMENTS)


@pytest.mark.parametrize("name", NAMES)
def test_every_command_is_in_the_documents(name: str) -> None:
    assert re.search(rf"towpath {name}\b", told()), f"no document shows `towpath {name}`"


def test_no_document_names_a_command_that_is_gone() -> None:
    named = set(re.findall(r"(?:`|^\$ )towpath ([a-z][a-z-]*)", told(), re.M))
    assert named <= set(NAMES)
