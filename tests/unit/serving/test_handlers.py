"""Loading of handler scripts and the defaults that complete them."""

import json
from pathlib import Path

import pytest

from towpath.serving.handlers import Handlers, ScriptError, load, load_script


def loaded(folder: Path, source: str, name: str = "handler") -> Handlers:
    code = folder / "model" / "code"
    code.mkdir(parents=True, exist_ok=True)
    (code / f"{name}.py").write_text(source)
    return load(load_script(code, f"{name}.py"), folder / "model")


def test_the_four_functions_are_called_in_turn(tmp_path: Path) -> None:
    handlers = loaded(
        tmp_path,
        """
def model_fn(model_dir): return {"factor": 3}
def input_fn(body, content_type): assert isinstance(body, str); return [float(x) for x in body.split(";")]
def predict_fn(data, model): return [x * model["factor"] for x in data]
def output_fn(prediction, accept): return ";".join(str(x) for x in prediction), "text/x-list"
""",
    )
    assert handlers.answer(b"1;2", "text/x-list", "*/*") == (b"3.0;6.0", "text/x-list")


def test_a_script_with_only_model_fn_gets_json_in_predict_and_json_out(tmp_path: Path) -> None:
    handlers = loaded(
        tmp_path,
        """
class Doubler:
    def predict(self, rows): return [2 * x for x in rows]
def model_fn(model_dir): return Doubler()
""",
    )
    body, content_type = handlers.answer(b"[1, 2]", "application/json", "application/json")
    assert (json.loads(body), content_type) == ([2, 4], "application/json")


def test_functions_that_take_a_context_get_one(tmp_path: Path) -> None:
    handlers = loaded(
        tmp_path,
        """
def model_fn(model_dir, context): return context.system_properties["model_dir"]
def predict_fn(data, model, context): return [model, context.system_properties["gpu_id"]]
""",
    )
    body, _ = handlers.answer(b"[]", "application/json", "*/*")
    assert json.loads(body) == [str(tmp_path / "model"), None]


def test_transform_fn_replaces_the_other_three(tmp_path: Path) -> None:
    handlers = loaded(
        tmp_path,
        """
def model_fn(model_dir): return "m"
def transform_fn(model, body, content_type, accept): return f"{model}:{body.decode()}:{content_type}"
""",
    )
    assert handlers.answer(b"x", "image/png", "text/plain") == (b"m:x:image/png", "text/plain")


def test_both_ways_at_once_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match="transform_fn and also predict_fn"):
        loaded(
            tmp_path,
            "def model_fn(d): ...\ndef transform_fn(m, b, c, a): ...\ndef predict_fn(d, m): ...\n",
        )


def test_a_script_without_model_fn_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match="defines no model_fn"):
        loaded(tmp_path, "x = 1\n")


def test_an_absent_script_is_refused_with_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text("")
    with pytest.raises(ScriptError, match=r"'inference.py' in .*\(other.py\).*SAGEMAKER_PROGRAM"):
        load_script(tmp_path, "inference.py")


def test_a_script_imports_its_neighbours(tmp_path: Path) -> None:
    code = tmp_path / "model" / "code"
    code.mkdir(parents=True)
    (code / "neighbour_of_handler.py").write_text("FACTOR = 5\n")
    handlers = loaded(
        tmp_path,
        "import neighbour_of_handler as n\ndef model_fn(d): return n.FACTOR\ndef predict_fn(x, m): return x * m\n",
        name="importing_handler",
    )
    assert handlers.answer(b"2", "application/json", "*/*") == (b"10", "application/json")
