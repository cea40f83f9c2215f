"""The code of a step: which files belong to it, their digest, and the archive that is uploaded.

The same files always give the same bytes and the same digest, wherever and whenever they are packed.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path

from towpath.sdk.errors import DefinitionError

#: Never part of a step's code. A file `.towpathignore` in the packed folder adds patterns, one a line.
IGNORED = (
    ".git", ".hg", ".svn", ".towpath", ".towpathignore", ".data", ".venv", ".venv-*", "venv", "node_modules",
    "__pycache__", "*.pyc", "*.egg-info", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis",
    ".ipynb_checkpoints", ".idea", ".vscode", ".DS_Store",
)  # fmt: skip
LARGEST_BYTES = 100 * 1024 * 1024  #: of a step's code, unpacked; data belongs in the lake


@dataclass(frozen=True, kw_only=True)
class CodeFile:
    """One file of a step's code."""

    name: str  #: where it lies in the bundle, with forward slashes
    content: bytes
    executable: bool


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """The code of a step."""

    script: str  #: name of the file that is run
    files: tuple[CodeFile, ...]  #: sorted by name

    @property
    def digest(self) -> str:
        """SHA-256, in hex, of names, modes and contents."""
        whole = hashlib.sha256()
        for file in self.files:
            content = hashlib.sha256(file.content).hexdigest()
            whole.update(f"{file.name}\0{'x' if file.executable else '-'}\0{content}\n".encode())
        return whole.hexdigest()

    def with_file(self, name: str, text: str) -> Bundle:
        """Return the bundle with this text as a file of that name, in place of one that it may hold."""
        file = CodeFile(name=name, content=text.encode(), executable=False)
        kept = (*(each for each in self.files if each.name != name), file)
        return replace(self, files=tuple(sorted(kept, key=lambda each: each.name.encode())))

    def archive(self) -> bytes:
        """Return the files as `sourcedir.tar.gz`."""
        import gzip  # a seventh of the client's imports, for what few calls need
        import tarfile

        packed = io.BytesIO()
        # Time, owner and file name in the headers would make each packing differ.
        with (
            gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0, compresslevel=6) as squeezed,
            tarfile.open(fileobj=squeezed, mode="w", format=tarfile.PAX_FORMAT) as tar,
        ):
            for file in self.files:
                entry = tarfile.TarInfo(file.name)
                entry.size = len(file.content)
                entry.mode = 0o755 if file.executable else 0o644
                entry.mtime = 0
                tar.addfile(entry, io.BytesIO(file.content))
        return packed.getvalue()


def function_runtime() -> Bundle:
    """Return what runs functions as steps: `towpath.calling`, beside a package `towpath` that stands for ours there."""
    import towpath.calling
    import towpath.sdk

    source = Path(towpath.calling.__file__).parent
    names = {
        "run.py": source / "run.py",
        "towpath/__init__.py": source / "stand_in.py",
        **{f"towpath/calling/{name}": source / name for name in ("__init__.py", "job.py", "values.py")},
    }
    files = [CodeFile(name=name, content=path.read_bytes(), executable=False) for name, path in names.items()]
    known = "".join(f"{name}\n" for name in sorted(towpath.sdk.__all__)).encode()
    files.append(CodeFile(name="towpath/names.txt", content=known, executable=False))
    return Bundle(script="run.py", files=tuple(sorted(files, key=lambda file: file.name.encode())))


def bundle(root: Path, script: str, *, source_dir: str | None = None, include: tuple[str, ...] = ()) -> Bundle:
    """Return the code of a step.

    Args:
        root: the folder that the other paths start from.
        script: the file to run; below `source_dir` where that is given.
        source_dir: a folder that is packed whole, but for what is ignored.
        include: more files or folders to put beside the script, when there is no `source_dir`.
    Raises:
        DefinitionError: a file is missing, lies outside, or the code is too large.
    """
    if source_dir is not None:
        if include:
            raise DefinitionError("give source_dir or include, not both: source_dir takes the whole folder")
        folder = (root / source_dir).resolve()
        if not folder.is_dir():
            raise DefinitionError(f"there is no folder {source_dir!r} in {root}")
        name = _inside(folder, script, "script")
        files = tuple(_read(path, folder) for path in _walk(folder, folder, _patterns(folder)))
        if name not in {file.name for file in files}:
            raise DefinitionError(f"script {script!r} is ignored by .towpathignore in {folder}; take it out there")
    else:
        # The script lies at the bundle's root, wherever it stands, and what it includes keeps its place beside it.
        path = root / script
        folder = path.parent.resolve()
        name = _inside(folder, path.name, "script", shown=f"{script!r} in {root}")
        chosen = {folder / name}
        for extra in include:
            member = folder / _inside(folder, extra, "include", folder_allowed=True)
            chosen.update(_walk(member, folder, _patterns(folder)) if member.is_dir() else [member])
        files = tuple(_read(member, folder) for member in chosen)
    size = sum(len(file.content) for file in files)
    if size > LARGEST_BYTES:
        largest = max(files, key=lambda file: len(file.content))
        raise DefinitionError(
            f"the code of {script} is {size >> 20} MB, above {LARGEST_BYTES >> 20} MB (largest file: {largest.name}). "
            "Put data into the lake (towpath data put), or name what to leave out in .towpathignore"
        )
    return Bundle(script=name, files=tuple(sorted(files, key=lambda file: file.name.encode())))


def _inside(folder: Path, name: str, what: str, *, folder_allowed: bool = False, shown: str | None = None) -> str:
    path = (folder / name).resolve()
    if not (path.is_file() or (folder_allowed and path.is_dir())):
        nearby = sorted(member.name for member in folder.glob("*.py")) if folder.is_dir() else []
        hint = f"; there are {', '.join(nearby[:8])}" if nearby else ""
        raise DefinitionError(f"{what}: there is no file {shown or f'{name!r} in {folder}'}{hint}")
    if not path.is_relative_to(folder):
        raise DefinitionError(f"{what}: {name!r} lies outside {folder}; a step's code is one folder")
    return path.relative_to(folder).as_posix()


def _patterns(folder: Path) -> tuple[str, ...]:
    own = folder / ".towpathignore"
    if not own.is_file():
        return IGNORED
    lines = (line.strip() for line in own.read_text(encoding="utf-8").splitlines())
    return IGNORED + tuple(line.rstrip("/") for line in lines if line and not line.startswith("#"))


def _walk(folder: Path, root: Path, patterns: tuple[str, ...]) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        relative = path.relative_to(root).as_posix()
        if any(fnmatch(path.name, pattern) or fnmatch(relative, pattern) for pattern in patterns):
            continue
        if path.is_dir():
            # A link to a folder may lead anywhere, round in circles too; a link to a file is its content.
            if not path.is_symlink():
                yield from _walk(path, root, patterns)
        elif path.is_file():
            yield path


def _read(path: Path, root: Path) -> CodeFile:
    return CodeFile(
        name=path.relative_to(root).as_posix(),
        content=path.read_bytes(),
        executable=bool(path.stat().st_mode & 0o100),
    )
