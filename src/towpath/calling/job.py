"""The job of a function step: arguments in, function called, result out.

Its command line is the function as `MODULE:QUALNAME`, and then for each argument the word `--`, the name (a number for
one by position) and its JSON, which may be cut into several words.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from towpath.calling import values

#: What stands in an argument for what is no JSON; see `arguments`.
FROM = "$from"  #: the result of another step, by the name of the input that it lies in
AT = "$at"  #: keys and indices that lead into it
FOLDER = "$folder"  #: the folder of an input
RAW = "$raw"  #: a dict that would be taken for one of these, as a list of pairs


class Problem(Exception):
    """The step cannot do what it was asked for; the message is its failure reason."""


def arguments(words: Sequence[str], inputs: Path) -> tuple[list[Any], dict[str, Any]]:
    """Return (arguments by position, arguments by name) of a command line.

    Args:
        inputs: the folder that holds the job's inputs.
    """
    given: dict[str, str] = {}
    name, begins = "", False
    for word in words:
        if begins:
            name, begins = word, False
            given[name] = ""
        elif word == "--":
            begins = True
        else:
            given[name] += word
    found = {name: _made(json.loads(text)[0], inputs) for name, text in given.items()}
    by_position = [found[name] for name in sorted((name for name in found if name.isdigit()), key=int)]
    return by_position, {name: value for name, value in found.items() if not name.isdigit()}


def _made(tree: Any, inputs: Path) -> Any:
    if isinstance(tree, list):
        return [_made(item, inputs) for item in tree]
    if not isinstance(tree, dict):
        return tree
    if FROM in tree:
        whole = values.read(inputs / tree[FROM])
        return values.inside(whole, tree[AT], of=f"the result of step {tree[FROM].removeprefix('from-')}")
    if FOLDER in tree:
        return inputs / tree[FOLDER]
    if RAW in tree:
        return {name: _made(item, inputs) for name, item in tree[RAW]}
    return {name: _made(item, inputs) for name, item in tree.items()}


def function_named(named: str) -> Any:
    """Return the function of `MODULE:QUALNAME`, as it was written.

    Raises:
        Problem: there is none in the code that travelled along.
    """
    module, _, qualname = named.partition(":")
    found: Any = importlib.import_module(module)
    try:
        for part in qualname.split("."):
            found = getattr(found, part)
    except AttributeError as fault:
        raise Problem(
            f"module {module} has no {qualname!r} any more once it is imported in the job: {fault}"
        ) from fault
    return getattr(found, "function", found)


def run(named: str, words: Sequence[str], *, code: Path, inputs: Path, output: Path) -> None:
    """Call a function and write what it returns."""
    sys.path.insert(0, str(code))
    os.chdir(code)
    function = function_named(named)
    import towpath

    begin = getattr(towpath, "begin", None)  # of the stand-in, which the package is in a job
    if begin is not None:
        begin()
    by_position, by_name = arguments(words, inputs)
    try:
        result = function(*by_position, **by_name)
    except SystemExit as ended:
        raise Problem(f"the function ended Python (SystemExit {ended.code}) instead of returning") from ended
    try:
        values.write(result, output, of=f"the result of {named}")
    except values.ValueRefused:
        for left in output.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        raise


def main() -> None:
    """Run the function of this job; what is wrong with a value becomes the failure reason, without a traceback."""
    opt_ml = Path(__file__).absolute().parents[5]  # not resolved: it may be a link to where the object lies
    processing = opt_ml / "processing"
    named, *words = sys.argv[1:]
    try:
        run(
            named,
            words,
            code=processing / "input" / "code",
            inputs=processing / "input",
            output=processing / "output" / "value",
        )
    except (Problem, values.ValueRefused) as fault:
        (opt_ml / "output" / "message").write_text(str(fault), encoding="utf-8")
        sys.exit(f"{named}: {fault}")
    except Exception as fault:  # noqa: BLE001 — the function's own, or of the import of its module: both are the user's to see
        told = traceback.TracebackException.from_exception(fault)
        told.stack = _frames(fault)
        (opt_ml / "output" / "message").write_text(f"{named}: {_reason(told)}", encoding="utf-8")
        sys.exit("".join(told.format()).rstrip())


def _reason(told: traceback.TracebackException) -> str:
    """Return an exception in a line: its type and message, where it was raised, and what was noted on it."""
    notes, told.__notes__ = told.__notes__ or [], []
    last = [*told.format_exception_only()][-1].strip()  # of a SyntaxError the lines before show the code
    told.__notes__ = notes
    where = f" ({Path(told.stack[-1].filename).name}, line {told.stack[-1].lineno})" if told.stack else ""
    return f"{last}{where}{''.join(f'; {note.strip()}' for note in notes)}"


def _frames(fault: BaseException) -> traceback.StackSummary:
    """Return where an exception came from, without what runs the function and what imports its module."""
    return traceback.StackSummary.from_list(
        frame
        for frame in traceback.extract_tb(fault.__traceback__)
        if frame.filename != __file__ and "importlib" not in frame.filename
    )
