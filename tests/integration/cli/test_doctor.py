"""`towpath doctor` tries what this host can do and says what is wrong."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.cli.conftest import Shell

pytestmark = pytest.mark.slow


def doctor(home: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TOWPATH_")}
    command = [sys.executable, "-m", "towpath", "doctor", "--home", str(home), *arguments]
    done = subprocess.run(command, env=kept | environment, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def found(home: Path, **environment: str) -> dict[str, tuple[str, str]]:
    _, told = doctor(home, "--json", **environment)
    return {check["Name"]: (check["State"], check["Detail"]) for check in json.loads(told)["Checks"]}


def test_a_fresh_home_is_in_order_and_is_not_made(tmp_path: Path) -> None:
    home = tmp_path / "home"
    code, told = doctor(home)
    assert code == 0, told
    assert "which the first start makes" in told
    assert not home.exists()
    home.mkdir()
    assert "none runs; start one with: towpath up" in doctor(home)[1]


def test_every_kind_of_sandbox_is_tried_and_the_chosen_one_named(tmp_path: Path) -> None:
    checks = found(tmp_path / "home")
    sandboxes = {name: detail for name, (_, detail) in checks.items() if name.startswith("sandbox: ")}
    assert list(sandboxes) == [
        "sandbox: namespaces",
        "sandbox: namespaces without user namespaces",
        "sandbox: bubblewrap",
    ]
    assert sum(detail.endswith("jobs get this one") for detail in sandboxes.values()) + ("sandbox" in checks) == 1


def test_the_mechanism_of_limits_is_named(tmp_path: Path) -> None:
    _, detail = found(tmp_path / "home")["limits"]
    assert detail.startswith(("memory by the kernel", "memory by watching the process tree"))


def test_what_jobs_may_use_follows_the_settings(tmp_path: Path) -> None:
    _, detail = found(tmp_path / "home", TOWPATH_CORES="3", TOWPATH_MEMORY_GB="1.5")["capacity"]
    assert detail.startswith("3 cores, 1.5 GB of memory, ")


def test_a_broken_setting_is_wrong_and_ends_with_1(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "towpath.toml").write_text("colour = 'blue'\n")
    code, told = doctor(home)
    assert code == 1
    assert "colour" in told
    assert found(home)["settings"][0] == "wrong"


def test_a_misspelt_variable_is_a_warning_with_the_right_name_and_without_its_value(tmp_path: Path) -> None:
    code, told = doctor(tmp_path / "home", TOWPATH_WARM_STRT="off")
    assert code == 0
    assert re.search(r"environment +warning +TOWPATH_WARM_STRT .*did you mean TOWPATH_WARM_START\?", told)
    assert "environment" not in found(tmp_path / "home", TOWPATH_WARM_START="off")


@pytest.mark.shows("towpath", "DescribeServer", how="stores")
def test_what_the_running_server_uses_counts_and_differences_to_the_file_are_told(shell: Shell) -> None:
    file = shell.home / "towpath.toml"
    keys = ("KEYOFTHEBUCKET", "SECRETOFTHEBUCKET")
    file.write_text(f'cores = 3\nport = 0\nobjects_access_key = "{keys[0]}"\nobjects_secret_key = "{keys[1]}"\n')
    shell("up", "--background")
    told = shell("doctor")
    assert f"{file}; port 0, cores 3; the others are the defaults" in told
    assert not any(key in output for key in keys for output in (told, shell("doctor", "--json")))
    assert "the running server has" not in told
    file.write_text("cores = 2\nport = 0\n")
    told = shell("doctor")
    assert "the running server has cores 3, the next one gets 2; begin it anew: towpath down, then towpath up" in told
    assert re.search(r"capacity +ok +3 cores, ", told)
    file.write_text("cores = 'many'\n")
    told = shell("doctor", code=1)
    assert "cores is 'many'; expected a whole number" in told
    assert re.search(r"capacity +ok +3 cores, ", told)


@pytest.mark.parametrize("warm_start", ["off", "on"])
def test_a_file_in_the_place_of_the_home_is_wrong(tmp_path: Path, warm_start: str) -> None:
    (tmp_path / "home").write_text("")
    code, told = doctor(tmp_path / "home", TOWPATH_WARM_START=warm_start)
    assert code == 1
    assert "is not a folder" in told
