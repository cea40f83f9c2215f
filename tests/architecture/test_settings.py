"""Every setting has its line in docs/operations.md, and no line there tells of a setting that is gone."""

import re
from pathlib import Path

import pytest

from towpath.settings import Settings

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
