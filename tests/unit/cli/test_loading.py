"""Getting the pipeline out of a user's file."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from towpath.cli.loading import load_pipeline
from towpath.sdk import DefinitionError
from towpath.sdk.steps.function import FunctionStep

PIPELINE = """
from towpath import Fail, Pipeline
from settings import MESSAGE
{name} = Pipeline('p', steps=[Fail('A', message=MESSAGE)])
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "settings.py").write_text("MESSAGE = 'no'\n")
    return tmp_path


@pytest.fixture(autouse=True)
def _forget_modules() -> Iterator[None]:
    yield
    for name in ("settings", "pantry", "pantry.settings", "pantry.main"):
        sys.modules.pop(name, None)


def test_the_pipeline_of_a_file_is_found_with_what_lies_beside_it(project: Path) -> None:
    (project / "pipeline.py").write_text(PIPELINE.format(name="pipeline"))
    path = list(sys.path)
    assert load_pipeline(project / "pipeline.py").name == "p"
    assert load_pipeline(project).root == project
    assert sys.path == path


@pytest.mark.parametrize("line", ["from .settings import MESSAGE", "from pantry.settings import MESSAGE"])
def test_a_file_of_a_package_imports_from_it_and_its_functions_travel_with_it(tmp_path: Path, line: str) -> None:
    package = tmp_path / "pantry"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "settings.py").write_text("MESSAGE = 'no'\n")
    text = "from towpath import *\n{}\n@step\ndef f(x): return x\npipeline = Pipeline('p', steps=[f(MESSAGE)])"
    (package / "main.py").write_text(text.format(line))
    path = list(sys.path)
    (made,) = load_pipeline(package / "main.py").all_steps()
    assert isinstance(made, FunctionStep)
    assert (made.place.root, made.place.named, sys.path) == (tmp_path, "pantry.main:f", path)
    (package / "alone.py").write_text(text.format("from settings import MESSAGE"))
    (alone,) = load_pipeline(package / "alone.py").all_steps()
    assert isinstance(alone, FunctionStep)
    assert (alone.place.root, alone.place.named) == (package, "alone:f")


def test_the_only_pipeline_of_a_file_may_have_any_name(project: Path) -> None:
    (project / "p.py").write_text(PIPELINE.format(name="mine"))
    assert load_pipeline(project / "p.py").name == "p"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = 1", "makes no pipeline"),
        (PIPELINE.format(name="a") + PIPELINE.format(name="b"), r"several pipelines \(a, b\)"),
        ("x = 1\ny = (", r"pipeline\.py, line 2: "),
        ("x = 1\n\nraise ValueError('wrong')", r"pipeline\.py, line 3: ValueError: wrong"),
        ("import no_such_module", "No module named 'no_such_module' .install it into this environment"),
        ("from towpath import Pipeline\nPipeline('p', steps=[])", r"pipeline\.py, line 2: pipeline p has no steps"),
        ("from towpath import *\n@step\ndef f(): return 1\nx = f() + 1", r"line 4: .* cannot be computed with"),
        ("raise SystemExit(3)", "ended Python while it was imported"),
    ],
)
def test_a_file_that_makes_no_pipeline_is_refused_with_the_line(project: Path, text: str, told: str) -> None:
    (project / "pipeline.py").write_text(text)
    with pytest.raises(DefinitionError, match=told):
        load_pipeline(project / "pipeline.py")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="there is no file"):
        load_pipeline(tmp_path / "x.py")
