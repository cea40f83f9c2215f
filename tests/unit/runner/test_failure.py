import errno
from pathlib import Path

import towpath.runner
from towpath.runner.failure import (
    LONGEST_REASON,
    exit_reason,
    failure_reason,
    of_platform,
    on_full_disk,
    shared,
    shortened,
)

OURS = str(Path(towpath.runner.__file__).parent)


def tail(text: str) -> list[str]:
    return text.strip("\n").split("\n")


def test_the_last_exception_is_told_with_its_place() -> None:
    reason = exit_reason(
        1,
        tail("""
loading
Traceback (most recent call last):
  File "/opt/ml/code/train.py", line 30, in <module>
    main()
    ^^^^^^
  File "/opt/ml/code/train.py", line 12, in main
    fit(frame)
  File "/usr/lib/python3/site-packages/pandas/core/frame.py", line 4090, in __getitem__
    indexer = self.columns.get_loc(key)
KeyError: 'Review Text'
"""),
    )
    assert reason.startswith("ExitCode 1: KeyError: 'Review Text' (train.py line 12)")
    assert 'File "/usr/lib/python3/site-packages/pandas/core/frame.py", line 4090' in reason
    assert "^^^" not in reason


def test_of_chained_exceptions_the_last_counts() -> None:
    reason = exit_reason(
        1,
        tail("""
Traceback (most recent call last):
  File "/opt/ml/code/a.py", line 1, in <module>
    int("x")
ValueError: first

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/opt/ml/code/a.py", line 3, in <module>
    raise RuntimeError("second") from error
RuntimeError: second
of two lines
"""),
    )
    assert reason.startswith("ExitCode 1: RuntimeError: second (a.py line 3)\nof two lines")
    assert "first" not in reason


def test_frames_of_the_platform_are_left_out() -> None:
    reason = exit_reason(
        1,
        tail(f"""
Traceback (most recent call last):
  File "{OURS}/toolkit.py", line 5, in main
    run()
  File "/opt/ml/code/a.py", line 3, in run
    raise SystemError("no")
SystemError: no
"""),
    )
    assert "toolkit" not in reason
    assert "(a.py line 3)" in reason


def test_a_syntax_error_is_told_although_it_has_no_traceback() -> None:
    reason = exit_reason(1, tail('  File "/opt/ml/code/a.py", line 1\n    x =\n       ^\nSyntaxError: invalid syntax'))
    assert reason.startswith("ExitCode 1: ")
    assert reason.endswith("SyntaxError: invalid syntax")


def test_without_a_traceback_the_last_lines_are_told() -> None:
    assert exit_reason(2, ["", "usage: train [-h]", "train: error: too few", ""]) == (
        "ExitCode 2: usage: train [-h]\ntrain: error: too few"
    )
    assert exit_reason(4, []) == "ExitCode 4, and nothing was printed"


def test_signals_have_names() -> None:
    assert exit_reason(-11, []).startswith("Killed by SIGSEGV (signal 11)")
    assert "memory" in exit_reason(-9, [])
    assert exit_reason(143, ["bye"]) == "ExitCode 143: killed by SIGTERM (signal 15).\nbye"
    assert exit_reason(255, ["bye"]) == "ExitCode 255: bye"


def test_a_traceback_that_was_cut_off_is_not_told_as_one() -> None:
    assert exit_reason(1, ["Traceback (most recent call last):", '  File "a.py", line 1, in x']).startswith(
        "ExitCode 1: "
    )


def test_reasons_fit_the_limit_and_keep_both_ends() -> None:
    text = shortened("begin" + "x" * 5000 + "end")
    assert len(text) == LONGEST_REASON
    assert text.startswith("begin")
    assert text.endswith("end")


SCRIPT_FAILED = [
    "Traceback (most recent call last):",
    '  File "/opt/ml/input/data/code/train.py", line 1, in <module>',
    "    raise ValueError('no such column')",
    "ValueError: no such column",
    "Command failed with exit code 1. Traceback: Traceback (most recent call last):",
    "subprocess.CalledProcessError: Command '['python', 'train.py']' returned non-zero exit status 1.",
]


def test_the_failure_file_of_a_script_is_its_reason() -> None:
    assert failure_reason("the data has no rows", 1, SCRIPT_FAILED) == "the data has no rows"


def test_a_launcher_that_only_saw_its_child_fail_leaves_the_word_to_the_script() -> None:
    for told in ("\n".join(SCRIPT_FAILED[-2:]), "Training Execution failed.\nFor more details, see …", ""):
        assert failure_reason(told, 1, SCRIPT_FAILED).startswith("ExitCode 1: ValueError: no such column (train.py")


def test_a_full_disk_is_said_with_what_to_do_however_much_the_script_said() -> None:
    ours = of_platform(OSError(errno.ENOSPC, "no space left on device"))
    assert ours.startswith("The disk of the platform's home is full")
    theirs = on_full_disk("ExitCode 1: " + "x" * 5000)
    assert theirs.startswith("ExitCode 1: xxx")
    assert "The disk of the platform's home was full" in theirs
    assert "Make room" in ours and "Make room" in theirs
    assert len(theirs) <= LONGEST_REASON


def test_the_reason_of_the_first_host_keeps_most_of_the_room() -> None:
    first = "ExitCode 1: ValueError: " + "x" * 2000
    others = [f"algo-{number}: ExitCode 1: ConnectionError: gone\n  more of it" for number in range(2, 6)]
    told = shared(first, others)
    assert len(told) <= LONGEST_REASON
    assert told.startswith("ExitCode 1: ValueError: xxx")
    assert told.endswith(
        "\nThen algo-2: ExitCode 1: ConnectionError: gone\nThen algo-3: ExitCode 1: ConnectionError: gone\nThen 2 more"
    )
