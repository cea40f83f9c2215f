"""Feeding: answers in the order of payloads, whatever the model does with them; and the channel to it."""

import socket
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.transform.channel import (
    ANSWER,
    FAILED,
    PAYLOAD,
    REFUSED,
    Channel,
    Counter,
    Frame,
    ModelEnd,
    Unpacker,
    packed,
)
from towpath.transform.feeding import MANY, MANY_BYTES, Feeder, Item, ModelGone
from towpath.transform.payloads import Payload


class ScriptedModel:
    """Implements `feeding.Model` in memory: for each payload the words that say what becomes of it, try after try.

    "ok" answers, "fails" and "refused" do not, "dies" ends the process, "hangs" never answers. Behind the last word
    comes "ok". Time is counted in answers. A process that dies takes the last `lost` answers with it.
    """

    def __init__(self, words: dict[bytes, list[str]], *, lost: int = 0) -> None:
        self.words = {body: deque(each) for body, each in words.items()}
        self.asked: deque[bytes] = deque()
        self.told: deque[Frame] = deque()  #: answers that are on their way
        self.done = 0
        self.lost = lost
        self.most = 0  #: payloads that it held at a time
        self.starts = 0
        self.now = 0.0
        self.dead = False

    def start(self) -> None:
        self.starts += 1
        self.dead = False
        self.done = 0
        self.asked.clear()

    def answered(self) -> int:
        return self.done

    def end(self) -> str:
        self.dead = True
        return "was killed by SIGKILL"

    def send(self, frame: Frame) -> None:
        assert frame.word == PAYLOAD
        if not self.dead:
            self.asked.append(frame.data)
            self.most = max(self.most, len(self.asked))

    def receive(self, timeout_s: float | None) -> Frame | None:
        assert timeout_s is not None
        if self.dead:
            raise EOFError
        while not self.told or (self.asked and len(self.told) <= self.lost):
            body = self.asked[0]
            words = self.words.get(body)
            word = words.popleft() if words else "ok"
            self.now += 1
            if word in {"dies", "hangs"}:
                self.told.clear()
                if word == "dies":
                    raise EOFError
                self.now += timeout_s
                return None
            self.asked.popleft()
            self.done += 1
            kind = {"ok": ANSWER, "fails": FAILED, "refused": REFUSED}[word]
            self.told.append(Frame(kind, b"" if word == "ok" else word.encode()))
        return self.told.popleft()


def feeder(model: ScriptedModel, *, concurrent: int | None = None, retries: int = 2) -> Feeder[int]:
    return Feeder(
        model,
        concurrent=concurrent,
        timeout_s=100,
        retries=retries,
        retried=lambda item, words: None,
        clock=lambda: model.now,
    )


def items(count: int) -> Iterator[Item[int]]:
    for number in range(count):
        yield Item(number, Payload(number + 1, number + 1, 1, b"%d" % number))


def outcomes(model: ScriptedModel, given_: Iterable[Item[int]], **options: Any) -> list[tuple[int, str | None]]:
    model.start()
    return [(item.key, item.failure) for item in feeder(model, **options).answers(given_)]


WORDS = st.lists(st.sampled_from(["ok", "fails", "refused", "dies", "hangs"]), max_size=4)


@given(st.dictionaries(st.integers(0, 19), WORDS), st.none() | st.integers(1, 8), st.integers(0, 3), st.integers(0, 3))
def test_order_and_outcome_are_those_of_asking_one_after_the_other(
    words: dict[int, list[str]], concurrent: int | None, retries: int, lost: int
) -> None:
    """A simple reference: each payload alone, until it is answered, refused, or was tried often enough. Which payload
    the process died over is known, although the answers before it were lost with it."""
    expected = []
    for number in range(20):
        tries = [*words.get(number, []), "ok"][: retries + 1]
        end = next((word for word in tries if word in {"ok", "refused"}), "given up")
        expected.append((number, end))
    if lost:  # what is answered a second time has had its words
        words = {key: [word for word in each if word in {"dies", "hangs"}] for key, each in words.items()}
        expected = [(key, "given up" if len(words.get(key, [])) > retries else "ok") for key, _ in expected]
    model = ScriptedModel({b"%d" % number: each for number, each in words.items()}, lost=lost)
    found = outcomes(model, items(20), concurrent=concurrent, retries=retries)
    told = [(key, "ok" if why is None else "refused" if why == "refused" else "given up") for key, why in found]
    assert told == expected
    assert model.most <= (concurrent or MANY)


def test_what_failed_says_how_often_it_was_tried() -> None:
    model = ScriptedModel({b"0": ["fails"] * 9, b"1": ["dies"] * 9, b"2": ["hangs"] * 9, b"3": ["refused"]})
    assert outcomes(model, items(4)) == [
        (0, "fails (tried 3 times)"),
        (1, "the model's process was killed by SIGKILL (tried 3 times)"),
        (2, "no answer within 100 s (InvocationsTimeoutInSeconds) (tried 3 times)"),
        (3, "refused"),
    ]
    assert model.starts == 1 + 3 + 3
    assert outcomes(ScriptedModel({b"0": ["fails"]}), items(1), retries=0) == [(0, "fails")]


@pytest.mark.parametrize(
    ("words", "timed_out"),
    [(["hangs", "hangs"], True), (["fails", "hangs"], True), (["hangs", "fails"], False), (["hangs", "dies"], False)],
)
def test_what_took_too_long_is_said_of_the_last_try_alone(words: list[str], timed_out: bool) -> None:
    model = ScriptedModel({b"0": words})
    model.start()
    (item,) = feeder(model, retries=1).answers(items(1))
    assert item.failure is not None
    assert item.timed_out == timed_out


def test_the_time_of_an_answer_begins_with_the_one_before_it() -> None:
    """Sixty-four payloads that take two seconds each are not late because they were sent together."""
    model = ScriptedModel({})
    feeder_ = Feeder[int](
        model, concurrent=None, timeout_s=1.5, retries=0, retried=lambda item, words: None, clock=lambda: model.now
    )
    model.start()
    assert [item.failure for item in feeder_.answers(items(100))] == [None] * 100


def test_marks_keep_their_place_among_payloads() -> None:
    model = ScriptedModel({b"0": ["fails"]})
    mixed = [*items(2), Item(10), *items(1), Item(11)]
    assert [key for key, _ in outcomes(model, mixed)] == [0, 1, 10, 0, 11]


def test_few_large_payloads_are_under_way_at_a_time() -> None:
    body = b"x" * (MANY_BYTES // 2)
    model = ScriptedModel({})
    outcomes(model, [Item(number, Payload(1, 1, 1, body)) for number in range(6)])
    assert model.most == 2


def test_a_model_that_cannot_be_started_again_ends_it_all() -> None:
    class Broken(ScriptedModel):
        def start(self) -> None:
            super().start()
            if self.starts > 1:
                raise ModelGone(1)

    with pytest.raises(ModelGone):
        outcomes(Broken({b"1": ["dies"]}), items(3))


@given(st.lists(st.tuples(st.sampled_from([ANSWER, FAILED]), st.binary(max_size=40)), max_size=9), st.integers(1, 30))
def test_frames_are_read_as_they_were_written_however_they_arrive(frames: list[tuple[bytes, bytes]], size: int) -> None:
    sent = [Frame(*frame) for frame in frames]
    data = b"".join(map(packed, sent))
    unpacker = Unpacker()
    assert [frame for place in range(0, len(data), size) for frame in unpacker.feed(data[place : place + size])] == sent


def test_neither_end_waits_for_the_other_when_both_have_more_than_a_socket_holds() -> None:
    ours, theirs = socket.socketpair()
    body = b"x" * (8 << 20)

    def answer() -> None:
        end = ModelEnd(theirs, Counter())
        while (frame := end.receive()) is not None:
            end.send(Frame(ANSWER, frame.data))
        theirs.close()

    thread = threading.Thread(target=answer)
    thread.start()
    channel = Channel(ours)
    for _ in range(3):
        channel.send(Frame(PAYLOAD, body))
    assert [channel.receive(60) for _ in range(3)] == [Frame(ANSWER, body)] * 3
    assert channel.receive(0) is None
    channel.close()
    thread.join()


def test_what_was_answered_before_the_end_is_returned_before_it_is_told() -> None:
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    answered = Counter()
    end = ModelEnd(theirs, answered)
    end.send(Frame(ANSWER, b"last"))
    channel.send(Frame(PAYLOAD, b"1"))
    assert channel.receive(0) is None, "it waits for others"
    assert end.receive() == Frame(PAYLOAD, b"1")
    assert answered.get() == 1
    theirs.close()
    channel.send(Frame(PAYLOAD, b"too late"))
    assert channel.receive(None) == Frame(ANSWER, b"last")
    with pytest.raises(EOFError):
        channel.receive(None)
    channel.close()
