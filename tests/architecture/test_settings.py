"""Every setting has its line in docs/operations.md, and no line there tells of a setting that is gone; every
variable of the environment that is read is declared."""

import re
from pathlib import Path

import pytest

from towpath.settings import Settings, variable_of
from towpath.variables import OTHERS

SOURCES = Path(__file__).parents[2] / "src" / "towpath"
OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"


@pytest.mark.parametrize("name", Settings.__struct_fields__)
def test_every_setting_has_its_line(name: str) -> None:
    lines = [line for line in OPERATIONS.read_text(encoding="utf-8").splitlines() if line.startswith(f"| `{name}`")]
    assert len(lines) == 1, f"docs/operations.md needs one table row that starts with | `{name}`"


def test_no_line_tells_of_a_setting_that_is_gone() -> None:
    section = re.search(r"^## Settings$(.*?)(?=^## |\Z)", OPERATIONS.read_text(encoding="utf-8"), re.M | re.S)
    assert section is not None, "docs/operations.md needs a section '## Settings'"
    told = set(re.findall(r"^\| `(\w+)`", section[1], re.M))
    assert told <= set(Settings.__struct_fields__)


def test_every_variable_that_the_sources_name_is_a_setting_or_declared() -> None:
    named = {
        found
        for file in SOURCES.rglob("*.py")
        for found in re.findall(r"\bTOWPATH_[A-Z_]*[A-Z]\b", file.read_text(encoding="utf-8"))
    }
    known = {variable_of(name) for name in Settings.__struct_fields__} | OTHERS.keys()
    assert named <= known, "variables.py declares what is read beside the settings"
    assert OTHERS.keys() <= named | {"TOWPATH_PYTHON"}, "set-up is no part of the package"
