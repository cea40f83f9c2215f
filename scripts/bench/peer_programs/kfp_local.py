"""Kubeflow Pipelines on the local machine: a process for each step, one after the other."""

import tempfile

import kfp
from answering import answer, needs
from kfp import dsl, local


@dsl.component(base_image="python:3.11", install_kfp_package=False)  # it is in the environment already
def noop() -> None:
    """Leave a mark. KFP takes this function alone, so it imports what it needs."""
    import os

    with open(os.environ["TOWPATH_BENCH_MARKS"], "ab", buffering=0) as file:  # noqa: PTH123
        file.write(b".")


def run(kind: str, size: int) -> None:
    """Run a pipeline; KFP raises where a step fails."""

    @dsl.pipeline(name="bench")  # type: ignore[untyped-decorator]
    def pipeline() -> None:
        tasks = []
        for wanted in needs(kind, size):
            task = noop()
            tasks.append(task.after(*(tasks[number] for number in wanted)) if wanted else task)

    pipeline()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="towpath-bench-") as root:
        local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root=root)
        answer(run, kfp.__version__)
