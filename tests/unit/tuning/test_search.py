"""What Optuna is asked and what becomes of its answers: within the ranges, the same for the same question."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from towpath.tuning import OptunaSearch
from towpath.tuning.model import Strategy
from towpath.tuning.ranges import Choice, Integers, Numbers, Parameter, Scale, Space, as_texts, value_of, values_of
from towpath.tuning.search import Curve, Question, Race, Trial

SEARCH = OptunaSearch()
LINE = (Numbers(name="x", low=0.0, high=1.0, scale=Scale.LINEAR),)


@st.composite
def parameters(draw: st.DrawFn, name: str) -> Parameter:
    kind = draw(st.sampled_from(("choice", "integers", "numbers")))
    if kind == "choice":
        return Choice(name=name, values=tuple(draw(st.lists(st.text("abc", min_size=1), min_size=1, unique=True))))
    if kind == "integers":
        scale = draw(st.sampled_from((Scale.LINEAR, Scale.LOGARITHMIC)))
        low = draw(st.integers(1 if scale is Scale.LOGARITHMIC else -100, 100))
        return Integers(name=name, low=low, high=low + draw(st.integers(0, 1000)), scale=scale)
    scale = draw(st.sampled_from(list(Scale)))
    if scale is Scale.REVERSE_LOGARITHMIC:
        ends = draw(st.tuples(st.floats(0, 0.999), st.floats(0, 0.999)))
    else:
        least = 1e-6 if scale is Scale.LOGARITHMIC else -1e6
        ends = draw(st.tuples(st.floats(least, 1e6), st.floats(least, 1e6)))
    return Numbers(name=name, low=min(ends), high=max(ends), scale=scale)


@st.composite
def questions(draw: st.DrawFn) -> Question:
    space: Space = tuple(draw(parameters(name)) for name in "ab"[: draw(st.integers(1, 2))])
    strategy = draw(st.sampled_from((Strategy.RANDOM, Strategy.BAYESIAN, Strategy.HYPERBAND)))
    seed = draw(st.integers(0, 2**31))
    begun = draw(st.integers(0, 8))
    tried = Question(
        strategy=Strategy.RANDOM, space=space, is_maximized=False, seed=seed, trials=(), places=tuple(range(begun))
    )
    values = [draw(st.none() | st.floats(-1e3, 1e3)) for _ in range(begun)]
    trials = tuple(
        Trial(point=dict(point), value=value) for point, value in zip(SEARCH.next_points(tried), values, strict=True)
    )
    return Question(
        strategy=strategy,
        space=space,
        is_maximized=draw(st.booleans()),
        seed=seed,
        trials=trials,
        places=tuple(range(begun, begun + draw(st.integers(1, 3)))),
    )


@settings(max_examples=40, deadline=None)
@given(questions())
def test_answers_lie_in_the_ranges_and_are_the_same_for_the_same_question(question: Question) -> None:
    points = SEARCH.next_points(question)
    assert len(points) == len(question.places)
    for point in points:
        values = values_of(question.space, point)
        assert values is not None, point
        assert as_texts(values) == point
    assert OptunaSearch().next_points(question) == points


def test_what_was_tried_outside_of_the_ranges_is_left_out() -> None:
    known = tuple(Trial(point={"x": str(place / 10)}, value=abs(place / 10 - 0.3)) for place in range(9))
    question = Question(
        strategy=Strategy.BAYESIAN, space=LINE, is_maximized=False, seed=3, trials=known, places=(9, 10)
    )
    elsewhere = (Trial(point={"x": "17"}, value=-5.0), Trial(point={"y": "0.5"}, value=-9.0))
    more = Question(
        strategy=Strategy.BAYESIAN, space=LINE, is_maximized=False, seed=3, trials=(*known, *elsewhere), places=(9, 10)
    )
    assert SEARCH.next_points(more) == SEARCH.next_points(question)


def test_bayesian_gets_nearer_than_random_with_the_same_number_of_training_jobs() -> None:
    def nearest(strategy: Strategy, seed: int) -> float:
        trials: tuple[Trial, ...] = ()
        for place in range(25):
            question = Question(
                strategy=strategy, space=LINE, is_maximized=False, seed=seed, trials=trials, places=(place,)
            )
            (point,) = SEARCH.next_points(question)
            trials = (*trials, Trial(point=dict(point), value=(float(point["x"]) - 0.3) ** 2))
        return min(trial.value or 0.0 for trial in trials)

    seeds = range(8)
    bayesian = sum(math.log(nearest(Strategy.BAYESIAN, seed) + 1e-12) for seed in seeds)
    random = sum(math.log(nearest(Strategy.RANDOM, seed) + 1e-12) for seed in seeds)
    assert bayesian < random


def test_points_on_a_reverse_logarithmic_scale_crowd_below_one() -> None:
    space = (Numbers(name="m", low=0.0, high=0.999, scale=Scale.REVERSE_LOGARITHMIC),)
    question = Question(
        strategy=Strategy.RANDOM, space=space, is_maximized=False, seed=1, trials=(), places=tuple(range(60))
    )
    drawn = [float(point["m"]) for point in SEARCH.next_points(question)]
    assert sum(value > 0.9 for value in drawn) > 30
    assert all(0 <= value <= 0.999 for value in drawn)


def race(curves: list[list[float]], **changes: int) -> Race:
    told = tuple(
        Curve(number=number, values=tuple((float(place), place, value) for place, value in enumerate(curve, start=1)))
        for number, curve in enumerate(curves, start=1)
    )
    return Race(is_maximized=False, seed=7, curves=told, **{"least": 1, "most": 9, **changes})


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.floats(0, 1), max_size=9), min_size=1, max_size=12))
def test_hyperband_never_stops_who_is_best_at_each_value_nor_before_the_least(curves: list[list[float]]) -> None:
    best = [0.0] * 9
    beaten = SEARCH.beaten(race([*curves, best]))
    assert len(curves) + 1 not in beaten
    assert OptunaSearch().beaten(race([*curves, best])) == beaten
    assert SEARCH.beaten(race([curve[:2] for curve in curves], least=3)) == frozenset()


def test_hyperband_stops_most_of_a_bracket_that_looks_early() -> None:
    curves = [[place / 10] for place in range(12)]
    beaten = SEARCH.beaten(race(curves, most=3))
    assert 1 not in beaten
    assert 3 <= len(beaten) < 12


def test_a_text_that_is_no_value_of_a_parameter_has_no_meaning() -> None:
    choice, whole = Choice(name="c", values=("a",)), Integers(name="n", low=1, high=9, scale=Scale.LINEAR)
    assert value_of(choice, "b") is None
    assert [value_of(whole, text) for text in ("3", "3.5", "10", "many")] == [3, None, None, None]
    assert [value_of(LINE[0], text) for text in ("0.5", "-1", "")] == [0.5, None, None]
