"""Makes one call of a function in a process of its own, and tells how it ended whatever becomes of that process."""

import json
import math
import os
import select
import signal
import sys
import time
import zipfile
from pathlib import Path
from typing import Any, NoReturn

from towpath.handling.context import VERSION, Context
from towpath.handling.handler import UNHANDLED, Failed, answer, find, set_up_logging
from towpath.handling.settings import ANSWER, ARCHIVE, CODE, EVENT, OUTCOME, PAYLOAD, Call, Outcome, read_call

IMPORT_S = 10.0  #: that importing the handler's module may take, at least. Source: AWS Lambda, "Init phase"
#: What the process that makes the call says of itself.
_FOUND, _RETURNED, _FAILED = b"+", b"=", b"!"


def main(base: Path) -> int:
    """Carry out the call of the job whose /opt/ml is `base`; return the exit code, which is 0 for failed calls too."""
    call = read_call(base)
    say(f"START RequestId: {call.request_id} Version: {VERSION}")
    outcome = _Supervisor(base, call).run()
    used = f"Memory Size: {call.memory_mb} MB\tMax Memory Used: {outcome.memory_mb} MB"
    say(f"END RequestId: {call.request_id}")
    say(
        f"REPORT RequestId: {call.request_id}\tDuration: {outcome.duration_ms:.2f} ms\t"
        f"Billed Duration: {math.ceil(outcome.duration_ms)} ms\t{used}\tInit Duration: {outcome.import_ms:.2f} ms"
    )
    (base / ANSWER / OUTCOME).write_text(outcome.text(), "utf-8")  # last: without it, nothing was answered
    return 0


def say(line: str) -> None:
    """Write a line of the log."""
    print(line, flush=True)


class _Supervisor:
    """The parent of the process that makes the call."""

    def __init__(self, base: Path, call: Call) -> None:
        self._base = base
        self._call = call
        self._began = time.monotonic()
        self._found_at: float | None = None  #: when the handler was imported, on the monotonic clock
        self._told = b""  #: what the process has said of itself last

    def run(self) -> Outcome:
        """Make the call and wait for its end."""
        with zipfile.ZipFile(self._base / ARCHIVE) as archive:
            archive.extractall(self._base / CODE)
        news, news_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(news)
            _called(self._base, self._call, news_end)
        os.close(news_end)
        late = self._wait(pid, news)
        _, status, usage = os.wait4(pid, 0)
        ended = time.monotonic()
        began = self._found_at or ended
        return Outcome(
            error=self._error_of(os.waitstatus_to_exitcode(status), late),
            import_ms=round((began - self._began) * 1000, 2),
            duration_ms=round((ended - began) * 1000, 2),
            memory_mb=math.ceil(usage.ru_maxrss / 1024),
        )

    def _wait(self, pid: int, news: int) -> str | None:
        """Wait until the process has told what came of it or ended, or end it; return what took too long."""
        process = os.pidfd_open(pid)
        poll = select.poll()
        for descriptor in (process, news):
            poll.register(descriptor, select.POLLIN)
        allowed_s = max(IMPORT_S, self._call.timeout_s)
        give_up_at = self._began + allowed_s
        while True:
            left_s = give_up_at - time.monotonic()
            happened = {descriptor for descriptor, _ in poll.poll(max(0.0, left_s) * 1000 + 1)}
            if news in happened:
                said = os.read(news, 1)
                self._told = said or self._told
                if said == _FOUND:
                    self._found_at = time.monotonic()
                    allowed_s = self._call.timeout_s
                    give_up_at = self._found_at + allowed_s
                else:
                    poll.unregister(news)
            elif process in happened:
                return None
            elif left_s <= 0:
                os.kill(pid, signal.SIGKILL)
                return None if self._told in {_RETURNED, _FAILED} else f"Task timed out after {allowed_s:.2f} seconds"

    def _error_of(self, exit_code: int, late: str | None) -> str | None:
        """Return the error of the call; of one that told nothing itself, with the document that does."""
        if late is not None:
            self._tell("Sandbox.Timedout", late)
        elif self._told == _RETURNED:
            return None
        elif self._told != _FAILED:
            if exit_code == 0:
                why = "Runtime exited without providing a reason"
            elif exit_code > 0:
                why = f"Runtime exited with error: exit status {exit_code}"
            else:
                why = f"Runtime exited with error: signal: {(signal.strsignal(-exit_code) or str(-exit_code)).lower()}"
            self._tell("Runtime.ExitError", why)
        return UNHANDLED

    def _tell(self, kind: str, message: str) -> None:
        whole = f"RequestId: {self._call.request_id} Error: {message}"
        say(whole)
        _write_payload(self._base, {"errorType": kind, "errorMessage": whole})


def _called(base: Path, call: Call, news: int) -> NoReturn:
    """Be the process that makes the call; the handler may do to it what it likes."""
    code = 1
    try:
        os.write(news, _answered(base, call, news))
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException as error:  # noqa: BLE001 - KeyboardInterrupt and the like end the process as well
        say(f"[ERROR] {type(error).__name__}: {error}")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code & 255)  # threads that the handler left do not keep the answer waiting


def _answered(base: Path, call: Call, news: int) -> bytes:
    """Make the call and write down what is answered; return what it was."""
    set_up_logging(call)
    code = base / CODE
    sys.path.insert(0, str(code))
    os.chdir(code)
    try:
        handler = find(call.handler)
        os.write(news, _FOUND)
        context = Context(call, ends_at=time.monotonic() + call.timeout_s)
        text = answer(handler, (base / EVENT).read_bytes(), context)
    except Failed as failed:
        _write_payload(base, {**failed.document, "requestId": call.request_id})
        return _FAILED
    (base / ANSWER / PAYLOAD).write_bytes(text)
    return _RETURNED


def _write_payload(base: Path, document: dict[str, Any]) -> None:
    (base / ANSWER / PAYLOAD).write_text(json.dumps(document), "utf-8")
