"""What importing the client costs."""

import subprocess
import sys

import pytest

#: Never loaded by a pipeline's author who only writes and sends pipelines.
HEAVY = (
    "alembic", "botocore", "jinja2", "msgspec", "numpy", "pandas", "polars", "pyarrow", "rich", "sklearn", "sqlalchemy",
    "starlette", "torch", "typer", "uvicorn", "uvloop",
)  # fmt: skip


def loaded_by(statement: str) -> set[str]:
    """Return the modules that a fresh interpreter has loaded after `statement`."""
    code = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("statement", ["import towpath", "from towpath import Client, Pipeline, Training"])
def test_the_client_loads_no_server_and_no_heavy_package(statement: str) -> None:
    loaded = loaded_by(statement)
    assert not {name for name in loaded if name.split(".")[0] in HEAVY}
    ours = {name.split(".")[1] for name in loaded if name.startswith("towpath.")}
    assert ours <= {"sdk", "home", "callers", "calling"}


def test_the_bare_import_loads_nothing_of_ours() -> None:
    assert not {name for name in loaded_by("import towpath") if name.startswith("towpath.")}


def test_every_public_name_can_be_had_from_the_package() -> None:
    import towpath
    from towpath import sdk

    assert set(towpath.__all__) == set(sdk.__all__)
    for name in towpath.__all__:
        assert getattr(towpath, name) is getattr(sdk, name)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = towpath.nothing
    assert set(towpath.__all__) <= set(dir(towpath))
