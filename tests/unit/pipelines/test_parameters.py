"""Parameters are given as texts and become what the definition declares."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.kernel.errors import Invalid
from towpath.pipelines.definition import Parameter, ParameterType
from towpath.pipelines.parameters import bind, typed


def parameter(type_: str, **more: Any) -> Parameter:
    return Parameter(name="P", type=ParameterType(type_), **more)


@pytest.mark.parametrize(
    ("type_", "given", "value"),
    [
        ("Integer", "2", 2),
        ("Integer", 2, 2),
        ("Float", "0.1", 0.1),
        ("Float", "1e-05", 1e-05),
        ("Float", 1, 1.0),
        ("Boolean", "True", True),
        ("Boolean", "false", False),
        ("Boolean", True, True),
        ("String", "2", "2"),
    ],
)
def test_a_text_becomes_the_declared_type(type_: str, given: Any, value: Any) -> None:
    result = typed(parameter(type_), given)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("type_", "given"),
    [
        ("Integer", "2.0"),
        ("Integer", "two"),
        ("Integer", "1_0"),
        ("Integer", "\u0663"),
        ("Float", "1_0.5"),
        ("Float", "\u0663.5"),
        ("Integer", True),
        ("Float", "nan"),
        ("Float", "inf"),
        ("Float", False),
        ("Boolean", "yes"),
        ("Boolean", 1),
        ("String", 2),
        ("Integer", None),
    ],
)
def test_what_is_not_of_the_type_is_refused(type_: str, given: Any) -> None:
    with pytest.raises(Invalid, match=f"is not an? {type_}"):
        typed(parameter(type_), given)


@given(st.integers())
def test_every_integer_survives_as_text(number: int) -> None:
    assert typed(parameter("Integer"), str(number)) == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_survives_as_text(number: float) -> None:
    assert typed(parameter("Float"), repr(number)) == number


def test_every_fault_of_the_given_values_is_named() -> None:
    declared = (
        Parameter(name="Epochs", type=ParameterType.INTEGER, default=1),
        Parameter(name="Rate", type=ParameterType.FLOAT),
        Parameter(name="Model", enum_values=("bert", "baseline"), default="bert"),
    )
    with pytest.raises(Invalid) as caught:
        bind(declared, {"Epochs": "many", "Model": "gpt", "Modle": "bert"})
    assert caught.value.message == (
        "The parameters are not valid: there is no parameter 'Modle'; there are Epochs, Rate, Model; "
        "parameter 'Epochs': the text 'many' is not an Integer; parameter 'Rate' has no default and must be given; "
        "parameter 'Model': the text 'gpt' is not one of bert, baseline"
    )


def test_defaults_stand_in_for_what_is_not_given() -> None:
    declared = (
        Parameter(name="Epochs", type=ParameterType.INTEGER, default=1),
        Parameter(name="Model", default=msgspec.UNSET),
    )
    assert bind(declared, {"Model": "bert"}) == {"Epochs": 1, "Model": "bert"}
