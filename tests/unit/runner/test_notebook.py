"""What runs notebooks in a job: the command of papermill, and sentences where it cannot be run."""

import json
import sys
from pathlib import Path

import pytest

from towpath.runner.notebook import command, error_in, refusal


def test_the_notebook_is_run_with_the_texts_of_its_parameters(tmp_path: Path) -> None:
    environment = {
        "SM_INPUT_NOTEBOOK_NAME": "report.ipynb",
        "SM_OUTPUT_NOTEBOOK_NAME": "report-2026.ipynb",
        "SM_EXECUTION_INPUT_PATH": "/opt/ml/input/data/channel",
        "SM_KERNEL_NAME": "python3",
    }
    words = command(environment, tmp_path, '{"epochs": "3", "name": "-x y"}')
    assert words[:5] == [
        sys.executable,
        "-m",
        "papermill",
        "/opt/ml/input/data/channel/report.ipynb",
        str(tmp_path / "report-2026.ipynb"),
    ]
    assert words[5:9] == ["--cwd", "/opt/ml/input/data/channel", "--kernel", "python3"]
    assert words[-6:] == ["-r", "epochs", "3", "-r", "name", "-x y"]


def test_the_cell_that_raised_is_named(tmp_path: Path) -> None:
    written = tmp_path / "written.ipynb"
    assert error_in(written) is None, "papermill had not come to write it"
    stream = {"output_type": "stream", "name": "stdout", "text": ["rows 3\n"]}
    error = {"output_type": "error", "ename": "KeyError", "evalue": "'stars'", "traceback": ["KeyError"]}
    cells = [
        {"cell_type": "markdown", "source": "An Exception was encountered"},
        {"cell_type": "code", "execution_count": 1, "outputs": [stream]},
        {"cell_type": "code", "execution_count": 2, "outputs": [stream, error]},
        {"cell_type": "code", "execution_count": None, "outputs": []},
    ]
    written.write_text(json.dumps({"cells": cells}))
    assert error_in(written) == "KeyError: 'stars' (In [2] of the notebook)"
    written.write_text(json.dumps({"cells": cells[:2]}))
    assert error_in(written) is None


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "needs the environment variable SM_INPUT_NOTEBOOK_NAME" in str(refusal({}))
    environment = {"SM_INPUT_NOTEBOOK_NAME": "report.ipynb", "SM_EXECUTION_INPUT_PATH": str(tmp_path)}
    (tmp_path / "other.ipynb").touch()
    assert refusal(environment) == "The notebook 'report.ipynb' is not in its channel, which holds: other.ipynb"
    (tmp_path / "report.ipynb").touch()
    monkeypatch.setattr(sys, "path", [])
    assert "does not hold papermill and ipykernel. Install papermill" in str(refusal(environment))
    for name in ("papermill", "ipykernel"):
        (tmp_path / f"{name}.py").touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert refusal(environment) is None
