"""The functions of a handler script (`model_fn`, `input_fn`, `predict_fn`, `output_fn`, `transform_fn`), completed."""

import importlib.util
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from towpath.serving.content import decode, encode, is_utf8, unreadable


class ScriptError(Exception):
    """The handler script is absent or lacks a function; the message says what was looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handlers:
    """A loaded model and the way from a request body to a response body."""

    model: Any
    transform: Callable[[Any, bytes | str, str, str], Any]

    def answer(self, body: bytes, content_type: str, accept: str) -> tuple[bytes, str]:
        """Return (body, content type) of the model's answer. Bodies of text types reach the script as `str`.

        Raises:
            UnreadableBody: the body is of a text type and no UTF-8.
        """
        try:
            readable = body.decode() if is_utf8(content_type) else body
        except UnicodeDecodeError as error:
            raise unreadable(body, content_type, error) from error
        return _as_response(self.transform(self.model, readable, content_type, accept), accept)


def load_script(code_dir: Path, program: str) -> ModuleType:
    """Import the handler script with its folder on the module path.

    Raises:
        ScriptError: there is no such file.
    """
    path = code_dir / program
    if not path.is_file():
        present = ", ".join(sorted(p.name for p in code_dir.iterdir())) if code_dir.is_dir() else "no such folder"
        raise ScriptError(
            f"No handler script {program!r} in {code_dir} ({present}). Put inference.py into the model archive "
            "under code/, or name the script in the environment variable SAGEMAKER_PROGRAM"
        )
    for folder in (str(code_dir), str(path.parent)):
        if folder not in sys.path:
            sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Registered before it runs, as `import` does: classes of the script can then be unpickled by their module's name.
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def load(script: ModuleType, model_dir: Path) -> Handlers:
    """Load the model by the script's `model_fn` and return it with the script's functions.

    Raises:
        ScriptError: `model_fn` is not there, or `transform_fn` stands beside functions that it replaces.
    """
    functions = {
        name: getattr(script, name, None)
        for name in ("model_fn", "input_fn", "predict_fn", "output_fn", "transform_fn")
    }
    context = SimpleNamespace(system_properties={"model_dir": str(model_dir), "gpu_id": None}, manifest={})
    model_fn = _completed(functions["model_fn"], context, positional=1)
    if model_fn is None:
        raise ScriptError(f"{script.__name__}.py defines no model_fn(model_dir), so the model cannot be loaded")
    shadowed = [name for name in ("input_fn", "predict_fn", "output_fn") if functions[name]]
    whole = _completed(functions["transform_fn"], context, positional=4)
    if whole is not None and shadowed:
        raise ScriptError(f"{script.__name__}.py defines transform_fn and also {', '.join(shadowed)}; keep one way")
    if whole is None:
        whole = chain(
            _completed(functions["input_fn"], context, positional=2) or decode,
            _completed(functions["predict_fn"], context, positional=2) or predict,
            _completed(functions["output_fn"], context, positional=2) or encode,
        )
    return Handlers(model=model_fn(str(model_dir)), transform=whole)


def chain(
    input_fn: Callable[[bytes | str, str], Any],
    predict_fn: Callable[[Any, Any], Any],
    output_fn: Callable[[Any, str], Any],
) -> Callable[[Any, bytes | str, str, str], Any]:
    """Return the one transformation that the three functions make together."""

    def transform(model: Any, body: bytes | str, content_type: str, accept: str) -> Any:
        return output_fn(predict_fn(input_fn(body, content_type), model), accept)

    return transform


def predict(data: Any, model: Any) -> Any:
    """Predict with what the model has: a `predict` method, or by calling it.

    Raises:
        ScriptError: it has neither.
    """
    if hasattr(model, "predict"):
        return model.predict(data)
    if callable(model):
        return model(data)
    raise ScriptError(f"A {type(model).__name__} has no predict method and cannot be called; define predict_fn")


def _completed(function: Any, context: SimpleNamespace, *, positional: int) -> Callable[..., Any] | None:
    """Return `function` with the context filled in where it takes one more argument than it must."""
    if function is None:
        return None
    takes = [
        p
        for p in inspect.signature(function).parameters.values()
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    if len(takes) <= positional:
        completed: Callable[..., Any] = function
        return completed
    return lambda *given: function(*given, context)


def _as_response(answer: Any, accept: str) -> tuple[bytes, str]:
    """Return (body, content type) of what output_fn or transform_fn gave back: a body, or (body, content type)."""
    content_type = accept.partition(",")[0].strip()
    if content_type in {"", "*/*"}:
        content_type = "application/json"
    if isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[1], str):
        answer, content_type = answer
    if isinstance(answer, str):
        return answer.encode(), content_type
    if isinstance(answer, bytes | bytearray | memoryview):
        return bytes(answer), content_type
    # A script that returns a plain value lets us write it, as it would have with the default output_fn.
    return encode(answer, content_type)
