"""Messages that are sent beside one another."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from towpath.kernel.resource import Uid
from towpath.outbound.sender import MOST, MOST_TO_A_HOST, Sender
from towpath.triggers.ports import Answer, Message

WAIT_S = 60.0


class Hosts:
    """Answers messages: those to `slow…` hosts wait until they are let go."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.arrived: list[str] = []
        self.changed = threading.Condition()

    def post(self, message: Message) -> Answer:
        with self.changed:
            self.arrived.append(message.url)
            self.changed.notify_all()
        if "//slow" in message.url:
            self.let_go.wait(WAIT_S)
        return Answer(status=200)

    def wait_for(self, url: str, times: int = 1) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.arrived.count(url) >= times, WAIT_S), self.arrived


class Sending:
    """A sender, and what its messages were answered."""

    def __init__(self, hosts: Hosts) -> None:
        self.withdrawn: set[str] = set()
        self.answers: dict[str, Answer | None] = {}
        self.changed = threading.Condition()
        self.sender = Sender(is_wanted=lambda uid: uid not in self.withdrawn, post=hosts.post)

    def send(self, uid: str, url: str) -> None:
        def answered(answer: Answer | None) -> None:
            with self.changed:
                self.answers[uid] = answer
                self.changed.notify_all()

        self.sender(Uid(uid), Message(url=url, body="{}", headers={}), answered)

    def wait_for(self, uid: str) -> Answer | None:
        with self.changed:
            assert self.changed.wait_for(lambda: uid in self.answers, WAIT_S), self.answers
        return self.answers[uid]


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    hosts = Hosts()
    yield hosts
    hosts.let_go.set()


@pytest.fixture
def sending(hosts: Hosts) -> Iterator[Sending]:
    sending = Sending(hosts)
    yield sending
    hosts.let_go.set()
    sending.sender.stop()


def test_a_host_that_does_not_answer_holds_up_no_other(hosts: Hosts, sending: Sending) -> None:
    for number in range(60):
        sending.send(f"slow-{number}", "http://slow/hook")
    sending.send("fast", "http://fast/hook")
    assert sending.wait_for("fast") == Answer(status=200)
    hosts.wait_for("http://slow/hook", MOST_TO_A_HOST)
    assert hosts.arrived.count("http://slow/hook") == MOST_TO_A_HOST
    hosts.let_go.set()
    assert sending.wait_for("slow-59") == Answer(status=200)


def test_no_more_are_under_way_than_there_may_be(hosts: Hosts, sending: Sending) -> None:
    others = threading.active_count()
    urls = [f"http://slow{number}/hook" for number in range(MOST // MOST_TO_A_HOST)]
    for url in urls:
        for number in range(MOST_TO_A_HOST):
            sending.send(f"{url}-{number}", url)
    for url in urls:
        hosts.wait_for(url, MOST_TO_A_HOST)
    sending.send("next", "http://next/hook")
    assert threading.active_count() <= others + MOST
    assert "http://next/hook" not in hosts.arrived
    hosts.let_go.set()
    assert sending.wait_for("next") == Answer(status=200)


def test_what_was_withdrawn_while_it_waited_is_not_sent(hosts: Hosts, sending: Sending) -> None:
    for number in range(MOST_TO_A_HOST):
        sending.send(f"slow-{number}", "http://slow/hook")
    hosts.wait_for("http://slow/hook", MOST_TO_A_HOST)
    sending.send("late", "http://slow/late")
    sending.withdrawn.add("late")
    hosts.let_go.set()
    assert sending.wait_for("late") is None
    assert "http://slow/late" not in hosts.arrived


def test_a_fault_of_ours_is_an_answer_too(caplog: pytest.LogCaptureFixture) -> None:
    told: list[Any] = []
    done = threading.Event()

    def broken(_: Message) -> Answer:
        raise RuntimeError("nobody thought of this")

    def answered(answer: Answer | None) -> None:
        told.append(answer)
        done.set()

    sender = Sender(is_wanted=lambda _: True, post=broken)
    sender(Uid("a"), Message(url="http://here/hook", body="{}", headers={}), answered)
    assert done.wait(WAIT_S)
    assert "could not be sent" in told[0].reason
    assert "nobody thought of this" in caplog.text
    sender.stop()


def test_once_it_has_stopped_nothing_is_sent(hosts: Hosts, sending: Sending) -> None:
    sending.send("before", "http://fast/before")
    assert sending.wait_for("before") == Answer(status=200)
    sending.sender.stop()
    sending.send("after", "http://fast/after")
    assert not [thread for thread in threading.enumerate() if thread.name == "webhook"]
    assert hosts.arrived == ["http://fast/before"]
