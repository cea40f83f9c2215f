"""Values between functions: which form a value takes in a folder, chosen by its type, and how it comes back.

A folder of a value holds `value.json`, where all that is JSON stands as it is, so that conditions can read it, and
below `files/` what is none: tables as Parquet, arrays as `.npy`, files and folders as they are. Where a table or an
array belongs, an object with the member `Towpath:NoValue` stands in `value.json`, of which conditions make a failure
with its text; folders of older releases have null there. No form holds code, and reading one runs none.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import importlib
import json
import math
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

FORMAT = "towpath-value/1"
MANIFEST = "value.json"
FILES = "files"  #: folder beside the manifest
#: Member of the object that stands in the manifest for what lies in a file alone. Its text is told to whoever reads it.
NO_VALUE = "Towpath:NoValue"
#: What may be returned, for messages.
EXPECTED = (
    "None, a boolean, a number, a text, lists, tuples, dicts with texts as keys and dataclasses of these, pandas and "
    "polars DataFrames, NumPy arrays, and pathlib.Path for a file or a folder"
)
_NUMBERS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}  #: floats that JSON has no word for


def folder_name(part: str | int) -> str:
    """Return the name of the folder for what lies under a key or an index: that itself where it can be one."""
    name = str(part)
    fits = name.replace("-", "").replace("_", "").isalnum() and name.isascii() and len(name) < 64
    return name if fits else f"key-{hashlib.sha256(name.encode()).hexdigest()[:32]}"


class ValueRefused(Exception):
    """A value has no form in which it could travel, or what lies in a folder is none; the message says what to do."""


def write(value: Any, folder: Path, *, of: str) -> None:
    """Write a value into an empty folder.

    Args:
        of: what the value is, for messages: "the result of steps:prepare".
    Raises:
        ValueRefused: it, or something inside of it, is of a type that does not travel.
    """
    writer = _Writer(folder, of)
    plain = writer.plain(value, ())
    manifest = {"format": FORMAT, "of": of, "type": type_name(type(value)), "value": plain, "kinds": writer.kinds}
    text = json.dumps(manifest, ensure_ascii=False, indent=1, allow_nan=False)
    (folder / MANIFEST).write_text(text, encoding="utf-8")


def read(folder: Path, *, classes: bool = True) -> Any:
    """Return the value that a folder holds.

    Args:
        classes: make dataclasses again, which imports their modules; False: they are dicts.
    Raises:
        ValueRefused: the folder holds no value, or a library that it needs is missing here.
    """
    manifest = parsed((folder / MANIFEST).read_text(encoding="utf-8"))
    return _Reader(folder, manifest["kinds"], classes).made(manifest["value"], ())


def parsed(text: str) -> dict[str, Any]:
    """Return the content of a `value.json`.

    Raises:
        ValueRefused: it is none, or one of a newer version.
    """
    manifest = json.loads(text)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        found = manifest.get("format") if isinstance(manifest, dict) else type(manifest).__name__
        raise ValueRefused(f"this is no value of a function step: expected the format {FORMAT!r}, found {found!r}")
    return manifest


def is_plain(manifest: Mapping[str, Any]) -> bool:
    """Return whether all of a value stands in its `value.json`."""
    return not any(kind in _FILE_KINDS for kind in manifest["kinds"].values())


def type_name(type_: type) -> str:
    """Return the name of a type as people know it: `int`, `pandas.core.frame.DataFrame`."""
    return type_.__qualname__ if type_.__module__ == "builtins" else f"{type_.__module__}.{type_.__qualname__}"


def is_number_of_numpy(value: Any) -> bool:
    """Whether a value is one number of NumPy, which `item` makes a number of Python of."""
    return _library_of(value) == "numpy" and not hasattr(value, "__len__") and hasattr(value, "item")


def _one(type_: type) -> str:
    """Return the name of a type behind its article."""
    name = type_name(type_)
    return f"{'an' if name[0] in 'aeio' else 'a'} {name}"


_Path = tuple[str | int, ...]  #: keys and indices that lead to something inside of a value
_FILE_KINDS = {"pandas", "polars", "numpy", "path"}


def _key(path: _Path) -> str:
    return json.dumps(list(path), ensure_ascii=False)


class _Writer:
    def __init__(self, folder: Path, of: str) -> None:
        self.kinds: dict[str, str] = {}  #: where something is not what JSON makes of it -> what it is
        self._folder = folder
        self._of = of
        self._inside: set[int] = set()  #: of what holds itself

    def plain(self, value: Any, path: _Path) -> Any:
        """Return what stands for a value in the manifest, and write what goes into files."""
        if value is None or type(value) in (bool, int, str):
            return value
        library = _library_of(value)
        if is_number_of_numpy(value):
            return self._number(value, path)
        if isinstance(value, float):
            return self._float(float(value), path)
        if isinstance(value, PurePath):
            return self._file(Path(value), path)
        if type(value).__name__ == "DataFrame" and library in ("pandas", "polars"):
            return self._table(value, library, path)
        if type(value).__name__ == "ndarray" and library == "numpy":
            return self._array(value, path)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return self._dataclass(value, path)
        if type(value) in (list, tuple, dict):
            return self._container(value, path)
        raise self._refused(value, path)

    def _container(self, value: Any, path: _Path) -> Any:
        if id(value) in self._inside:
            raise ValueRefused(f"{self._where(path)} holds itself, which no file can say")
        self._inside.add(id(value))
        try:
            if isinstance(value, dict):
                for key in value:
                    if type(key) is not str:
                        raise ValueRefused(
                            f"{self._where(path)} is a dict with the key {key!r} ({_one(type(key))}); "
                            "expected texts as keys"
                        )
                return {key: self.plain(item, (*path, key)) for key, item in value.items()}
            if isinstance(value, tuple):
                self.kinds[_key(path)] = "tuple"
            return [self.plain(item, (*path, index)) for index, item in enumerate(value)]
        finally:
            self._inside.discard(id(value))

    def _dataclass(self, value: Any, path: _Path) -> Any:
        type_ = type(value)
        if "<" in type_.__qualname__:
            raise ValueRefused(
                f"{self._where(path)} is of the dataclass {type_name(type_)}, which is made inside of a function; "
                "define it at the top level of a module"
            )
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if field.init}
        plain = self._container(fields, path)
        self.kinds[_key(path)] = f"dataclass {type_.__module__}:{type_.__qualname__}"
        return plain

    def _number(self, value: Any, path: _Path) -> Any:
        number = value.item()
        if type(number) in (bool, int, str, float):
            return self.plain(number, path)
        raise self._refused(value, path)

    def _float(self, value: float, path: _Path) -> float | None:
        if math.isfinite(value):
            return value
        self.kinds[_key(path)] = f"float {value}"
        return None

    def _table(self, value: Any, library: str, path: _Path) -> dict[str, str]:
        file = self._place(path) / "table.parquet"
        file.parent.mkdir(parents=True)
        try:
            if library == "pandas":
                value.to_parquet(file)
            else:
                value.write_parquet(file)
        except ImportError as fault:
            raise ValueRefused(
                f"{self._where(path)} is a pandas DataFrame, which goes into Parquet by pyarrow, and that is not in "
                f"{sys.executable}. Add pyarrow to the step's requirements"
            ) from fault
        except Exception as fault:  # of whatever library: what a column holds decides what it raises
            raise ValueRefused(
                f"{self._where(path)} is a {library} DataFrame that cannot be written as Parquet: {fault}"
            ) from fault
        self.kinds[_key(path)] = library
        instead = "Return what is to be read beside it: (table, len(table))"
        return self._no_value(path, f"a {library} DataFrame of the shape {value.shape}", instead)

    def _array(self, value: Any, path: _Path) -> dict[str, str]:
        import numpy

        if value.dtype.hasobject:
            raise ValueRefused(
                f"{self._where(path)} is a NumPy array of Python objects (dtype {value.dtype}), which would be a "
                "pickle of code. Give it a type of its own (array.astype(float)), or return a list"
            )
        file = self._place(path) / "array.npy"
        file.parent.mkdir(parents=True)
        numpy.save(file, value, allow_pickle=False)
        self.kinds[_key(path)] = "numpy"
        instead = "Return what is to be read beside it, (array, float(array.mean())), or array.tolist()"
        return self._no_value(path, f"a NumPy array of the shape {value.shape}", instead)

    def _no_value(self, path: _Path, what: str, instead: str) -> dict[str, str]:
        return {NO_VALUE: f"{self._where(path)} is {what}, which lies in a file and is no JSON. {instead}"}

    def _file(self, value: Path, path: _Path) -> str:
        if not value.exists():
            raise ValueRefused(f"{self._where(path)} is the path {str(value)!r}, where there is nothing")
        source = value.resolve()
        if self._folder.resolve().is_relative_to(source):
            raise ValueRefused(f"{self._where(path)} is {str(value)!r}, which holds the folder of results itself")
        target = self._place(path) / source.name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy2(source, target)
        self.kinds[_key(path)] = "path"
        return source.name

    def _place(self, path: _Path) -> Path:
        return self._folder.joinpath(FILES, *map(folder_name, path))

    def _where(self, path: _Path) -> str:
        return f"{self._of}{''.join(f'[{part!r}]' for part in path)}"

    def _refused(self, value: Any, path: _Path) -> ValueRefused:
        return ValueRefused(
            f"{self._where(path)} is {_one(type(value))}, which does not travel between steps; expected "
            f"{EXPECTED}. {_hint(value)}"
        )


_HINTS: Mapping[str, str] = {
    "set": "Return sorted(value)",
    "frozenset": "Return sorted(value)",
    "bytes": "Write it to a file and return its path",
    "datetime": "Return value.isoformat()",
    "date": "Return value.isoformat()",
    "Series": "Return value.to_frame()",
    "LazyFrame": "Return value.collect()",
    "Table": "Return polars.from_arrow(value), or value.to_pandas()",
    "Tensor": "Return value.numpy(force=True)",
    "range": "Return list(value)",
    "Decimal": "Return str(value) or float(value)",
    "generator": "Return list(value)",
    "function": "Functions do not travel; the step that needs it imports it",
}


def _hint(value: Any) -> str:
    """Return what to do instead of returning a value that does not travel."""
    named = _HINTS.get(type_name(type(value)).rpartition(".")[2])
    if named is not None:
        return named
    if isinstance(value, enum.Enum):
        return "Return value.value, or value.name"
    for plain in (dict, list, tuple, str, int):
        if isinstance(value, plain):  # of a class of its own, which would not come back
            return f"Return {plain.__name__}(value)"
    return "Write it to a file in the format of its own library, and return the path of that"


def _library_of(value: Any) -> str:
    return type(value).__module__.partition(".")[0]


class _Reader:
    def __init__(self, folder: Path, kinds: Mapping[str, str], classes: bool) -> None:
        self._folder = folder
        self._kinds = kinds
        self._classes = classes
        self._writer = _Writer(folder, "")  # knows the places

    def made(self, plain: Any, path: _Path) -> Any:
        kind, _, more = self._kinds.get(_key(path), "").partition(" ")
        place = self._writer._place(path)
        match kind:
            case "float":
                return _NUMBERS[more]
            case "path":
                return place / plain
            case "pandas":
                return _library("pandas").read_parquet(place / "table.parquet")
            case "polars":
                return _library("polars").read_parquet(place / "table.parquet")
            case "numpy":
                return _library("numpy").load(place / "array.npy", allow_pickle=False)
        if isinstance(plain, list):
            items = [self.made(item, (*path, index)) for index, item in enumerate(plain)]
            return tuple(items) if kind == "tuple" else items
        if isinstance(plain, dict):
            members = {key: self.made(item, (*path, key)) for key, item in plain.items()}
            return _class(more)(**members) if kind == "dataclass" and self._classes else members
        return plain


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as fault:
        raise ValueRefused(
            f"the value was made by {name}, which is not in {sys.executable}; add it to the step's requirements"
        ) from fault


def _class(named: str) -> Any:
    module, _, qualname = named.partition(":")
    found: Any = importlib.import_module(module)
    for part in qualname.split("."):
        found = getattr(found, part)
    if not dataclasses.is_dataclass(found):
        raise ValueRefused(f"{named} was a dataclass when the value was written, and is none now")
    return found


def inside(value: Any, path: Sequence[str | int], *, of: str) -> Any:
    """Return what stands inside of a value: items of lists and dicts, attributes of dataclasses.

    Raises:
        ValueRefused: there is no such item; says where.
    """
    for depth, part in enumerate(path):
        try:
            if dataclasses.is_dataclass(value) and isinstance(part, str):
                value = getattr(value, part)
            else:
                value = value[part]
        except (LookupError, TypeError, AttributeError) as fault:
            where = f"{of}{''.join(f'[{each!r}]' for each in path[:depth])}"
            raise ValueRefused(f"{where} is {_one(type(value))} and has no {part!r}") from fault
    return value
