"""Reads a job's requirements files: which packages they ask for, and where these may come from."""

import re
from collections.abc import Iterable
from pathlib import Path

#: Where packages come from; handed on as they are.
_SOURCES = {
    "-i": "--index-url",
    "--index-url": "--index-url",
    "--extra-index-url": "--extra-index-url",
    "-f": "--find-links",
    "--find-links": "--find-links",
}
_INCLUDES = {"-r": "-r", "--requirement": "-r", "-c": "-c", "--constraint": "-c"}
_OPTION = re.compile(r"(--?[A-Za-z][A-Za-z-]*)(?:[=\s]\s*(.*))?$")
_DEEPEST = 10
_CREDENTIALS = re.compile(r"://[^/@\s]+@")


class Refused(Exception):
    """No layer can be made of what a job asks for; the message is the job's failure reason."""


class Asked:
    """What all requirements files of a job ask for together."""

    def __init__(self) -> None:
        self.lines: list[str] = []  #: packages
        self.constraints: list[str] = []
        self.sources: list[str] = []  #: options that say where packages come from
        self.ignored: list[str] = []  #: options that have no effect here

    def text(self) -> str:
        """Return what decides which packages are wanted, in an order of its own."""
        parts = [*sorted(set(self.lines)), *(f"-c {line}" for line in sorted(set(self.constraints))), *self.sources]
        return "".join(f"{part}\n" for part in parts)


def asked_for(files: Iterable[Path], root: Path) -> Asked:
    """Return what the files that exist ask for, with those that they include.

    Args:
        root: folder of the job; nothing outside of it is read.
    Raises:
        Refused: a line asks for something that a layer cannot hold.
    """
    asked = Asked()
    for file in files:
        if file.is_file():
            _read(file, root.resolve(), asked, asked.lines, depth=0)
    return asked


def without_credentials(text: str) -> str:
    """Return a text whose URLs name no user and no password."""
    return _CREDENTIALS.sub("://***@", text)


def _read(file: Path, root: Path, asked: Asked, lines: list[str], *, depth: int) -> None:
    place = file.resolve()
    if root not in place.parents:
        raise Refused(f"{file.name} leads out of the job's own files")
    if depth > _DEEPEST:
        raise Refused(f"{file.name} includes requirements files more than {_DEEPEST} deep, perhaps itself")
    try:
        content = place.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise Refused(f"The requirements file {file.name} is included and does not exist") from error
    except (UnicodeDecodeError, IsADirectoryError) as error:
        raise Refused(f"{file.name} is no text file of requirements") from error
    for raw in content.replace("\\\r\n", " ").replace("\\\n", " ").splitlines():
        line = re.sub(r"(^|\s)#.*$", "", raw).strip()
        if not line:
            continue
        if not line.startswith("-"):
            lines.append(_package(line, file.name))
            continue
        option = _OPTION.match(line)
        name, value = (option[1], (option[2] or "").strip()) if option else (line, "")
        # pip takes the value of a short option without a space too.
        if name not in {*_SOURCES, *_INCLUDES} and line[:2] in {*_SOURCES, *_INCLUDES} and not line.startswith("--"):
            name, value = line[:2], line[2:].strip()
        if name in _INCLUDES:
            deeper = asked.constraints if _INCLUDES[name] == "-c" else lines
            _read(file.parent / value, root, asked, deeper, depth=depth + 1)
        elif name in _SOURCES:
            if not value.startswith(("https://", "http://")):
                raise Refused(f"{file.name}: {line!r} names no https:// address; packages come from an index")
            asked.sources.append(f"{_SOURCES[name]} {value}")
        elif name in {"-e", "--editable"}:
            raise Refused(f"{file.name}: {line!r} is not supported: put the code itself into the source, beside it")
        else:
            asked.ignored.append(name)


def _package(line: str, file: str) -> str:
    """Return a line that asks for a package, if a layer can hold what it names."""
    target = line.partition("@")[2].strip() if re.match(r"[\w.\-]+\s*(\[[^\]]*\])?\s*@", line) else line
    if target.startswith((".", "/", "file:", "~")) or re.match(r"[\w+]+\+\w+://", target):
        raise Refused(
            f"{file}: {line!r} is not supported: only packages of an index and wheels by https:// address are"
        )
    return line
