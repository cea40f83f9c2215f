"""Messages over real connections: what is told of hosts that answer oddly, late or not at all."""

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from urllib.error import URLError

import pytest

from towpath.outbound import webhooks
from towpath.outbound.webhooks import in_words, post
from towpath.triggers.ports import Answer, Message

WAIT_S = 20.0


@contextmanager
def host(answering: Callable[[socket.socket], None]) -> Iterator[str]:
    """Serve one connection: the request is read, then answered as it is said. Yields HOST:PORT."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listening.accept()
        with connection, suppress(OSError):  # the other side may have gone
            connection.settimeout(WAIT_S)
            while b"{}" not in connection.recv(65536):
                pass
            answering(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"127.0.0.1:{listening.getsockname()[1]}"
    finally:
        thread.join(WAIT_S)
        listening.close()


def sent(address: str) -> Answer:
    return post(Message(url=f"http://{address}/hook?token=hidden", body="{}", headers={}))


def until_closed(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


def test_a_status_counts_though_the_rest_of_the_answer_never_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "TIMEOUT_S", 0.2)

    def part(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 100\r\n\r\npart")
        until_closed(connection)

    with host(part) as address:
        assert sent(address) == Answer(status=404, reason="(the rest of the answer has not come)")


def test_a_host_that_sends_a_byte_now_and_then_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "TIMEOUT_S", 0.5)
    gone = threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        try:
            while not gone.wait(0.05):
                connection.sendall(b"X-More: yes\r\n")
        except OSError:
            gone.set()

    with host(drip) as address:
        begun = time.monotonic()
        told = sent(address)
        took_s = time.monotonic() - begun
        gone.set()
    assert told == Answer(reason=f"{address} has not answered within 5 s")
    assert 0.4 < took_s < 5


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"garbage\r\n\r\n", "has answered what is not HTTP"),
        (b"", "has closed the connection without an answer"),
    ],
)
def test_what_is_no_answer_is_told_in_words_and_without_the_address(answer: bytes, told: str) -> None:
    with host(lambda connection: connection.sendall(answer)) as address:
        assert sent(address) == Answer(reason=f"{address} {told}")


def test_what_a_host_says_meanwhile_is_no_answer() -> None:
    meanwhile = (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
    )
    last = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
    with host(lambda connection: connection.sendall(meanwhile + last)) as address:
        assert sent(address) == Answer(status=202)


def test_an_answer_of_many_lines_is_told_in_one() -> None:
    page = b"<html>\r\n  <b>no</b>\n\n" + b"x" * 600
    head = b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n" % len(page)
    with host(lambda connection: connection.sendall(head + page)) as address:
        answer = sent(address)
    assert answer.status == 400
    assert answer.reason.startswith("<html> <b>no</b> xxx") and len(answer.reason) < 512


def test_a_redirect_is_not_followed_and_told_where_it_leads() -> None:
    head = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: https://elsewhere.example/\r\nContent-Length: 0\r\n\r\n"
    with host(lambda connection: connection.sendall(head)) as address:
        answer = sent(address)
    assert answer == Answer(status=307, reason="(to https://elsewhere.example/; redirects are not followed)")


def test_a_closed_port_refuses_connections() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
    assert sent(address) == Answer(reason=f"{address} refuses connections")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (URLError(socket.gaierror(-2, "Name or service not known")), "cannot be found: name or service not known"),
        (URLError(TimeoutError("timed out")), "has not answered within 5 s"),
        (URLError(ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] x")), "does not speak TLS as expected: no reason given"),
        (ConnectionResetError(104, "Connection reset by peer"), "has closed the connection without an answer"),
        (http.client.IncompleteRead(b""), "has answered what is not HTTP"),
        (OSError(101, "Network is unreachable"), "cannot be reached: network is unreachable"),
        (URLError("no host given"), "cannot be reached: no host given"),
    ],
)
def test_errors_are_told_in_words(error: Exception, told: str) -> None:
    assert in_words(error) == told
