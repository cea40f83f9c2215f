"""Values between functions: written into a folder and read again."""

import dataclasses
import datetime
import enum
import json
import math
from collections import Counter, namedtuple
from pathlib import Path
from typing import Any

import numpy
import polars
import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.calling import values


@dataclasses.dataclass
class Scores:
    accuracy: float
    by_class: dict[str, int]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "value"
    made.mkdir()
    return made


def again(value: Any, folder: Path) -> Any:
    values.write(value, folder, of="the result of steps:f")
    return values.read(folder)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=20,
)


@given(PLAIN)
def test_what_is_json_comes_back_as_it_was_tuples_and_infinities_too(
    tmp_path_factory: pytest.TempPathFactory, value: Any
) -> None:
    back = again(value, tmp_path_factory.mktemp("value"))
    assert back == value
    assert repr(back) == repr(value)


def test_a_number_that_is_none_comes_back_and_stands_as_null_for_conditions(folder: Path) -> None:
    back = again({"loss": math.nan, "best": -math.inf}, folder)
    assert math.isnan(back["loss"])
    assert back["best"] == -math.inf
    assert json.loads((folder / "value.json").read_text())["value"] == {"loss": None, "best": None}


def test_tables_arrays_and_files_lie_beside_the_json_at_the_places_of_their_keys(folder: Path, tmp_path: Path) -> None:
    model = tmp_path / "model.bin"
    model.write_bytes(b"\0weights")
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "a.html").write_text("<p>")
    table = polars.DataFrame({"x": [1, 2], "y": ["a", None]})
    value = (table, {"w": numpy.arange(6).reshape(2, 3), "a/b": numpy.zeros(1)}, [model, tmp_path / "pages"], 7)
    back = again(value, folder)
    assert back[0].equals(table)
    assert back[1]["w"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert back[2][0].read_bytes() == b"\0weights"
    assert (back[2][1] / "a.html").read_text() == "<p>"
    assert back[3] == 7
    assert (folder / "files/0/table.parquet").is_file()
    assert (folder / "files/2/0/model.bin").is_file(), "the place that Value.file names"


def test_folders_of_older_releases_which_have_null_for_a_table_are_read(folder: Path) -> None:
    again({"table": polars.DataFrame({"x": [1, 2]}), "array": numpy.arange(3)}, folder)
    manifest = json.loads((folder / "value.json").read_text())
    assert list(manifest["value"]["table"]) == ["Towpath:NoValue"]
    manifest["value"] = {"table": None, "array": None}
    (folder / "value.json").write_text(json.dumps(manifest))
    back = values.read(folder)
    assert (back["table"].height, back["array"].tolist()) == (2, [0, 1, 2])


def test_two_keys_that_are_no_names_of_folders_do_not_meet(folder: Path) -> None:
    back = again({"a b": numpy.zeros(1), "a/b": numpy.ones(1), "../up": numpy.full(1, 2.0)}, folder)
    assert [back[key][0] for key in ("a b", "a/b", "../up")] == [0, 1, 2]
    assert sorted(path.name for path in folder.iterdir()) == ["files", "value.json"]


def test_dataclasses_come_back_as_themselves_or_as_dicts(folder: Path) -> None:
    scores = Scores(0.5, {"a": 1})
    assert again([scores], folder) == [scores]
    assert values.read(folder, classes=False) == [{"accuracy": 0.5, "by_class": {"a": 1}}]


def test_numbers_of_numpy_become_pythons(folder: Path) -> None:
    back = again({"n": numpy.int64(3), "x": numpy.float64(0.5), "yes": numpy.bool_(True)}, folder)
    assert back == {"n": 3, "x": 0.5, "yes": True}
    assert [type(each) for each in back.values()] == [int, float, bool]


class Model:
    pass


class Grade(enum.Enum):
    GOOD = 1


Size = namedtuple("Size", "width height")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"m": [Model()]}, r"the result of steps:f\['m'\]\[0\] is a .*Model, which does not travel .*; expected"),
        ({1, 2}, r"is a set, .*Return sorted\(value\)"),
        (b"x", "is a bytes, .*Write it to a file"),
        ({"at": datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)}, r"\['at'\] is a datetime.datetime, .*isoformat"),
        ({1: "a"}, "is a dict with the key 1 .an int.; expected texts as keys"),
        (Path("/nowhere/model"), "is the path '/nowhere/model', where there is nothing"),
        (numpy.array([Model()]), "array of Python objects .*pickle of code"),
        (lambda: 1, "Functions do not travel"),
        (Grade.GOOD, r"Grade, .*\. Return value\.value, or value\.name"),
        (Size(1, 2), r"Size, .*\. Return tuple\(value\)"),
        (Counter("aab"), r"Counter, .*\. Return dict\(value\)"),
        (polars.LazyFrame({"a": [1]}), r"LazyFrame, .*\. Return value\.collect\(\)"),
    ],
)  # fmt: skip
def test_what_does_not_travel_is_refused_with_its_place_its_type_and_what_to_do(
    folder: Path, value: Any, said: str
) -> None:
    with pytest.raises(values.ValueRefused, match=said):
        values.write(value, folder, of="the result of steps:f")


def test_what_holds_itself_is_refused(folder: Path) -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(values.ValueRefused, match=r"\[0\] holds itself"):
        values.write(value, folder, of="it")


def test_a_pickle_is_never_read(folder: Path) -> None:
    values.write(numpy.zeros(1), folder, of="it")
    numpy.save(folder / "files/array.npy", numpy.array([Model()], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="allow_pickle"):
        values.read(folder)


def test_what_is_no_value_is_refused(folder: Path) -> None:
    (folder / "value.json").write_text('{"format": "towpath-value/9"}')
    with pytest.raises(values.ValueRefused, match="expected the format 'towpath-value/1', found 'towpath-value/9'"):
        values.read(folder)


def test_items_inside_of_a_value_are_found_and_a_missing_one_is_told_with_its_place() -> None:
    value = {"a": [Scores(0.5, {})]}
    assert values.inside(value, ["a", 0, "accuracy"], of="x") == 0.5
    with pytest.raises(values.ValueRefused, match=r"x\['a'\] is a list and has no 3"):
        values.inside(value, ["a", 3], of="x")
