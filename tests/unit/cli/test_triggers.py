"""What `towpath triggers create` refuses before anything waits for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from towpath.cli import triggers
from towpath.sdk import DefinitionError

PIPELINE = {
    "PipelineArn": "arn:aws:sagemaker:us-east-1:000000000000:pipeline/deploy",
    "PipelineDefinition": json.dumps(
        {"Parameters": [{"Name": "Version", "Type": "String"}, {"Name": "Rows", "Type": "Integer", "DefaultValue": 3}]}
    ),
}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([], "pipeline deploy has a parameter without a default: give -p Version=VALUE"),
        (["Rows=3"], "pipeline deploy has a parameter without a default: give -p Version=VALUE"),
        (["Version=1", "Raw=$.detail.object.key"], "pipeline deploy has no parameter 'Raw'; it has Version, Rows"),
    ],
)
def test_parameters_that_no_start_could_do_with_are_refused_at_once(
    answers: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: list[str], told: str
) -> None:
    client = answers(DescribePipeline=PIPELINE)
    monkeypatch.setattr(triggers, "client_with_server", lambda home: client)
    with pytest.raises(DefinitionError) as refused:
        triggers.create("data", pipeline="deploy", new_data="s3://lake/raw/", parameter=given, home=tmp_path)
    assert str(refused.value) == told
    assert [name for name, _ in client.asked] == ["DescribePipeline"], "nothing was made"
