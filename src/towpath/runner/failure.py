"""Says in words why a job failed, best of all in the words of the script itself."""

import re
import signal
from collections.abc import Sequence
from pathlib import Path

from towpath.runner.folder import StagingFailed, is_full

#: The API's limit for a FailureReason.
LONGEST_REASON = 1024
_SHOWN_LINES = 6
#: Of the hosts that failed after the first one: how many are told of, and how much of each.
_OTHERS = 2
_OTHERS_LENGTH = 150
_TRACEBACK = "Traceback (most recent call last):"
#: Failure files of launchers that tell no more than that a process of theirs failed.
_ABOUT_A_CHILD = re.compile(r"^subprocess\.CalledProcessError: |^Training Execution failed\.", re.M)
_FRAME = re.compile(r'^\s*File "(?P<file>[^"]+)", line (?P<line>\d+)(?:, in .*)?$')
_MAKE_ROOM = "Make room there (`towpath gc --dry-run` says what the platform itself could give up), then run it again"
#: Frames of ours say nothing to the reader of a failure: it is the script that failed.
_OURS = str(Path(__file__).parent.parent) + "/"


def shortened(text: str, longest: int = LONGEST_REASON) -> str:
    """Return a text that fits the API's limit; what is cut is cut from the middle."""
    text = text.strip()
    if len(text) <= longest:
        return text
    mark = "\n[…]\n"
    head = longest // 3
    return text[:head] + mark + text[-(longest - head - len(mark)) :]


def of_platform(error: Exception) -> str:
    """Return why an attempt failed in which not the job but what runs it met an error."""
    if isinstance(error, OSError) and is_full(error):
        return f"The disk of the platform's home is full: what the job needed or produced found no room. {_MAKE_ROOM}"
    if isinstance(error, StagingFailed):
        return shortened(str(error))
    return shortened(f"{type(error).__name__} in the platform's runner: {error}")


def on_full_disk(reason: str) -> str:
    """Return why a job failed that ended by itself while the disk was full, which it may not have said."""
    return shortened(f"{reason}\nThe disk of the platform's home was full when the job ended. {_MAKE_ROOM}")


def cut(text: str, longest: int) -> str:
    """Return a text of at most so many characters, with its end left out and that shown."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def failure_reason(told: str, exit_code: int, tail: Sequence[str]) -> str:
    """Return why a process that ended by itself failed: what it wrote into its failure file, else what its log tells.

    Args:
        told: text of the failure file, empty when there is none.
    """
    if told and not _ABOUT_A_CHILD.search(told):
        return shortened(told)
    # A launcher only knows that the script failed; the script itself said in the log why.
    return exit_reason(exit_code, tail)


def exit_reason(exit_code: int, tail: Sequence[str]) -> str:
    """Return why a process that ended by itself failed.

    Args:
        exit_code: negative for a signal.
        tail: the last lines of its log, with paths as the job saw them.
    """
    if exit_code < 0:
        return shortened(_by_signal(-exit_code, f"Killed by {_signal_name(-exit_code)}", tail))
    words = f"ExitCode {exit_code}"
    traceback = _last_traceback(tail)
    if traceback is not None:
        return shortened(f"{words}: {traceback}")
    if exit_code > 128 and _signal_name(exit_code - 128):
        # A shell between us and the program reports its signal in this way.
        return shortened(_by_signal(exit_code - 128, f"{words}: killed by {_signal_name(exit_code - 128)}", tail))
    last = [line for line in tail if line.strip()][-_SHOWN_LINES:]
    return shortened(f"{words}: " + "\n".join(last)) if last else f"{words}, and nothing was printed"


def shared(reason: str, others: Sequence[str]) -> str:
    """Return why a job on several hosts failed: the reason of the first one in full as far as there is room, and of the
    others what they begin with."""
    told = "".join(f"\nThen {cut(other.splitlines()[0], _OTHERS_LENGTH)}" for other in others[:_OTHERS])
    if len(others) > _OTHERS:
        told += f"\nThen {len(others) - _OTHERS} more"
    return shortened(reason, LONGEST_REASON - len(told)) + told


def over_memory(limit_bytes: int, peak_bytes: int, tail: Sequence[str]) -> str:
    """Return why a job was ended that needed more memory than it may use."""
    words = (
        f"Killed: the job needed more memory than its limit of {_size(limit_bytes)}; it used {_size(peak_bytes)} "
        "at most. Name an instance type with more memory."
    )
    last = [line for line in tail if line.strip()][-3:]
    return shortened("\n".join([words, *last]))


def _size(count: int) -> str:
    return f"{count / 2**30:.3g} GB" if count >= 2**30 else f"{count / 2**20:.0f} MB"


def _by_signal(number: int, words: str, tail: Sequence[str]) -> str:
    if number == signal.SIGKILL:
        words += "; unless somebody killed it, the host ran out of memory"
    last = [line for line in tail if line.strip()][-3:]
    return "\n".join([f"{words}.", *last])


def _signal_name(number: int) -> str:
    try:
        return f"{signal.Signals(number).name} (signal {number})"
    except ValueError:
        return ""


def _last_traceback(tail: Sequence[str]) -> str | None:
    """Return the last exception in the log with its place and the frames of the user's own code, or None."""
    starts = [index for index, line in enumerate(tail) if line.strip() == _TRACEBACK]
    if not starts:
        return None
    indent = len(tail[starts[-1]]) - len(tail[starts[-1]].lstrip())
    frames: list[tuple[str, str, list[str]]] = []  # file, line number, text
    message: list[str] = []
    for line in tail[starts[-1] + 1 :]:
        frame = _FRAME.match(line)
        if frame and not message:
            frames.append((frame["file"], frame["line"], [line.strip()]))
        elif not message and line.startswith(" " * (indent + 1)):
            if frames:
                frames[-1][2].append(line.strip())
        elif line.strip() or message:
            message.append(line[indent:].rstrip())
        if len(message) >= _SHOWN_LINES:
            break
    if not message:
        return None  # the process was killed while it printed
    own = [frame for frame in frames if not frame[0].startswith((_OURS, "<frozen "))]
    scripts = [frame for frame in own if frame[0].startswith("/opt/ml/")] or own
    place = f" ({Path(scripts[-1][0]).name} line {scripts[-1][1]})" if scripts else ""
    lines = [message[0] + place, *(line for line in message[1:] if line)]
    for _, _, text in own[-2:]:
        lines.append("  " + text[0])
        lines.extend("    " + code for code in text[1:] if code.strip("^~ "))
    return "\n".join(lines)
