"""How faults of the platform are told."""

from towpath.kernel.faults import LONGEST, said_by


def test_an_exception_is_told_in_a_line_that_any_store_can_hold() -> None:
    assert said_by(ValueError("a\n  b")) == "ValueError: a b"
    assert said_by(ValueError("a\udcff")) == "ValueError: a\\udcff"
    assert said_by(KeyError()) == "KeyError"
    assert len(said_by(ValueError("x" * 9999))) == LONGEST
