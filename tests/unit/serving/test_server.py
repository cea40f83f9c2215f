"""Where the model server finds the handler script, and what it refuses to start with."""

from pathlib import Path

import pytest

from towpath.serving.handlers import ScriptError
from towpath.serving.server import code_folder, load_handlers


@pytest.mark.parametrize(
    ("submit_directory", "folder"),
    [
        ("", "model/code"),
        ("/opt/ml/model/code", "model/code"),
        ("file:///opt/ml/model/code", "model/code"),
        ("s3://lake/sourcedir.tar.gz", "code"),
    ],
)
def test_the_script_lies_in_the_submit_directory(tmp_path: Path, submit_directory: str, folder: str) -> None:
    assert code_folder(tmp_path, submit_directory) == tmp_path / folder


def test_a_submit_directory_elsewhere_is_taken_as_it_is(tmp_path: Path) -> None:
    assert code_folder(tmp_path, "/srv/code") == Path("/srv/code")


def test_an_empty_program_means_inference_py(tmp_path: Path) -> None:
    code = tmp_path / "model" / "code"
    code.mkdir(parents=True)
    (code / "inference.py").write_text("def model_fn(d): return d\ndef predict_fn(x, m): return m\n")
    (code / "requirements.txt").write_text("pytest>=1\n# a comment\n")
    environment = {"SAGEMAKER_PROGRAM": "", "SAGEMAKER_SUBMIT_DIRECTORY": ""}
    body, _ = load_handlers(tmp_path, environment).answer(b"1", "application/json", "text/plain")
    assert body.decode() == str(tmp_path / "model")


def test_requirements_that_are_not_met_are_refused_in_words(tmp_path: Path) -> None:
    code = tmp_path / "model" / "code"
    code.mkdir(parents=True)
    (code / "inference.py").write_text("def model_fn(d): return d\n")
    (code / "requirements.txt").write_text("no-such-distribution==3\n")
    with pytest.raises(ScriptError, match=r"no-such-distribution==3 \(not installed\)"):
        load_handlers(tmp_path, {})
    load_handlers(tmp_path, {"TOWPATH_LAYER": "f" * 64})  # the platform has judged them
