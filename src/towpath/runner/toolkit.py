"""Starts the script of script mode inside a job: looks whether requirements.txt is met, then becomes the script.

    python towpath_toolkit.py PROGRAM [ARGUMENT …]

It is laid out in the job's own folder and runs in the job's environment, so it uses the standard library alone and
reads nothing of the platform. Where the platform made no layer of the requirements, one that is not met ends the job
with a sentence that names it: a script must not run without what it asked for.
"""

import os
import re
import sys
from importlib import metadata
from pathlib import Path

FAILURE_FILE = Path("/opt/ml/output/failure")

_REQUIREMENT = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*(\[[^\]]*\])?\s*(.*)")
_CLAUSE = re.compile(r"(===|==|~=|!=|<=|>=|<|>)\s*([^,\s]+)")
_RELEASE = re.compile(r"v?(?:\d+!)?(\d+(?:\.\d+)*)")


def main(arguments: list[str]) -> None:
    """Become the program named first, with the words that follow, or exit with 1 and say why not."""
    program, *words = arguments
    problem = refusal(Path(program))
    if problem is not None:
        FAILURE_FILE.parent.mkdir(parents=True, exist_ok=True)
        FAILURE_FILE.write_text(problem, encoding="utf-8")
        sys.exit(problem)
    command = command_of(program, words)
    os.execv(command[0], command)


def refusal(script: Path) -> str | None:
    """Return why the script in the working folder cannot run, None when it can. Tells the log what was not judged."""
    if not script.is_file():
        present = ", ".join(sorted(path.name for path in Path.cwd().iterdir())[:20]) or "nothing"
        return f"The program {str(script)!r} is not in the source archive, which holds: {present}"
    if script.suffix != ".py":
        return None  # a shell script installs what it needs itself
    if "TOWPATH_LAYER" in os.environ:
        return None  # the platform has looked at the requirements and added what was missing
    requirements = Path("requirements.txt")
    for line in not_judged(requirements):
        print(line, file=sys.stderr, flush=True)
    unmet = unmet_requirements(requirements)
    if not unmet:
        return None
    return (
        f"requirements.txt asks for what this environment does not hold: {'; '.join(unmet)}. Install it into the "
        f"environment of {sys.executable}, or map the image to another environment."
    )


def command_of(program: str, words: list[str]) -> list[str]:
    """Return the command that a program is run by: Python for `.py`, else the shell."""
    if program.endswith(".py"):
        return [sys.executable, program, *words]
    Path(program).chmod(0o755)
    # The shell itself runs a script that has no interpreter line, which the system refuses to.
    return ["/bin/sh", "-c", 'exec "$0" "$@"', f"./{program}", *words]


def requirement_lines(path: Path) -> list[str]:
    """Return the lines of a requirements file that ask for packages, those of included files among them."""
    if not path.is_file():
        return []
    found: list[str] = []
    for line in path.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        text = re.sub(r"(^|\s)#.*$", "", line).strip()
        included = re.match(r"(?:-r|--requirement)[\s=]+(\S+)$", text)
        if included:
            found += requirement_lines(path.parent / included[1])
        elif text:
            found.append(re.sub(r"\s--hash=\S+", "", text).strip())
    return found


def not_judged(path: Path) -> list[str]:
    """Return what to tell in the log about lines of a requirements file that cannot be judged here."""
    notes = []
    for line in requirement_lines(path):
        if line.startswith("-"):
            notes.append(f"requirements.txt: the option {line.split()[0]!r} has no effect, nothing is installed")
        elif ";" in line and _problem(line.partition(";")[0]) is not None:
            notes.append(f"requirements.txt: {line!r} is not met, and its condition is not evaluated: going on without")
        elif "://" in line:
            notes.append(f"requirements.txt: {line!r} is checked by its name only")
    return notes


def unmet_requirements(path: Path) -> list[str]:
    """Return a sentence part for each package that is missing or has another version than asked for."""
    lines = [line for line in requirement_lines(path) if not line.startswith("-") and ";" not in line]
    return [problem for line in lines if (problem := _problem(line)) is not None]


def _problem(requirement: str) -> str | None:
    """Return what is wrong with one requirement, None when it is met."""
    match = _REQUIREMENT.match(requirement.strip())
    if match is None or match[3].startswith(":"):
        return f"{requirement!r} (only packages with a name can be checked)"
    name, wanted = match[1], match[3].strip(" ()")
    try:
        present = metadata.version(name)
    except metadata.PackageNotFoundError:
        return f"{name}{wanted} (not installed)" if not wanted.startswith("@") else f"{name} (not installed)"
    if wanted.startswith("@"):
        return None
    if any(not _satisfies(present, operator, version) for operator, version in _CLAUSE.findall(wanted)):
        return f"{name}{wanted} (installed: {present})"
    return None


def _satisfies(present: str, operator: str, wanted: str) -> bool:
    """Return whether version `present` is what `operator wanted` asks for, by release numbers."""
    if operator == "===":
        return present == wanted
    here, there = _release(present), _release(wanted.removesuffix(".*"))
    if wanted.endswith(".*"):
        same = here[: len(there)] == there
        return same if operator == "==" else not same
    if operator == "~=":
        return _padded(here, there) >= _padded(there, here) and here[: len(there) - 1] == there[:-1]
    left, right = _padded(here, there), _padded(there, here)
    return {
        "==": left == right,
        "!=": left != right,
        "<=": left <= right,
        ">=": left >= right,
        "<": left < right,
        ">": left > right,
    }[operator]


def _release(version: str) -> tuple[int, ...]:
    match = _RELEASE.match(version)
    return tuple(int(part) for part in match[1].split(".")) if match else ()


def _padded(version: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    return version + (0,) * (len(other) - len(version))


if __name__ == "__main__":
    main(sys.argv[1:])
