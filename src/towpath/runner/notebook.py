"""Runs a notebook inside a job, as the scheduler in SageMaker's own images does: by papermill, cell by cell.

It is laid out in the job's own folder and runs in the job's environment, so it uses the standard library alone and
reads nothing of the platform. Without papermill in that environment the job ends with a sentence that says so.
Source: SageMaker Python SDK, NotebookJobStep: the environment variables, the channel and the entrypoint that it sends.
"""

import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

OPT_ML = Path("/opt/ml")


def main() -> None:
    """Run papermill and exit as it does, or exit with 1 and say why not."""
    problem = refusal(os.environ)
    if problem is not None:
        _tell(problem)
        sys.exit(problem)
    parameters = (OPT_ML / "input" / "config" / "hyperparameters.json").read_text(encoding="utf-8")
    outputs = OPT_ML / "output" / "data"
    outputs.mkdir(parents=True, exist_ok=True)
    # Whoever stops the job asks papermill as well, which ends its kernel and writes what there is so far.
    signal.signal(signal.SIGTERM, lambda *_: None)
    code = subprocess.run(command(os.environ, outputs, parameters), check=False).returncode
    if code > 0:
        told = error_in(written_to(os.environ, outputs))
        if told is not None:
            _tell(told)
    sys.exit(code if code >= 0 else 128 - code)  # as a shell tells of a signal


def _tell(reason: str) -> None:
    failure = OPT_ML / "output" / "failure"
    failure.parent.mkdir(parents=True, exist_ok=True)
    failure.write_text(reason, encoding="utf-8")


def refusal(environment: Mapping[str, str]) -> str | None:
    """Return why the notebook cannot run, None when it can."""
    missing = [name for name in ("SM_INPUT_NOTEBOOK_NAME", "SM_EXECUTION_INPUT_PATH") if not environment.get(name)]
    if missing:
        return f"A notebook job needs the environment variable {missing[0]}, which the SageMaker SDK sets"
    notebook = Path(environment["SM_EXECUTION_INPUT_PATH"], environment["SM_INPUT_NOTEBOOK_NAME"])
    if not notebook.is_file():
        present = ", ".join(sorted(path.name for path in notebook.parent.glob("*"))[:20]) or "nothing"
        return f"The notebook {notebook.name!r} is not in its channel, which holds: {present}"
    absent = [name for name in ("papermill", "ipykernel") if importlib.util.find_spec(name) is None]
    if absent:
        return (
            f"A notebook is run by papermill, and the environment of {sys.executable} does not hold "
            f"{' and '.join(absent)}. Install papermill and ipykernel there, or map the image to another environment"
        )
    return None


def command(environment: Mapping[str, str], outputs: Path, parameters: str) -> list[str]:
    """Return the command that runs the notebook.

    Args:
        outputs: folder that the notebook with its results is written to.
        parameters: JSON object of the notebook's parameters, which are texts.
    """
    folder = environment["SM_EXECUTION_INPUT_PATH"]
    name = environment["SM_INPUT_NOTEBOOK_NAME"]
    words = [sys.executable, "-m", "papermill", f"{folder}/{name}"]
    words += [str(written_to(environment, outputs))]
    words += ["--cwd", folder, "--kernel", environment.get("SM_KERNEL_NAME") or "python3", "--log-output"]
    for key, value in json.loads(parameters).items():
        words += ["-r", key, value]
    return words


def written_to(environment: Mapping[str, str], outputs: Path) -> Path:
    """Return the file of the notebook with its results."""
    return outputs / (environment.get("SM_OUTPUT_NOTEBOOK_NAME") or environment["SM_INPUT_NOTEBOOK_NAME"])


def error_in(notebook: Path) -> str | None:
    """Return what a cell raised and which it was, None where none did: papermill's own words end with its own frames.

    Args:
        notebook: the one with the results, which is not there when papermill failed before it ran a cell.
    """
    if not notebook.is_file():
        return None
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        for output in cell.get("outputs", ()):
            if output["output_type"] == "error":
                return f"{output['ename']}: {output['evalue']} (In [{cell['execution_count']}] of the notebook)"
    return None


if __name__ == "__main__":
    main()
