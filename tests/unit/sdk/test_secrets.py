"""A secret travels through a definition as a name."""

import json

import pytest

from towpath import DefinitionError, Pipeline, Processing, secret


def test_a_secret_is_a_reference_wherever_it_stands() -> None:
    assert secret("HUB_TOKEN") == "{{secrets.HUB_TOKEN}}"
    step = Processing(
        "Fetch",
        script="test_secrets.py",
        environment={"TOKEN": secret("HUB_TOKEN"), "URL": f"https://ada:{secret('DB.pw')}@host"},
    )
    definition = Pipeline("fetch", steps=[step]).definition()
    found = definition["Steps"][0]["Arguments"]["Environment"]
    assert found == {"TOKEN": "{{secrets.HUB_TOKEN}}", "URL": "https://ada:{{secrets.DB.pw}}@host"}
    assert json.loads(json.dumps(definition)) == definition


@pytest.mark.parametrize("name", ["", "a b", "1A", "A}}", "x" * 129])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(DefinitionError, match="no name of a secret"):
        secret(name)
