"""What import contracts cannot say: import-linter sees whole packages of the standard library, not parts of them."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src" / "towpath"
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
#: The packages that import-linter keeps from reaching outside.
(NO_IO,) = (
    [package.removeprefix("towpath.") for package in contract["source_modules"]]
    for contract in CONTRACTS
    if contract["name"] == "Features and kernel do no IO"
)
#: Modules and built-in functions that reach outside the process.
FORBIDDEN_MODULES = {"urllib.request", "shutil", "tempfile", "glob", "fcntl", "asyncio.subprocess"}
FORBIDDEN_CALLS = {"open", "print", "input"}
PURE = sorted(path for package in NO_IO for path in (SOURCES / package).rglob("*.py"))
INSIDE_A_JOB = sorted((SOURCES / "runner").rglob("*.py"))


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def shown(path: Path) -> str:
    return str(path.relative_to(SOURCES))


@pytest.mark.parametrize("path", PURE, ids=shown)
def test_features_and_kernel_reach_nothing_outside_the_process(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = {n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    assert not FORBIDDEN_MODULES & set(imported(tree))
    assert not FORBIDDEN_CALLS & calls


@pytest.mark.parametrize("path", INSIDE_A_JOB, ids=shown)
def test_the_runner_needs_only_the_standard_library(path: Path) -> None:
    import sys

    tree = ast.parse(path.read_text(encoding="utf-8"))
    roots = {name.split(".")[0] for name in imported(tree)}
    own = {name for name in imported(tree) if name.startswith("towpath.")}
    assert roots - {"towpath"} <= sys.stdlib_module_names
    assert all(name.startswith("towpath.runner") for name in own)


@pytest.mark.parametrize("path", sorted(SOURCES.rglob("*.py")), ids=shown)
def test_every_module_says_what_it_holds(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert not source.strip() or ast.get_docstring(ast.parse(source)), f"{shown(path)} has no docstring"
