"""Kubeflow Pipelines on the local machine: a process for each step, one after the other."""

import tempfile

import kfp
from answering import answer, needs
from kfp import dsl, local


@dsl.component(base_image="python:3.11", install_kfp_package=False)  # it is in the environment already
def noop() -> None:
    """Do nothing."""


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
