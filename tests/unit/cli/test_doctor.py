"""What `towpath doctor` says of a server of another release."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from towpath import sdk
from towpath.cli.checks import settings_checks
from towpath.home import HomeFolder


@pytest.mark.parametrize(("name", "value"), [("sandbox", "docker"), ("colour", "blue"), ("cores", None)])
def test_a_setting_that_is_unknown_here_is_named_and_the_others_count(
    answers: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, value: object
) -> None:
    (tmp_path / "towpath.toml").write_text("sandbox = 'paths'\ncores = 2\n")
    shown = {"sandbox": "paths", "cores": 2, "memory_gb": 1.5, name: value}
    told = [{"Name": each, "Value": json.dumps(given)} for each, given in shown.items()]
    monkeypatch.setattr(HomeFolder, "running_server", lambda home: object())
    monkeypatch.setattr(sdk, "Client", lambda home: answers(DescribeServer={"Settings": told}))
    counted, found = settings_checks(HomeFolder(tmp_path))
    assert counted.memory_gb == 1.5
    unknown, other = [check.detail for check in found if check.state == "warning"]
    assert unknown == (
        f"the running server, of another release, has {name} {json.dumps(value)}, which this one does not know; "
        "begin it anew: towpath down, then towpath up"
    )
    assert other.startswith("the running server has memory_gb 1.5, the next one gets 0.0")
