"""Getting the pipeline out of the file that a user wrote."""

from __future__ import annotations

import ast
import importlib.util
import sys
import traceback
from pathlib import Path

from towpath.sdk.errors import ClientError, DefinitionError
from towpath.sdk.pipeline import Pipeline


def load_pipeline(file: Path) -> Pipeline:
    """Return the pipeline of a file: its module-level `pipeline`, or the only Pipeline in it.

    Raises:
        DefinitionError: there is no such file, it cannot be imported, or it holds no pipeline; says where.
    """
    if file.is_dir():
        file = file / "pipeline.py"
    if not file.is_file():
        raise DefinitionError(f"there is no file {str(file)!r}; give the file that makes the pipeline")
    file = file.resolve()
    name, root = _module_of(file)
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise DefinitionError(f"{file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    places = [str(file.parent), *([] if root == file.parent else [str(root)])]
    sys.path[:0] = places  # what lies beside the file can be imported, as when it is run
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except DefinitionError as fault:
        raise DefinitionError(f"{_where(file, fault)}: {fault}") from fault
    except ClientError:
        raise
    except Exception as fault:
        raise DefinitionError(_told(file, fault)) from fault
    except SystemExit as fault:
        raise DefinitionError(f"{file} ended Python while it was imported (SystemExit {fault.code})") from fault
    finally:
        for place in places:
            sys.path.remove(place)
    return _pipeline_in(vars(module), file)


def _module_of(file: Path) -> tuple[str, Path]:
    """Return the name under which a file is imported, and the folder from which it is.

    A file that imports from its own package is a module of that; any other one is run by itself, wherever it lies.
    """
    package, root = [file.stem], file.parent
    while (root / "__init__.py").is_file() and root.name.isidentifier():
        package.insert(0, root.name)
        root = root.parent
    if len(package) > 1 and _imports_from(package[0], file):
        return ".".join(package), root
    return "towpath_pipeline", file.parent


def _imports_from(package: str, file: Path) -> bool:
    try:
        tree = ast.parse(file.read_bytes(), str(file))
    except (SyntaxError, ValueError):
        return False  # whoever imports it says what is wrong
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            named = [node.module or ""] if not node.level else [package]
        else:
            named = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if any(name.partition(".")[0] == package for name in named):
            return True
    return False


def _pipeline_in(names: dict[str, object], file: Path) -> Pipeline:
    named = names.get("pipeline")
    if isinstance(named, Pipeline):
        return named
    found = {name: value for name, value in names.items() if isinstance(value, Pipeline)}
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        raise DefinitionError(f"{file} makes several pipelines ({', '.join(found)}); call the one to run `pipeline`")
    raise DefinitionError(f"{file} makes no pipeline; expected a module-level `pipeline = Pipeline(…)`")


def _told(file: Path, fault: Exception) -> str:
    if isinstance(fault, SyntaxError):
        return f"{fault.filename}, line {fault.lineno}: {fault.msg}"
    hint = ""
    if isinstance(fault, ModuleNotFoundError):
        hint = f" (install it into this environment: {sys.executable})"
    return f"{_where(file, fault)}: {type(fault).__name__}: {fault}{hint}"


def _where(file: Path, fault: Exception) -> str:
    own = [frame for frame in traceback.extract_tb(fault.__traceback__) if frame.filename == str(file)]
    return f"{file}, line {own[-1].lineno}" if own else str(file)
