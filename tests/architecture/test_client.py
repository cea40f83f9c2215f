"""The client stays light: importing it loads nothing of the server and nothing that calculates."""

import json
import subprocess
import sys

HEAVY = {
    "alembic", "botocore", "httptools", "numpy", "pandas", "polars", "rich", "sklearn", "sqlalchemy", "starlette",
    "torch", "typer", "uvicorn", "uvloop",
}  # fmt: skip


def loaded_by(code: str) -> set[str]:
    """Return the names of all modules that a fresh interpreter has loaded after some code."""
    show = f"import json, sys\n{code}\nprint(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_the_client_loads_nothing_heavy() -> None:
    assert not HEAVY & loaded_by("from towpath import *")


def test_the_package_alone_loads_no_part_of_itself() -> None:
    assert {name for name in loaded_by("import towpath") if name.startswith("towpath.")} == set()


def test_the_command_line_shows_its_help_without_the_server() -> None:
    modules = loaded_by("import towpath.cli.main")
    assert not {"sqlalchemy", "alembic", "botocore", "starlette", "uvicorn", "torch"} & modules
    assert not {name for name in modules if name.startswith(("towpath.store", "towpath.gateway", "towpath.engine"))}
