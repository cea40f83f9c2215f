"""What falls due while a job runs, once for each time that it is expected."""

import math

from towpath.runner.deadlines import Deadlines, Due


def test_nothing_falls_due_that_was_not_expected() -> None:
    deadlines = Deadlines()
    assert deadlines.next() == math.inf
    assert not any(deadlines.passed(due, 1e9) for due in Due)


def test_what_has_passed_is_told_once_and_is_not_expected_again_by_itself() -> None:
    deadlines = Deadlines()
    deadlines.once(Due.KILL, 5.0)
    deadlines.once(Due.KILL, 3.0)
    assert [deadlines.passed(Due.KILL, now) for now in (3.0, 5.0, 6.0)] == [False, True, False]
    deadlines.once(Due.KILL, 7.0)
    assert not deadlines.passed(Due.KILL, 8.0)
    deadlines.latest(Due.KILL, 9.0)
    assert deadlines.passed(Due.KILL, 9.0), "somebody said so anew"


def test_of_two_times_the_earlier_one_counts() -> None:
    deadlines = Deadlines()
    deadlines.latest(Due.METRICS, 2.0)
    deadlines.latest(Due.METRICS, 4.0)
    deadlines.latest(Due.MEASURE, 3.0)
    assert deadlines.next() == 2.0
    assert deadlines.next([None, 1.0]) == 1.0
    assert deadlines.passed(Due.METRICS, 2.5)
    assert deadlines.next([None, 7.0]) == 3.0
