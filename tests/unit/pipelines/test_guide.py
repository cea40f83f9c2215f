"""The guide to definitions says what is true: its example is valid, and its table is the table of step types."""

import json
import re
from pathlib import Path

from towpath.pipelines.checks import accept_executed
from towpath.pipelines.ports import Shapes
from towpath.pipelines.steps import STEP_TYPES

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs" / "pipeline-definition.md").read_text()
CHANGES = (ROOT / "CHANGELOG.md").read_text()


def test_the_example_is_valid_and_executed(shapes: Shapes) -> None:
    (example,) = re.findall(r"```json\n(.*?)```", GUIDE, re.DOTALL)
    accepted = accept_executed(example, shapes)
    assert [step.name for step in accepted.steps] == [step["Name"] for step in json.loads(example)["Steps"]]


def test_the_table_tells_which_step_types_are_executed() -> None:
    rows = re.findall(r"^\| `(\w+)` \| .* \| (yes|no) \|$", GUIDE, re.MULTILINE)
    assert dict(rows) == {name: "yes" if step_type.executed else "no" for name, step_type in STEP_TYPES.items()}


def test_guide_and_changes_tell_which_steps_results_are_taken_over() -> None:
    cached = {name for name, step_type in STEP_TYPES.items() if step_type.cache is not None}
    (told,) = re.findall(r"without it nothing expires\. (.*?) steps are looked for", GUIDE, re.DOTALL)
    assert set(re.findall(r"[A-Z]\w+", told)) == cached
    (told,) = re.findall(r"^- `CacheConfig`: an? (.*?) step takes the result", CHANGES, re.MULTILINE | re.DOTALL)
    assert set(re.findall(r"[A-Z]\w+", told)) == cached
