"""Warm starts, as somebody sees them who has switched them on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.cli.conftest import FILES, Shell

from towpath.compute.process import ProcessBackend, self_test, zygotes_of
from towpath.kernel.errors import Unavailable

pytestmark = pytest.mark.slow


@pytest.fixture
def warm(tmp_path: Path) -> Iterator[Shell]:
    """A project whose server begins jobs warm where it can."""
    folder, home = tmp_path / "project", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    try:
        self_test(home, "namespace")
    except Unavailable as reason:
        pytest.skip(str(reason))
    for name, text in FILES.items():
        (folder / name).write_text(text.lstrip())
    (folder / "words.txt").write_text("ant bee cow")
    (home / "towpath.toml").write_text('warm_start = "on"\nwarm_imports = "json, numpy, nobody_has_this"\n')
    shell = Shell(folder, home)
    assert "on; the first job" in doctor(shell)["Detail"]
    shell("up", "--background")
    try:
        shell("data", "put", "words", "words.txt")
        yield shell
    finally:
        shell("down", "--all")


def doctors(shell: Shell) -> list[dict[str, Any]]:
    return [each for each in json.loads(shell("doctor", "--json"))["Checks"] if each["Name"] == "warm start"]


def doctor(shell: Shell) -> dict[str, Any]:
    (check,) = doctors(shell)
    return check


def test_the_same_pipeline_gives_the_same_and_says_how_its_jobs_began(warm: Shell) -> None:
    warm("run", "pipeline.py")
    backend = ProcessBackend(warm.home / "jobs", home=warm.home)
    zygotes = {zygote.imports: zygote for zygote in backend.zygotes(wait_s=60)}
    backend.close()
    assert set(zygotes) == {(), ("json", "numpy")}, (
        "one for scripts that name json, and one for those that name neither"
    )
    zygote = zygotes["json", "numpy"]
    warm("run", "pipeline.py")
    first, second = (json.loads(warm("lineage", f"words/{number}", "--json")) for number in (1, 2))
    assert first["TrainingJob"]["Began"] in ("warm", "cold: no process with imports was ready")
    assert second["TrainingJob"]["Began"] == "warm"
    assert first["Models"][0]["Sha256"] == second["Models"][0]["Sha256"]
    assert first["Evaluations"][0]["Sha256"] == second["Evaluations"][0]["Sha256"]
    checks = {check["Detail"]: check["State"] for check in doctors(warm)}
    assert set(checks.values()) == {"ok"}
    told = " | ".join(checks)
    assert f"process {zygote.pid} holds json, numpy for jobs" in told
    assert f"process {zygotes[()].pid} holds nothing but Python for jobs" in told
    assert "not installed: nobody_has_this" in told
    warm("down", "--all")
    assert zygotes_of(warm.home) == []
    assert not Path(f"/proc/{zygote.pid}").exists()


def test_one_setting_switches_warm_starts_off(warm: Shell) -> None:
    assert doctor(warm)["Detail"].startswith("on; the first job that could begin warm")
    warm("down", "--all")
    (warm.home / "towpath.toml").write_text('warm_start = "off"\nwarm_imports = "json, numpy"\n')
    assert doctor(warm)["Detail"].startswith("off, so each job begins in a fresh interpreter")
    warm("up", "--background")
    for version in (1, 2):
        warm("run", "pipeline.py")
        began = json.loads(warm("lineage", f"words/{version}", "--json"))["TrainingJob"]["Began"]
        assert began is None, "where all begin cold, nothing is said of it"
    assert zygotes_of(warm.home) == [], "none was begun"


def test_a_list_of_what_are_no_modules_is_refused(shell: Shell) -> None:
    (shell.home / "towpath.toml").write_text('warm_imports = "numpy, scikit-learn"\n')
    told = shell("up", "--background", code=3)
    assert "warm_imports names 'scikit-learn'; expected names of modules with commas between" in told
