"""Set-up: what the constraints hold, and that each target of the Makefile tells of itself."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
CONSTRAINTS = ROOT / "constraints"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")


def pins(name: str) -> list[Requirement]:
    lines = (CONSTRAINTS / name).read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def pinned_for(name: str, python: str) -> dict[str, str]:
    """Return package → version of what a file pins on Linux for a version of Python."""
    environment = {"python_version": python, "python_full_version": f"{python}.1", "sys_platform": "linux"}
    wanted = [pin for pin in pins(name) if pin.marker is None or pin.marker.evaluate(environment)]
    return {canonicalize_name(pin.name): str(pin.specifier) for pin in wanted}


@pytest.mark.parametrize("name", ["base.txt", "text.txt", "torch.txt", "build.txt"])
def test_constraints_hold_names_and_versions_and_no_addresses(name: str) -> None:
    text = (CONSTRAINTS / name).read_text(encoding="utf-8")
    assert not re.search(r"://|^-|\bfile:|@", text, re.M)
    assert all(str(pin.specifier).startswith("==") for pin in pins(name))


@pytest.mark.parametrize("python", PYTHONS)
def test_each_package_that_is_asked_for_has_exactly_one_version_that_fits(python: str) -> None:
    for name, extras in (("base.txt", ["sklearn", "dev"]), ("text.txt", ["sklearn", "dev", "text"])):
        pinned = pinned_for(name, python)
        asked = [*PROJECT["dependencies"]]
        for extra in extras:
            asked += PROJECT["optional-dependencies"][extra]
        for requirement in map(Requirement, asked):
            if requirement.name != "torch":
                version = pinned[canonicalize_name(requirement.name)].removeprefix("==")
                assert requirement.specifier.contains(version), f"{name}: {requirement} against {version}"


@pytest.mark.parametrize("python", PYTHONS)
def test_what_both_files_pin_has_one_version(python: str) -> None:
    base, text = pinned_for("base.txt", python), pinned_for("text.txt", python)
    assert base.items() <= text.items()


def test_only_a_cpu_build_can_satisfy_the_torch_that_is_asked_for() -> None:
    (torch,) = pins("torch.txt")
    assert torch.name == "torch"
    assert str(torch.specifier).endswith("+cpu")
    others = {canonicalize_name(pin.name) for name in ("base.txt", "text.txt") for pin in pins(name)}
    assert not {name for name in others if name == "torch" or name.startswith(("nvidia", "cuda", "triton"))}


def test_torch_is_in_no_extra_but_text() -> None:
    extras = {
        name: [Requirement(each).name for each in wants] for name, wants in PROJECT["optional-dependencies"].items()
    }
    assert [name for name, wants in extras.items() if "torch" in wants] == ["text"]
    assert "torch" not in [Requirement(each).name for each in PROJECT["dependencies"]]


def test_packages_that_only_carry_data_are_pinned_by_hash() -> None:
    files = sorted((ROOT / "examples").rglob("*-requirements.txt"))
    assert files
    for path in files:
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
        assert all(re.fullmatch(r"[\w-]+==[\d.]+ --hash=sha256:[0-9a-f]{64}", line) for line in lines)


def would_run(*arguments: str) -> str:
    """Return the commands of a target, which are not run."""
    told = subprocess.run(["make", "--dry-run", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return told.stdout


@pytest.mark.parametrize(
    ("value", "quick"), [("1", True), ("yes", True), ("", False), ("0", False), ("no", False), ("false", False)]
)
def test_the_quick_demo_is_run_when_it_is_asked_for(value: str, quick: bool) -> None:
    told = would_run("demo", f"QUICK={value}")
    assert ("towpath demo examples/reviews --quick" in told) == quick
    assert ("scripts/setup text" in would_run("--always-make", "demo", f"QUICK={value}")) != quick


def test_clean_removes_what_git_ignores_but_the_home() -> None:
    removed = {Path(word).name for word in would_run("clean").split()}
    ignored = [line.rstrip("/") for line in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()]
    kept = {".towpath", ".venv-*", "*.pyc", "*.egg-info"}
    assert set(ignored) - removed == kept


def test_each_target_has_its_line_in_the_help() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    declared = re.search(r"^\.PHONY: (.*)$", makefile, re.M)
    assert declared is not None
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in declared[1].split():
        assert re.search(rf"^  make {target} ", shown, re.M), f"make help does not name {target}"
