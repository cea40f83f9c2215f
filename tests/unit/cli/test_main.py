"""The command line as a whole: exit codes, help, and errors without tracebacks."""

import io
import json
from pathlib import Path

import pytest

from towpath.cli import demo
from towpath.cli import main as cli
from towpath.cli.demo import example, project_folder
from towpath.cli.run import parse_parameters
from towpath.home import HomeFolder
from towpath.sdk.errors import ClientError

COMMANDS = [
    "up", "down", "run", "ps", "logs", "describe", "models", "approve", "reject", "deploy", "invoke", "lineage", "env",
    "exec", "stop", "retry", "demo", "data put", "data get", "data ls", "data versions", "data check-outs", "data diff",
]  # fmt: skip


def ended(*arguments: str) -> int:
    """Run the command line and return its exit code."""
    with pytest.raises(SystemExit) as raised:
        cli.main(list(arguments))
    return int(raised.value.code or 0)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TOWPATH_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_helps_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(*command.split(), "--help") == 0
    assert f"Example: {'eval' if command == 'env' else f'towpath {command}'}" in capsys.readouterr().out


@pytest.mark.parametrize("of", [[], ["data"]])
def test_help_tells_each_command_in_a_line_of_80_columns(
    of: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert ended(*of, "--help") == 0
    told = capsys.readouterr().out.partition("Commands:")[2].partition("Exit codes")[0]
    lines = [line for line in told.splitlines() if line.strip()]
    assert len(lines) >= 6
    assert [line for line in lines if not line.endswith(".") or line.endswith("...")] == []


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("--version") == 0
    assert capsys.readouterr().out.startswith("towpath 0.")


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    "arguments",
    [
        ["ps"],
        ["ps", "--json"],
        ["logs", "x"],
        ["describe", "x"],
        ["approve", "reviews/1"],
        ["deploy", "reviews/1"],
        ["invoke", "reviews", "--text", "x"],
        ["lineage", "reviews/1"],
        ["env"],
        ["stop", "x"],
        ["data", "ls"],
    ],
)
def test_without_a_server_the_exit_code_is_3_and_one_line_says_how_to_start_one(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(*arguments) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Error: no server is running")
    assert "towpath up" in err
    assert err.count("\n") == 1


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["no-such-command"], "No such command"),
        (["run"], "Missing argument"),
        (["run", "nothing.py"], "there is no file 'nothing.py'"),
        (["run", "nothing.py", "-p", "oops"], "not of the form NAME=VALUE"),
        (["up", "--port", "65536"], "Invalid value for '--port'"),
        (["up", "--background", "--port", "-1"], "Invalid value for '--port'"),
        (["invoke", "reviews"], "standard input is empty; give --json, --text or --file"),
        (["invoke", "reviews", "--json", "{"], "not JSON"),
        (["invoke", "reviews", "--json", "{}", "--text", "x"], "give one of"),
        (["data", "diff", "reviews/x", "2"], "expected NAME or NAME/VERSION"),
    ],
)
def test_wrong_usage_ends_with_2_and_a_line_that_says_what_was_expected(
    arguments: list[str], told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO()))
    assert ended(*arguments) == 2
    err = capsys.readouterr().err
    assert told in err
    assert "Traceback" not in err


def test_a_server_that_does_not_answer_is_no_server(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TOWPATH_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("TOWPATH_TOKEN", "t")
    assert ended("ps") == 3
    assert "no server answers at http://127.0.0.1:1" in capsys.readouterr().err


@pytest.mark.usefixtures("home")
def test_what_was_noted_about_an_error_is_told_below_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        error = ClientError("the log was refused")
        error.add_note("rule x is left as it was made")
        raise error

    monkeypatch.setattr(cli, "app", fail)
    assert ended("triggers", "create", "x") == 1
    assert capsys.readouterr().err == "Error: the log was refused\nrule x is left as it was made\n"


def test_parameters_may_hold_equals_signs_and_the_last_one_counts() -> None:
    assert parse_parameters(["A=1=2", "B=", "A=3"]) == {"A": "3", "B": ""}


def test_the_example_project_is_written_into_a_new_folder_and_used_again(home: Path) -> None:
    written = project_folder(home / "mine")
    with example() as source:
        wanted = {path.name for path in source.iterdir() if path.suffix in {".py", ".json", ".txt"}}
    assert wanted <= {path.name for path in written.iterdir()}
    assert not (written / ".data").exists()
    assert (written / "pipeline.py").is_file()
    assert json.loads((written / "samples.json").read_text())
    (written / "pipeline.py").write_text("# mine now")
    assert project_folder(home / "mine") == written
    assert (written / "pipeline.py").read_text() == "# mine now"


def test_a_folder_with_something_else_is_left_alone(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "full").mkdir()
    (home / "full" / "letter.txt").write_text("dear")
    assert ended("demo", "full", "--quick") == 2
    assert "holds no pipeline.py" in capsys.readouterr().err


def test_what_to_try_after_the_demo_can_be_typed_as_it_is(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOWPATH_HOME")
    project = home / "my reviews"
    project.mkdir()
    (project / "pipeline.py").touch()
    lines = demo.what_next(Path("my reviews"), HomeFolder(project / ".towpath"), has_command=True)
    assert lines[0] == "cd 'my reviews'"
    assert "towpath run pipeline.py -p Model=baseline -p MinAccuracy=0.99" in lines
    assert max(map(len, lines)) < 78
    lines = demo.what_next(Path("my reviews"), HomeFolder(home / "else where"), has_command=False)
    assert lines[0].endswith("/bin/activate")
    assert lines[1] == f"export TOWPATH_HOME='{home / 'else where'}'"


def test_a_demo_whose_packages_are_missing_says_so_before_anything_is_begun(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "PACKAGES", {"bert": ("no_such_package",), "baseline": ()})
    assert ended("demo", "new") == 1
    told = capsys.readouterr().err
    assert "needs no_such_package" in told
    assert "towpath demo --quick" in told
    assert not (home / "new").exists()


def test_a_file_that_cannot_be_written_is_told_in_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "/elsewhere/file")

    monkeypatch.setattr(cli, "app", refuse)
    assert ended("data", "get", "x") == 1
    assert capsys.readouterr().err == "Error: /elsewhere/file: Permission denied\n"


def test_ctrl_c_ends_a_command_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "app", interrupted)
    assert ended("ps") == 130
    assert capsys.readouterr() == ("", "")


def test_a_list_of_everything_that_is_given_a_name_says_which_command_is_about_that(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert ended("data", "ls", "my iris") == 2
    assert (
        "towpath data ls lists all of them; about my iris: towpath data versions 'my iris'" in capsys.readouterr().err
    )
