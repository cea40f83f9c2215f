"""What runs inside the job of a function step, as a process with the files that travel."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from towpath.calling import stand_in, values
from towpath.sdk.packing import function_runtime
from towpath.sdk.steps.function import StepFunction

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def ml(tmp_path: Path) -> Path:
    """Return a folder laid out as /opt/ml of such a job, with nothing in the code yet."""
    for name in ("processing/input/code", "processing/output/value", "output"):
        (tmp_path / name).mkdir(parents=True)
    for file in function_runtime().files:
        path = tmp_path / "processing/input/runtime" / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content)
    return tmp_path


@pytest.fixture
def run(ml: Path) -> Run:
    def run(code: str, *words: str, function: str = "f") -> subprocess.CompletedProcess[str]:
        (ml / "processing/input/code/steps.py").write_text(code)
        # Without site packages nothing of ours is there, as in an environment that does not hold it.
        command = [sys.executable, "-S", "-E", str(ml / "processing/input/runtime/run.py"), f"steps:{function}", *words]
        return subprocess.run(command, cwd=ml, capture_output=True, text=True, check=False)

    return run


def result(ml: Path) -> object:
    return values.read(ml / "processing/output/value")


def test_arguments_come_by_position_and_by_name_and_the_result_is_written(ml: Path, run: Run) -> None:
    done = run(
        "def f(a, b, *, c):\n    return {'a': a, 'b': b, 'c': c}\n",
        "--", "1", '[{"$raw":', '[["$from","data"]]}]', "--", "0", "[[1,2.5,null]]", "--", "c", '["--"]',
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert result(ml) == {"a": [1, 2.5, None], "b": {"$from": "data"}, "c": "--"}


def test_what_other_steps_returned_is_read_from_the_inputs(ml: Path, run: Run) -> None:
    other = ml / "processing/input/from-prepare"
    other.mkdir()
    values.write(({"n": 3}, 4), other, of="the result of steps:prepare")
    (ml / "processing/input/folder-0").mkdir()
    done = run(
        "def f(n, folder, whole):\n    return [n, folder.name, len(whole)]\n",
        "--", "0", '[{"$from":"from-prepare","$at":[0,"n"]}]',
        "--", "1", '[{"$folder":"folder-0"}]', "--", "2", '[{"$from":"from-prepare","$at":[]}]',
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert result(ml) == [3, "folder-0", 2]


PIPELINE = """
import towpath
from towpath import Condition, ForEach, Pipeline, Processing, join, parameter, step
from dataclasses import dataclass

rows = parameter("Rows", 3)

@step
def split(n: int) -> tuple[int, int]:
    return n // 2, n - n // 2

@step(cache="P30D", name="Whole")
def f(n: int) -> list[int]:
    a, b = split(n)
    return [a, b, helper(1)]

@step
def uses_what_is_not_there(n: int) -> int:
    return n + rows

def helper(x):
    return x + 1

class Mine(Processing):
    pass

a, b = split(rows)
whole = f.options(name="x")(a)
gate = Condition("Gate", if_=(whole[0] >= 0.5) & ~(b == 3), then=[whole])
pipeline = Pipeline("p", steps=[gate, *[f(i) for i in range(3)]], parameters=[rows])
if pipeline.parameters:
    each = ForEach("Each", items=[1], steps=[whole, f.options(name="y").later(ForEach.item)])
c, d = split.later(4)

@step
def asks_for_a_step(n: int) -> int:
    return split.later(n)
"""


def test_a_whole_pipeline_file_is_imported_without_making_it_and_functions_call_each_other(ml: Path, run: Run) -> None:
    done = run(PIPELINE, "--", "0", "[5]")
    assert done.returncode == 0, done.stderr
    assert result(ml) == [2, 3, 2]


def test_what_belongs_to_the_pipeline_is_refused_inside_a_function(ml: Path, run: Run) -> None:
    done = run(PIPELINE, "--", "0", "[5]", function="uses_what_is_not_there")
    assert done.returncode == 1
    assert (
        "towpath.parameter belongs to the pipeline and is not known inside of a job"
        in (ml / "output/message").read_text()
    )


def test_a_step_that_a_function_asks_for_is_refused_inside_of_it(ml: Path, run: Run) -> None:
    assert run(PIPELINE, "--", "0", "[5]", function="asks_for_a_step").returncode == 1
    assert "split.later belongs to the pipeline" in (ml / "output/message").read_text()


def test_what_functions_with_step_have_they_have_in_a_job_too() -> None:
    assert set(dir(StepFunction)) - set(dir(stand_in.StepFunction)) == set()


def test_notes_of_an_exception_follow_its_message(ml: Path, run: Run) -> None:
    done = run("def f():\n    e = ValueError('no bread')\n    e.add_note('ask the baker\\nor me')\n    raise e\n")
    assert (ml / "output/message").read_text() == (
        "steps:f: ValueError: no bread (steps.py, line 4); ask the baker\nor me"
    )
    assert done.stderr.endswith("ValueError: no bread\nask the baker\nor me\n")


def test_code_that_is_no_python_is_told_with_what_is_wrong(ml: Path, run: Run) -> None:
    assert run("def f(:\n").returncode == 1
    assert (ml / "output/message").read_text().startswith("steps:f: SyntaxError: ")


def test_an_exception_is_the_failure_reason_with_its_line_and_the_traceback_is_the_users(ml: Path, run: Run) -> None:
    done = run("def f():\n    g()\ndef g():\n    raise ValueError('no bread')\n")
    assert done.returncode == 1
    assert (ml / "output/message").read_text() == "steps:f: ValueError: no bread (steps.py, line 4)"
    assert "steps.py" in done.stderr
    assert "calling/job.py" not in done.stderr


def test_a_value_that_does_not_travel_is_the_failure_reason_and_nothing_of_it_is_left(ml: Path, run: Run) -> None:
    done = run(
        "import pathlib\ndef f():\n    pathlib.Path('a').write_text('x')\n    return pathlib.Path('a'), object()\n"
    )
    assert done.returncode == 1
    assert "the result of steps:f[1] is an object, which does not travel" in (ml / "output/message").read_text()
    assert "Traceback" not in done.stderr
    assert list((ml / "processing/output/value").iterdir()) == []


def test_a_function_that_ends_python_has_not_returned(ml: Path, run: Run) -> None:
    assert run("import sys\ndef f():\n    sys.exit(0)\n").returncode == 1
    assert "ended Python (SystemExit 0) instead of returning" in (ml / "output/message").read_text()


def test_a_function_that_is_not_there_is_told(ml: Path, run: Run) -> None:
    done = run("x = 1\n")
    assert done.returncode == 1
    assert "module steps has no 'f' any more" in (ml / "output/message").read_text()


def test_the_manifest_tells_whose_result_it_is_and_of_what_type(ml: Path, run: Run) -> None:
    run("def f():\n    return (1,)\n")
    manifest = json.loads((ml / "processing/output/value/value.json").read_text())
    assert manifest == {
        "format": "towpath-value/1",
        "of": "the result of steps:f",
        "type": "tuple",
        "value": [1],
        "kinds": {"[]": "tuple"},
    }


def test_a_module_may_import_all_that_the_package_has(ml: Path, run: Run) -> None:
    code = (
        "from towpath import *\n"
        "again = [SageMakerJobStepRetryPolicy(failure_reason_types=[SageMakerJobExceptionTypeEnum.INTERNAL_ERROR])]\n"
        "@step(retry_policies=again)\n"
        "def f():\n    return 'functools' in globals()\n"
        "pipeline = Pipeline('p', steps=[f()])\n"
    )
    done = run(code)
    assert done.returncode == 0, done.stderr
    assert result(ml) is False
