"""The page of operations says what the tests show, and the tests show every operation."""

import pytest
from tests.api_table import PAGE, Shown, all_marks, all_offered, faults, marks_of, page

from towpath.kernel.operations import Operation, refusing


@pytest.fixture(scope="module")
def offered() -> dict[str, dict[str, Operation | None]]:
    return all_offered()


def test_every_operation_is_shown_by_a_test_and_no_test_shows_another(
    offered: dict[str, dict[str, Operation | None]],
) -> None:
    assert list(faults(all_marks(), offered)) == []


def test_the_page_is_as_the_tests_say(offered: dict[str, dict[str, Operation | None]]) -> None:
    assert PAGE.read_text(encoding="utf-8") == page(all_marks(), offered), "write it anew: make api"


def test_marks_are_read_without_running_the_tests() -> None:
    source = """
@pytest.mark.shows("s3", "PutObject", "GetObject", how="stores")
@pytest.mark.slow
def test_a(): raise SystemExit

class TestB:
    @pytest.mark.shows("sagemaker", "CreateTrainingJob", how="executes")
    def test_c(self): ...
"""
    assert sorted(marks_of(source, "t.py")) == [
        Shown("s3", "GetObject", "stores", "t.py", "test_a"),
        Shown("s3", "PutObject", "stores", "t.py", "test_a"),
        Shown("sagemaker", "CreateTrainingJob", "executes", "t.py", "test_c"),
    ]


@pytest.mark.parametrize(
    "arguments", ['"s3"', 'SERVICE, "PutObject"', '"s3", "PutObject", how="does"', '"s3", "P", by=1']
)
def test_a_mark_that_says_nothing_is_refused(arguments: str) -> None:
    with pytest.raises(ValueError, match=r"t\.py: test_a: expected"):
        list(marks_of(f"@pytest.mark.shows({arguments})\ndef test_a(): ...", "t.py"))


def test_what_does_not_fit_together_is_named() -> None:
    table: dict[str, dict[str, Operation | None]] = {
        "ecr": {"Login": refusing("Login", "no")},
        "s3": {"PutObject": None, "GetObject": None, "HeadObject": None},
    }
    marks = [
        Shown("s3", "PutObject", "stores", "t.py", "test_a"),
        Shown("s3", "PutObject", "executes", "t.py", "test_b"),
        Shown("s3", "HeadObject", "refuses", "t.py", "test_c"),
        Shown("s3", "Gone", "stores", "t.py", "test_d"),
        Shown("ecr", "Login", "stores", "t.py", "test_e"),
    ]
    found = [fault for fault in faults(marks, table) if "group that is complete" not in fault]
    assert found == [
        "t.py: test_d shows s3 Gone, which is not offered",
        "ecr Login is not refused, say its marks",
        "s3 PutObject is said to be of several ways: executes, stores",
        "s3 GetObject is shown by no test; mark one that asserts its effect",
        "s3 HeadObject is refused, say its marks",
    ]
