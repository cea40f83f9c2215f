"""What commands print: tables and colours on a terminal, aligned plain lines elsewhere, JSON for programs."""

from __future__ import annotations

import json
import os
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TextIO

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

#: Colour of a state word; the word itself always says it too.
COLOURS = {
    "Succeeded": "green",
    "Completed": "green",
    "InService": "green",
    "Approved": "green",
    "Failed": "red",
    "Rejected": "red",
    "OutOfService": "red",
    "Executing": "cyan",
    "InProgress": "cyan",
    "Starting": "cyan",
    "Creating": "cyan",
    "Updating": "cyan",
    "PendingManualApproval": "yellow",
    "Stopping": "yellow",
    "Stopped": "yellow",
    "Deleting": "yellow",
}


def is_terminal() -> bool:
    """Return whether a person is looking at standard output."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def console() -> Console:
    """Return a console on the standard output of this moment. Rich honours NO_COLOR by itself."""
    return Console(file=sys.stdout, highlight=False, emoji=False, soft_wrap=not is_terminal())


def say(text: str) -> None:
    """Print a line of our own words, on a terminal broken between words."""
    _print(text, sys.stdout)


def say_as_it_is(text: str) -> None:
    """Print a line that people may copy, or that is not ours: a command, a line of a log. It is never broken."""
    console().print(escape(text), soft_wrap=True)


def note(text: str) -> None:
    """Print a line that is not the command's result, to standard error."""
    _print(text, sys.stderr)


def _print(text: str, stream: TextIO) -> None:
    if stream.isatty() and os.environ.get("TERM") != "dumb":
        text = broken(text, Console(file=stream).width)
    print(text, file=stream, flush=True)


def broken(text: str, width: int) -> str:
    """Return a text whose lines are broken between words, going on at their own indentation.

    A word that is longer than a line stays whole: it is a path or an address, and somebody may copy it.
    """
    lines = []
    for line in text.splitlines():
        indent = line[: len(line) - len(line.lstrip())]
        parts = textwrap.wrap(
            line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False, tabsize=4
        )
        lines += parts or [""]
    return "\n".join(lines)


@contextmanager
def busy(text: str) -> Iterator[None]:
    """Show on a terminal that something goes on, while it does."""
    if not is_terminal():
        yield
        return
    with console().status(escape(text)):
        yield


def heading(text: str) -> None:
    """Print the title of a section."""
    console().print(f"\n[bold]{escape(text)}[/bold]", soft_wrap=True)


def show_json(document: Any) -> None:
    """Print a document for programs."""
    print(json.dumps(document, indent=1, ensure_ascii=False, sort_keys=False))


def coloured(word: str) -> Text:
    """Return a state word in its colour."""
    return Text(word, style=COLOURS.get(word, ""))


def show_facts(facts: Iterable[tuple[str, str]]) -> None:
    """Print what is known of something, a name and a text each; texts go on below themselves."""
    table = Table.grid(padding=(0, 2))
    rows = list(facts)
    width = max((len(name) for name, _ in rows), default=0)
    for name, text in rows:
        if is_terminal():
            table.add_row("", Text(name.ljust(width), style="dim"), Text(text))
        else:
            print(f"  {name.ljust(width)}  {text}")
    if is_terminal():
        console().print(table)


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str = "", indent: int = 0) -> None:
    """Print rows: a table on a terminal, else aligned columns, one line a row and nothing cut off.

    Columns of sizes and times are aligned at their right.
    """
    filled = [[str(cell) for cell in row] for row in rows]
    if is_terminal():
        table = Table(title=title or None, title_justify="left", title_style="bold", box=None, pad_edge=False)
        for column in columns:
            right = column in {"size", "time", "files"}
            table.add_column(
                column,
                header_style="dim",
                overflow="fold",
                justify="right" if right else "left",
                no_wrap=right or column == "sha256",
            )
        for row in filled:
            table.add_row(*(coloured(cell) for cell in row))
        console().print(Padding(table, (0, 0, 0, indent)))
        return
    if title:
        print(title)
    lines = [[column.upper() for column in columns], *filled]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    for line in lines:
        print(" " * indent + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def show_document(document: Any, *, indent: int = 0) -> None:
    """Print a document for people: indented names and values, times as such."""
    print("\n".join(document_lines(document, indent=indent)))


def document_lines(document: Any, *, indent: int = 0) -> list[str]:
    """Return a document as indented lines."""
    pad = "  " * indent
    if isinstance(document, dict):
        lines: list[str] = []
        width = max((len(name) for name, value in document.items() if not _is_nested(value)), default=0)
        for name, value in document.items():
            if _is_nested(value):
                lines += [f"{pad}{name}:", *document_lines(value, indent=indent + 1)]
            else:
                lines += [f"{pad}{name.ljust(width)}  {_scalar(name, value)}"]
        return lines
    if isinstance(document, list):
        lines = []
        for item in document:
            inner = document_lines(item, indent=indent + 1)
            lines += [f"{pad}- {inner[0].strip()}", *inner[1:]] if inner else [f"{pad}-"]
        return lines
    return [f"{pad}{document}"]


def _is_nested(value: Any) -> bool:
    return isinstance(value, dict | list) and bool(value)


def _scalar(name: str, value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool) and name.endswith(("Time", "At", "Timestamp")):
        return when(float(value))
    if value in ({}, []):
        return "none"
    return "" if value is None else str(value)


def when(epoch_s: float | None) -> str:
    """Return a time of the wire in this machine's zone."""
    if epoch_s is None:
        return ""
    return datetime.fromtimestamp(epoch_s, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def duration(seconds: float | None) -> str:
    """Return a duration for people: 4.2 s, 2 min 05 s, 1 h 02 min."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def size(count: float) -> str:
    """Return a number of bytes for people."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError("unreachable")
