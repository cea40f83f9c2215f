"""What JSON cannot hold is not taken for null where it is read."""

from pathlib import Path
from typing import Any

import numpy
import polars
import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.calling import values
from towpath.kernel.errors import Invalid
from towpath.pipelines.conditions import holds
from towpath.pipelines.conditions import parse as parse_condition
from towpath.pipelines.evaluation import EvaluationError, Scope, StepYield, evaluate
from towpath.pipelines.expressions import parse
from towpath.pipelines.faults import Fault
from towpath.pipelines.no_values import NO_VALUE, read_at
from towpath.pipelines.paths import parse_path

DOCUMENT = {"rows": 3, "none": None, "parts": [1, {NO_VALUE: "it is a picture. Return its size"}]}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def get(path: str) -> dict[str, Any]:
    return {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.P.PropertyFiles.Report"}, "Path": path}}


def scope(document: Any) -> Scope:
    return Scope(
        yields={"P": StepYield(document={})},
        property_files={("P", "Report"): lambda _: "s3://b/value.json"},
        document=lambda _: document,
    )


@given(JSON)
def test_all_else_is_read_as_it_stands(value: Any) -> None:
    assert read_at({"value": [value]}, parse_path("value[0]")) == value


@pytest.mark.parametrize("path", ["parts[1]", "parts[1].width", "parts[1][0]", "parts", ""])
def test_a_place_without_a_value_is_told_by_its_own_text_also_from_around_and_behind_it(path: str) -> None:
    with pytest.raises(Invalid) as caught:
        read_at(DOCUMENT, parse_path(path))
    named = path or "the document"
    told = f"{named} cannot be compared, put into a text or given as an argument: it is a picture. Return its size"
    assert caught.value.message == told


def test_what_stands_beside_it_is_read_and_null_stays_null() -> None:
    assert read_at(DOCUMENT, parse_path("rows")) == 3
    assert read_at(DOCUMENT, parse_path("parts[0]")) == 1
    assert read_at(DOCUMENT, parse_path("none")) is None
    assert read_at({"a": {NO_VALUE: "x", "b": 1}}, parse_path("a.b")) == 1, "only an object with this member alone"


def test_a_table_or_an_array_in_a_condition_or_a_text_fails_with_what_to_return(tmp_path: Path) -> None:
    table = polars.DataFrame({"x": [1, 2]})
    values.write((table, numpy.zeros((2, 3)), None), tmp_path, of="the result of flow:prepare")
    document = values.parsed((tmp_path / values.MANIFEST).read_text())
    faults: list[Fault] = []
    for path, told in (
        ("value[0]", "the result of flow:prepare[0] is a polars DataFrame of the shape (2, 1), which lies in "),
        ("value[1]", "the result of flow:prepare[1] is a NumPy array of the shape (2, 3), which lies in "),
    ):
        compared = {"Type": "Equals", "LeftValue": get(path), "RightValue": None}
        condition = parse_condition(compared, "C", faults)
        joined = parse({"Std:Join": {"On": "", "Values": ["found ", get(path)]}}, "J", faults)
        assert condition is not None
        with pytest.raises(EvaluationError) as caught:
            holds(condition, scope(document))
        assert (
            f"C.LeftValue.Std:JsonGet: {path} cannot be compared, put into a text or given as an argument: {told}"
            in caught.value.message
        )
        assert "Return what is to be read beside it" in caught.value.message
        with pytest.raises(EvaluationError, match="no JSON"):
            evaluate(joined, scope(document))
    nothing = parse_condition({"Type": "Equals", "LeftValue": get("value[2]"), "RightValue": None}, "C", faults)
    assert nothing is not None
    assert holds(nothing, scope(document))
    assert faults == []
