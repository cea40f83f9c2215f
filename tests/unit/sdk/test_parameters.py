"""Parameters of a pipeline."""

from typing import Any

import pytest

from towpath.sdk import (
    DefinitionError,
    ParameterBoolean,
    ParameterFloat,
    ParameterInteger,
    ParameterString,
    parameter,
)


@pytest.mark.parametrize(
    ("default", "type_"), [("bert", "String"), (3, "Integer"), (0.6, "Float"), (True, "Boolean"), (False, "Boolean")]
)
def test_the_default_gives_the_type(default: Any, type_: str) -> None:
    assert parameter("P", default).declaration() == {"Name": "P", "Type": type_, "DefaultValue": default}


def test_a_parameter_without_a_default_names_its_type() -> None:
    assert parameter("Epochs", type=int).declaration() == {"Name": "Epochs", "Type": "Integer"}
    assert parameter("Name").declaration() == {"Name": "Name", "Type": "String"}


def test_an_enum_is_declared_and_must_hold_the_default() -> None:
    assert parameter("Model", "bert", enum=["bert", "baseline"]).declaration()["EnumValues"] == ["bert", "baseline"]
    with pytest.raises(DefinitionError, match="'gpt' is not one of bert, baseline"):
        parameter("Model", "gpt", enum=["bert", "baseline"])
    with pytest.raises(DefinitionError, match="only String"):
        parameter("Rounds", 1, enum=["1"])


def test_the_typed_classes_check_their_defaults() -> None:
    assert ParameterFloat("P", default=1).declaration()["Type"] == "Float"
    for kind, wrong in (
        (ParameterInteger, 0.5),
        (ParameterInteger, True),
        (ParameterFloat, "x"),
        (ParameterBoolean, 1),
        (ParameterString, 1),
    ):
        with pytest.raises(DefinitionError, match="its default"):
            kind("P", default=wrong)


@pytest.mark.parametrize("name", ["", "two words", "-x", "x-", "a.b"])
def test_a_name_that_the_api_refuses_is_refused_here(name: str) -> None:
    with pytest.raises(DefinitionError, match="is not a parameter name"):
        parameter(name, 1)
