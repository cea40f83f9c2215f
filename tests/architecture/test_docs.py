"""Every command that the documents show is run, in the order in which it stands, and has to end as they say.

Blocks of the languages `console` (lines after `$ `) and `sh` (all lines) are run by bash, those of one document in one
shell, from the root of a copy of this checkout, with a home of their own in which the quick demo has run. A line that
ends in `# exits N` has to end with that code. A block whose info string holds `file=NAME` is written to that file.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    [ROOT / "README.md", ROOT / "examples" / "reviews" / "README.md", *(ROOT / "docs").rglob("*.md")],
    key=lambda path: path.relative_to(ROOT).as_posix(),
)

#: What is shown but not run here: pattern of the whole line, and why.
EXEMPT = {
    r"make demo( QUICK=1)?": "sets up an environment: tests/acceptance and tests/text run both in a clone",
    r"towpath up": "runs in the foreground until it is interrupted; tests/acceptance starts and interrupts it",
    r".*logs .*--follow.*": "follows until it is interrupted",
    r"towpath logs reviews/latest/(Tune(/3)?|Note)": "no such steps in the demo: tests/integration/cli/test_logs.py",
}

BLOCK = re.compile(r"^(?P<indent> *)```(?P<info>[^\n`]*)\n(?P<body>.*?)^(?P=indent)```\s*$", re.M | re.S)
EXITS = re.compile(r"\s+# exits (\d+)$")


@dataclass(frozen=True)
class Command:
    """Something to run: one line of a console, or a whole block of shell."""

    line: int  #: in the document
    text: str


def commands(document: str) -> Iterator[Command]:
    """Yield what a document shows to be run."""
    for block in BLOCK.finditer(document):
        first = document.count("\n", 0, block.start("body")) + 1
        language, *options = block["info"].split() or [""]
        body = [line.removeprefix(block["indent"]) for line in block["body"].splitlines()]
        written = [option.removeprefix("file=") for option in options if option.startswith("file=")]
        if written:
            text = "\n".join(body)
            yield Command(
                first, f"mkdir -p $(dirname {written[0]}); cat > {written[0]} <<'END OF FILE'\n{text}\nEND OF FILE"
            )
        elif language == "sh":
            yield Command(first, "\n".join(runnable(line) for line in body))
        elif language == "console":
            for number, line in enumerate(body):
                if line.startswith("$ "):
                    more = [line.removeprefix("$ ")]
                    while body[number + len(more) : number + len(more) + 1] and body[number + len(more)].startswith(
                        "> "
                    ):
                        more.append(body[number + len(more)].removeprefix("> "))
                    yield Command(first + number, "\n".join(map(runnable, more)))


def runnable(line: str) -> str:
    """Return a line as it is run: nothing when it is exempt, and with a check of its exit code where one is given."""
    expected = EXITS.search(line)
    bare = re.sub(r"\s+#.*$", "", EXITS.sub("", line)).strip()
    if any(re.fullmatch(pattern, bare) for pattern in EXEMPT):
        return f": exempt: {bare!r}"
    if expected:
        return f'code=0; {bare} || code=$?; [ "$code" = {expected[1]} ]'
    return line


def script(found: list[Command]) -> str:
    """Return the shell script of a document: it stops at the first command that does not end as told."""
    parts = ["set -eo pipefail"]
    for command in found:
        parts += [f"echo {f'>>> line {command.line}'!r} >&2", command.text]
    return "\n".join(parts) + "\n"


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a copy of the checkout in whose home the quick demo has run; nothing is left running."""
    folder = tmp_path_factory.mktemp("docs") / "towpath"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in listed.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(sys.prefix)
    try:
        done = shell("towpath demo examples/reviews --quick", folder)
        assert done.returncode == 0, done.stdout + done.stderr
        yield folder
    finally:
        shell("towpath down --all", folder)


def shell(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a script in the copy, with its own home and this environment's commands first on the path."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TOWPATH_", "PYTEST_"))
    }
    environment |= {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "TOWPATH_HOME": str(folder.parent / "home"),
    }
    environment.pop("CI", None)  # with it the demo would stop the server that the documents go on to use
    return subprocess.run(
        ["bash", "-c", text],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.acceptance
@pytest.mark.timeout(900)
@pytest.mark.parametrize("document", DOCUMENTS, ids=shown)
def test_the_commands_of_the_document_run(document: Path, checkout: Path) -> None:
    found = list(commands(document.read_text(encoding="utf-8")))
    if not found:
        return
    done = shell(script(found), checkout)
    assert done.returncode == 0, f"{shown(document)}\n{done.stdout}\n{done.stderr}"


def test_every_exemption_says_why() -> None:
    assert all(len(reason) > 10 for reason in EXEMPT.values())


@pytest.mark.parametrize("pattern", EXEMPT)
def test_every_exemption_is_of_use(pattern: str) -> None:
    marked = re.compile(r"^: exempt: (.*)$", re.M)
    left_out = [
        ast.literal_eval(bare)
        for document in DOCUMENTS
        for command in commands(document.read_text(encoding="utf-8"))
        for bare in marked.findall(command.text)
    ]
    assert any(re.fullmatch(pattern, bare) for bare in left_out)


def test_console_blocks_run_what_follows_the_prompt_and_shell_blocks_run_whole() -> None:
    document = "x\n\n```console\n$ echo a \\\n> b\na b\n$ false # exits 1\n```\n\n```sh\nX=1\necho $X\n```\n"
    assert list(commands(document)) == [
        Command(4, "echo a \\\nb"),
        Command(7, 'code=0; false || code=$?; [ "$code" = 1 ]'),
        Command(11, "X=1\necho $X"),
    ]


def test_a_block_with_a_file_name_is_written_to_that_file(tmp_path: Path) -> None:
    document = "```python file=sub/hello.py\nprint('$HOME')\n```\n```sh\ncat sub/hello.py\n```\n"
    done = subprocess.run(
        ["bash", "-c", script(list(commands(document)))], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "print('$HOME')\n"


def test_a_command_that_does_not_end_as_told_stops_the_script() -> None:
    for document in ("```sh\nfalse\necho on\n```", "```console\n$ true # exits 3\n$ echo on\n```"):
        done = subprocess.run(
            ["bash", "-c", script(list(commands(document)))], capture_output=True, text=True, check=False
        )
        assert done.returncode != 0
        assert "on" not in done.stdout.split()


def test_exempt_lines_are_left_out() -> None:
    document = "```console\n$ make demo  # about five minutes\n$ echo on\n```"
    assert [command.text for command in commands(document)] == [": exempt: 'make demo'", "echo on"]


def test_the_index_of_decisions_has_a_line_for_each_with_its_title() -> None:
    folder = ROOT / "docs" / "decisions"
    pages = [page for page in folder.glob("*.md") if page.name != "README.md"]
    titles = [page.read_text("utf-8").splitlines()[0].removeprefix("# ").split(". ", 1) for page in pages]
    lines = {line for line in (folder / "README.md").read_text("utf-8").splitlines() if line.startswith("- ")}
    assert lines == {f"- {number}: [{title}]({page.name})" for page, (number, title) in zip(pages, titles, strict=True)}
    assert all(page.name.startswith(f"{int(number):04}-") for page, (number, _) in zip(pages, titles, strict=True))
