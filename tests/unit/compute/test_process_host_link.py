"""Questions and answers between the platform and a runner host stay together, whatever the host does."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from towpath.compute.process.host_link import HostLink
from towpath.kernel.errors import Unavailable

PIDS = {"a": 1, "b": 2, "c": 3}


class SlowHost:
    """Answers as a runner host does; while it is held, it answers nothing, and afterwards everything."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[dict[str, Any]] = []
        self.goes_on = threading.Event()
        self.goes_on.set()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / "host"))
        self._listener.listen()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._threads.append(threading.Thread(target=self._serve, args=(client,)))
            self._threads[-1].start()

    def _serve(self, client: socket.socket) -> None:
        with client, client.makefile("rb") as lines:
            for line in lines:
                request = json.loads(line)
                self.asked.append(request)
                assert self.goes_on.wait(30)
                try:
                    client.sendall(json.dumps({"pid": PIDS[request["key"]]}).encode() + b"\n")
                except ConnectionError:
                    return

    def close(self) -> None:
        self.goes_on.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[SlowHost]:
    host = SlowHost(tmp_path)
    yield host
    host.close()


def test_an_answer_that_comes_too_late_answers_no_later_question(host: SlowHost, tmp_path: Path) -> None:
    link = HostLink(tmp_path, timeout_s=1.0, pause_s=0.0)
    try:
        assert link.runner_of("a") == 1
        host.goes_on.clear()
        with pytest.raises(Unavailable, match="does not answer"):
            link.runner_of("b")
        host.goes_on.set()
        assert [link.runner_of(key) for key in "cab"] == [3, 1, 2]
    finally:
        link.close()


def test_while_the_host_is_silent_one_thread_waits_and_no_other_after_it(host: SlowHost, tmp_path: Path) -> None:
    link = HostLink(tmp_path, timeout_s=1.0, pause_s=60.0)
    host.goes_on.clear()
    began = time.monotonic()
    with ThreadPoolExecutor(8) as threads:
        errors = [threads.submit(link.runner_of, "a") for _ in range(8)]
        assert all(isinstance(error.exception(), Unavailable) for error in errors)
    took_s = time.monotonic() - began
    link.close()
    assert len(host.asked) == 1
    assert took_s < 8 * 1.0


def test_after_a_pause_the_host_is_asked_again(host: SlowHost, tmp_path: Path) -> None:
    link = HostLink(tmp_path, timeout_s=0.1, pause_s=0.2)
    host.goes_on.clear()
    with pytest.raises(Unavailable):
        link.runner_of("a")
    host.goes_on.set()
    with pytest.raises(Unavailable):
        link.runner_of("a")
    pause, deadline = threading.Event(), time.monotonic() + 30
    while True:
        try:
            assert link.runner_of("b") == 2
            break
        except Unavailable:
            assert time.monotonic() < deadline
            pause.wait(0.02)
    link.close()
