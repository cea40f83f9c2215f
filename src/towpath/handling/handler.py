"""A handler: found, called, and what comes of it as AWS Lambda's Python runtime tells it. Runs in a process of its own.

Source: AWS Lambda Developer Guide, "Define Lambda function handler in Python" and "Understanding retry behavior";
the names of errors are those of its Python runtime.
"""

import importlib
import json
import logging
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from towpath.handling.context import Context
from towpath.handling.settings import MOST_PAYLOAD, Call

UNHANDLED = "Unhandled"  #: the one word that X-Amz-Function-Error has for failures of functions today


class Failed(Exception):
    """The call failed; holds the document that is answered."""

    def __init__(self, kind: str, message: str, trace: list[str] | None = None) -> None:
        super().__init__(message)
        self.document: dict[str, Any] = {"errorMessage": message, "errorType": kind}
        if trace is not None:
            self.document["stackTrace"] = trace


def find(handler: str) -> Callable[[Any, Context], Any]:
    """Import a handler's module and return its function.

    Raises:
        Failed: there is none of that name, or the module cannot be imported.
    """
    module_name, dot, function = handler.rpartition(".")
    if not dot or not module_name:
        raise Failed("Runtime.MalformedHandlerName", f"Bad handler '{handler}': expected MODULE.FUNCTION", [])
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        _print_error(error)
        raise Failed("Runtime.ImportModuleError", f"Unable to import module '{module_name}': {error}", []) from error
    except SyntaxError as error:
        where = f'  File "{error.filename}" Line {error.lineno}\n    {(error.text or "").strip()}'
        print(f"[ERROR] Runtime.UserCodeSyntaxError: {error}\n{where}", flush=True)
        raise Failed(
            "Runtime.UserCodeSyntaxError", f"Syntax error in module '{module_name}': {error}", [where]
        ) from error
    except Exception as error:
        raise _of_user(error) from error
    found: Callable[[Any, Context], Any] | None = getattr(module, function, None)
    if found is None:
        message = f"Handler '{function}' missing on module '{module_name}'"
        print(f"[ERROR] Runtime.HandlerNotFound: {message}", flush=True)
        raise Failed("Runtime.HandlerNotFound", message, [])
    return found


def answer(handler: Callable[[Any, Context], Any], event: bytes, context: Context) -> bytes:
    """Call a handler and return what it returns, as JSON.

    Raises:
        Failed: it raised something, or returned what JSON has no word for, or too much.
    """
    try:
        returned = handler(json.loads(event), context)
    except Exception as error:
        raise _of_user(error) from error
    try:
        text = json.dumps(returned, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise Failed("Runtime.MarshalError", f"Unable to marshal response: {error}", []) from error
    if len(text) > MOST_PAYLOAD:
        raise Failed(
            "Function.ResponseSizeTooLarge",
            f"Response payload size exceeded maximum allowed payload size ({MOST_PAYLOAD} bytes).",
        )
    return text


def set_up_logging(call: Call) -> None:
    """Let loggers write as they do on AWS Lambda: level, time, request and message, apart by tabs."""
    formatter = logging.Formatter(
        f"[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t{call.request_id}\t%(message)s", "%Y-%m-%dT%H:%M:%S"
    )
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(formatter)
    logging.getLogger().addHandler(handler)


def _of_user(error: Exception) -> Failed:
    _print_error(error)
    return Failed(type(error).__name__, str(error), traceback.format_list(_own_frames(error)))


def _print_error(error: BaseException) -> None:
    trace = "".join(traceback.format_list(_own_frames(error)))
    heading = f"Traceback (most recent call last):\n{trace}" if trace else ""
    print(f"[ERROR] {type(error).__name__}: {error}\n{heading}", end="", flush=True)


def _own_frames(error: BaseException) -> list[traceback.FrameSummary]:
    """Return where an error came from, without the frames that called the handler or imported its module."""
    passed_on = (str(Path(__file__).parent), str(Path(importlib.__file__).parent), "<frozen importlib")
    return [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(passed_on)]
