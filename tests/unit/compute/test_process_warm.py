"""Which zygote a job had best begin from, by what is known before it starts."""

from typing import Any

import pytest
from msgspec.structs import replace

from towpath.compute.process.warm import Imports, Wish, wish_of
from towpath.jobs.model import HostPart, JobSpec

PYTHON = "/environment/bin/python"
JOB = JobSpec(key="job-1", kind="processing", name="job-1", argv=("python3", "/opt/ml/code/train.py"), python=PYTHON)


def wish(job: JobSpec, **members: Any) -> tuple[Wish | None, str]:
    asked = {"sandbox": "namespace", "python_folder": "/environment/bin", "python": PYTHON, **members}
    return wish_of(job, Imports(("numpy",), always=True), **asked)


def test_jobs_of_one_environment_begin_from_the_same_zygote() -> None:
    one, because = wish(JOB)
    assert because == ""
    assert one is not None
    assert one["python"] == PYTHON
    assert one["imports"] == ["numpy"]
    assert one["environment"] == {
        "HOME": "/tmp",
        "LANG": "C.UTF-8",
        "PATH": "/environment/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "PYTHONUNBUFFERED": "1",
        "TMPDIR": "/tmp",
    }
    other = replace(
        JOB, key="job-2", environment={"SM_HOSTS": "[]", "AWS_REGION": "us-east-1", "FLAVOUR": "{{secrets.X}}"}
    )
    assert wish(other) == (one, "")


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "LANG", "TOKENIZERS_PARALLELISM"])
def test_jobs_with_variables_that_imports_read_begin_from_another(name: str) -> None:
    one, _ = wish(JOB)
    other, because = wish(replace(JOB, environment={name: "x"}))
    assert because == ""
    assert other is not None
    assert one is not None
    assert other["environment"] != one["environment"]


@pytest.mark.parametrize(
    ("members", "because"),
    [
        ({"argv": ("{python}", "-m", "package")}, "its command is no Python script"),
        ({"argv": ("{python}",)}, "its command is no Python script"),
        ({"argv": ("bash", "/opt/ml/code/train.py")}, "its command is no Python script"),
        ({"argv": ("/usr/bin/python3", "/opt/ml/code/train.py")}, "its command is no Python script"),
        ({"python": "/other/bin/python"}, f"its interpreter is not the platform's own, {PYTHON}"),
        ({"serves": True}, "it serves"),
        ({"hosts": (HostPart(name="algo-1"), HostPart(name="algo-2"))}, "it has several hosts"),
        (
            {"environment": {"OMP_NUM_THREADS": "{{secrets.THREADS}}", "LANG": "../../tmp"}},
            "a variable that libraries read while they are imported has an odd value: LANG, OMP_NUM_THREADS",
        ),
    ],
)
def test_a_job_that_cannot_begin_warm_says_why(members: dict[str, Any], because: str) -> None:
    assert wish(replace(JOB, **members)) == (None, because)


@pytest.mark.parametrize("sandbox", ["bwrap", "paths"])
def test_only_jobs_in_namespaces_begin_warm(sandbox: str) -> None:
    assert wish(JOB, sandbox=sandbox) == (None, f"its sandbox is {sandbox}")


def test_an_interpreter_without_a_folder_of_its_own_begins_cold() -> None:
    assert wish(JOB, python_folder="")[0] is None


@pytest.mark.parametrize("name", ["PATH", "HOME", "TMPDIR", "PYTHONPATH", "LD_PRELOAD", "LD_LIBRARY_PATH"])
def test_no_job_says_where_imports_outside_of_its_sandbox_look(name: str) -> None:
    assert wish(replace(JOB, environment={name: "/home/jobs/other/ml"}))[0] == wish(JOB)[0]
