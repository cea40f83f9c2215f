"""The engine carries out decisions once each, looks again when the world changes, and survives faults at any write."""

import logging
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest

from towpath.engine import Engine
from towpath.engine.loop import LEASE_S
from towpath.kernel import generic
from towpath.kernel.clock import VirtualClock
from towpath.kernel.decisions import Decision
from towpath.kernel.errors import DiskFull
from towpath.kernel.events import Event
from towpath.kernel.faults import Fault
from towpath.kernel.kinds import Kind
from towpath.kernel.operations import Request
from towpath.kernel.ports import Transaction
from towpath.kernel.principals import PLATFORM
from towpath.kernel.resource import Resource, Uid
from towpath.store import SqliteStore, SqlTransaction
from towpath.testing.crashes import Crash, CrashingStore

R = TypeVar("R")

LAMP = Kind(
    noun="Lamp",
    arn_type="lamp",
    name_member="LampName",
    arn_member="LampArn",
    status_member="LampStatus",
    controlled=True,
)


class World:
    """The outside: lamps that somebody switched on, by key."""

    def __init__(self) -> None:
        self.switched: list[str] = []

    def switch(self, key: str) -> None:
        """Switch a lamp on; doing it again for a key changes nothing, as back ends promise."""
        if key not in self.switched:
            self.switched.append(key)


class LampController:
    """Records the intent, switches the lamp on, and burns it for ten seconds."""

    kind = "Lamp"

    def __init__(self, world: World) -> None:
        self.world = world

    def observe(self, resource: Resource) -> bool:
        return resource.uid in self.world.switched

    def decide(self, resource: Resource, observation: bool, now: datetime) -> Decision:
        match resource.status:
            case None:
                return Decision(status="Starting", state={"since": now.timestamp()}, effects=("switch",))
            case "Starting" if observation:
                return Decision(
                    status="Burning",
                    events=(Event(type="Lamp On", subject=resource.uid, principal="towpath", at=now),),
                    due_at=now + timedelta(seconds=10),
                )
            case "Starting":
                return Decision(effects=("switch",))
            case "Burning" if now.timestamp() >= resource.state["since"] + 10:
                return Decision(status="Burnt", facts=("count",))
            case "Burning":
                return Decision(due_at=now + timedelta(seconds=1))
        return Decision()

    def apply(self, transaction: Transaction, resource: Resource, decision: Decision) -> None:
        transaction.resources.next_number("burnt")

    def act(self, resource: Resource, decision: Decision) -> None:
        self.world.switch(resource.uid)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def store(tmp_path: Path, clock: VirtualClock) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "store.db", clock=clock)
    yield opened
    opened.close()


def make(store: SqliteStore, name: str) -> Uid:
    request = Request(operation="CreateLamp", input={"LampName": name}, caller=PLATFORM)
    return store.write(lambda transaction: generic.create(transaction, LAMP, request)).uid


def status(store: SqliteStore, uid: Uid) -> str | None:
    found = store.read(lambda transaction: transaction.resources.get(uid))
    assert found is not None
    return found.status


def run_to_the_end(engine: Engine, clock: VirtualClock) -> None:
    """Let time pass until nothing is waiting for it."""
    engine.run_until_idle()
    while (due := engine.next_due()) is not None:
        clock.advance(max(0.0, (due - clock.now()).total_seconds()))
        engine.run_until_idle()


def test_a_resource_goes_through_its_life_on_virtual_time(store: SqliteStore, clock: VirtualClock) -> None:
    world = World()
    engine = Engine(store, {"Lamp": LampController(world)}, clock=clock, kinds={"Lamp": LAMP})
    uid = make(store, "a")
    engine.run_until_idle()
    assert status(store, uid) == "Burning"
    clock.advance(9)
    engine.run_until_idle()
    assert status(store, uid) == "Burning"
    clock.advance(1)
    engine.run_until_idle()
    assert status(store, uid) == "Burnt"
    assert engine.next_due() is None
    events = store.read(lambda transaction: transaction.events.of(uid))
    assert [event.type for event in events] == ["CreateLamp", "Lamp On"]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", range(1, 9))
def test_a_crash_at_any_write_changes_nothing_about_the_end(
    store: SqliteStore, clock: VirtualClock, at: int, after: bool
) -> None:
    world = World()
    uid = make(store, "a")
    crashing: Any = CrashingStore(store, at, after=after)
    engine = Engine(crashing, {"Lamp": LampController(world)}, clock=clock, kinds={"Lamp": LAMP})
    with pytest.raises(Crash):
        run_to_the_end(engine, clock)
        raise Crash  # the life has fewer writes than `at`: the restart below must then find nothing to do
    store.write(lambda transaction: transaction.work.release_all())
    run_to_the_end(Engine(store, {"Lamp": LampController(world)}, clock=clock, kinds={"Lamp": LAMP}), clock)
    assert status(store, uid) == "Burnt"
    assert world.switched == [uid]
    assert store.write(lambda transaction: transaction.resources.next_number("burnt")) == 2
    events = store.read(lambda transaction: transaction.events.of(uid))
    assert [event.type for event in events] == ["CreateLamp", "Lamp On"]


class FailingController(LampController):
    """Cannot see the world for the first two times."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.looks = 0

    def observe(self, resource: Resource) -> bool:
        self.looks += 1
        if self.looks <= 2:
            raise OSError("the back end does not answer")
        return super().observe(resource)


def test_a_controller_that_fails_is_tried_again_later(
    store: SqliteStore, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    controller = FailingController(World())
    engine = Engine(store, {"Lamp": controller}, clock=clock, kinds={"Lamp": LAMP})
    uid = make(store, "a")
    engine.run_until_idle()
    assert controller.looks == 1
    assert engine.next_due() == clock.now() + timedelta(seconds=0.1)
    run_to_the_end(engine, clock)
    assert status(store, uid) == "Burnt"
    assert "the back end does not answer" in caplog.text


class ObstinateController(LampController):
    """Cannot see the world as often as it is told."""

    def __init__(self, world: World, failures: int) -> None:
        super().__init__(world)
        self.failures = failures

    def observe(self, resource: Resource) -> bool:
        if self.failures:
            self.failures -= 1
            raise OSError(f"the back end\ndoes not answer; {self.failures} to go")
        return super().observe(resource)


def test_what_holds_a_resource_up_is_known_until_it_is_gone(store: SqliteStore, clock: VirtualClock) -> None:
    engine = Engine(store, {"Lamp": ObstinateController(World(), 4)}, clock=clock, kinds={"Lamp": LAMP})
    uid = make(store, "a")
    began = clock.now()
    assert fault_of(store, uid) is None
    for tries, wait_s in enumerate((0.1, 1.0, 5.0, 30.0), start=1):
        engine.run_until_idle()
        fault = fault_of(store, uid)
        assert fault is not None
        assert (fault.tries, fault.since) == (tries, began)
        assert fault.said == f"OSError: the back end does not answer; {4 - tries} to go"
        assert fault.next_try_at == clock.now() + timedelta(seconds=wait_s)
        assert store.read(lambda tx: tx.work.faults(3, 10)) == ([(uid, fault)] if tries >= 3 else [])
        clock.advance(wait_s)
    engine.run_until_idle()
    assert status(store, uid) == "Burning"
    assert fault_of(store, uid) is None
    assert store.read(lambda tx: tx.work.faults(1, 10)) == []


class Pestered(ObstinateController):
    """Is woken whenever it looks, as by a job that tells of itself again and again."""

    def __init__(self, world: World, failures: int, store: SqliteStore) -> None:
        super().__init__(world, failures)
        self.store = store
        self.looks: list[str] = []

    def observe(self, resource: Resource) -> bool:
        self.looks.append(resource.name)
        if self.failures and resource.name == "b":
            return super(ObstinateController, self).observe(resource)
        if self.failures:
            self.store.write(lambda transaction: transaction.work.schedule(resource.uid, transaction.now))
        return super().observe(resource)


def test_nothing_that_happens_hurries_what_a_fault_holds_up_and_others_are_hurried_as_ever(
    store: SqliteStore, clock: VirtualClock
) -> None:
    controller = Pestered(World(), 4, store)
    engine = Engine(store, {"Lamp": controller}, clock=clock, kinds={"Lamp": LAMP})
    held, other = make(store, "a"), make(store, "b")
    for wait_s in (0.1, 1.0, 5.0, 30.0):
        engine.run_until_idle()
        assert controller.looks.count("a") == 1
        next_try = clock.now() + timedelta(seconds=wait_s)
        controller.looks.clear()
        for _ in range(3):
            engine.wake(held)
            store.write(lambda transaction: transaction.work.schedule(held, transaction.now))
            engine.wake(other)
            engine.run_until_idle()
        assert controller.looks == ["b"] * 3, "the one that is held up is not tried, and the other one at once"
        fault = fault_of(store, held)
        assert fault is not None
        assert fault.next_try_at == next_try, "and what people are told of the next try is true"
        controller.looks.clear()
        clock.advance(wait_s)
    engine.run_until_idle()
    assert status(store, held) in {"Burning", "Burnt"}
    assert fault_of(store, held) is None


class Hurried(ObstinateController):
    """Cannot see the world, and is hurried once while it looks."""

    def __init__(self, world: World, failures: int, store: SqliteStore) -> None:
        super().__init__(world, failures)
        self.store = store
        self.hurries = False

    def observe(self, resource: Resource) -> bool:
        if self.hurries:
            self.hurries = False
            self.store.write(lambda transaction: transaction.work.hurry(resource.uid))
        return super().observe(resource)


@pytest.mark.parametrize("meanwhile", [False, True], ids=["between two tries", "during a try"])
def test_what_a_fault_holds_up_is_looked_at_at_once_when_it_is_hurried(
    store: SqliteStore, clock: VirtualClock, meanwhile: bool
) -> None:
    controller = Hurried(World(), 4, store)
    engine = Engine(store, {"Lamp": controller}, clock=clock, kinds={"Lamp": LAMP})
    uid = make(store, "a")
    for wait_s in (0.1, 1.0):
        engine.run_until_idle()
        clock.advance(wait_s)
    controller.hurries = meanwhile
    engine.run_until_idle()
    if not meanwhile:
        assert controller.failures == 1
        store.write(lambda transaction: transaction.work.hurry(uid))
        engine.run_until_idle()
    assert controller.failures == 0
    fault = fault_of(store, uid)
    assert fault is not None
    assert fault.tries == 4, "it was tried once more, and waits like before when that fails"
    assert engine.next_due() == fault.next_try_at == clock.now() + timedelta(seconds=30)
    clock.advance(30)
    engine.run_until_idle()
    assert status(store, uid) == "Burning"


def fault_of(store: SqliteStore, uid: Uid) -> Fault | None:
    return store.read(lambda transaction: transaction.work.fault(uid))


class Dimmer(LampController):
    """Switches the lamp on with its last decision, which fails as often as it is told."""

    def __init__(self, world: World, failures: int) -> None:
        super().__init__(world)
        self.failures = failures

    def decide(self, resource: Resource, observation: bool, now: datetime) -> Decision:
        return Decision() if observation else Decision(status="Burning", effects=("switch",), last=True)

    def act(self, resource: Resource, decision: Decision) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError("the back end does not answer")
        super().act(resource, decision)


def test_the_effect_of_a_last_decision_is_tried_again_when_it_fails(
    store: SqliteStore, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    engine = Engine(store, {"Lamp": Dimmer(world, failures=2)}, clock=clock, kinds={"Lamp": LAMP})
    uid = make(store, "a")
    engine.run_until_idle()
    assert status(store, uid) == "Burning"
    assert engine.next_due() == clock.now() + timedelta(seconds=0.1)
    assert world.switched == []
    run_to_the_end(engine, clock)
    assert world.switched == [uid]
    assert caplog.text.count("OSError: the back end does not answer") == 2


def test_a_last_decision_is_one_commit_and_no_further_look(store: SqliteStore, clock: VirtualClock) -> None:
    world = World()
    looks: list[str] = []

    class Counting(Dimmer):
        def observe(self, resource: Resource) -> bool:
            looks.append(resource.name)
            return super().observe(resource)

    engine = Engine(store, {"Lamp": Counting(world, failures=0)}, clock=clock, kinds={"Lamp": LAMP})
    uid = make(store, "a")
    engine.run_until_idle()
    assert world.switched == [uid]
    assert looks == ["a"]


@pytest.mark.parametrize("refused", [1, 2])
def test_a_started_engine_looks_again_at_the_time_that_a_turn_has_named(refused: int, tmp_path: Path) -> None:
    """Nobody tells it then: the time itself has to end its wait."""
    store = SqliteStore(tmp_path / "store.db")

    class Announced(World):
        def switch(self, key: str) -> None:
            super().switch(key)
            done.set()

    done = threading.Event()
    controller = Dimmer(Announced(), failures=refused)
    engine = Engine(store, {"Lamp": controller}, clock=store.clock, kinds={"Lamp": LAMP})
    engine.start()
    try:
        make(store, "a")
        assert done.wait(30)
    finally:
        engine.stop()
        store.close()


def test_threads_carry_many_resources_to_their_end(tmp_path: Path) -> None:
    """On the real clock and with threads, woken by commits alone."""
    from threading import Event as Flag

    from towpath.kernel.clock import SystemClock

    class Brief(LampController):
        def decide(self, resource: Resource, observation: bool, now: datetime) -> Decision:
            if resource.status is None:
                return Decision(status="Starting", effects=("switch",))
            if resource.status == "Starting":
                return Decision(status="Burnt", facts=("count",))
            return Decision()

        def apply(self, transaction: Transaction, resource: Resource, decision: Decision) -> None:
            if transaction.resources.next_number("burnt") == 20:
                done.set()

    done = Flag()
    store = SqliteStore(tmp_path / "s.db")
    world = World()
    engine = Engine(store, {"Lamp": Brief(world)}, clock=SystemClock(), kinds={"Lamp": LAMP})
    engine.start()
    try:
        uids = [make(store, f"lamp{number}") for number in range(20)]
        assert done.wait(60)
    finally:
        engine.stop()
    assert sorted(world.switched) == sorted(uids)
    assert {status(store, uid) for uid in uids} == {"Burnt"}
    store.close()


def test_what_waits_for_a_time_still_comes_when_the_clock_is_put_back(store: SqliteStore, clock: VirtualClock) -> None:
    world = World()
    engine = Engine(store, {"Lamp": LampController(world)}, clock=clock, kinds={"Lamp": LAMP})
    waiting = make(store, "a")
    engine.run_until_idle()
    due = engine.next_due()
    assert due == clock.now() + timedelta(seconds=10)
    fresh = make(store, "b")  # due at once, by the clock as it was
    clock.set(clock.now() - timedelta(hours=3))
    engine.run_until_idle()
    assert status(store, fresh) == "Burning"
    assert status(store, waiting) == "Burning"
    assert engine.next_due() == clock.now() + timedelta(seconds=10)


def test_what_the_world_tells_of_is_looked_at_before_what_has_waited_longer(
    store: SqliteStore, clock: VirtualClock
) -> None:
    """Thousands of jobs that have just been created would else keep those that end from being followed by the next."""
    looked_at: list[Uid] = []

    class Noting(LampController):
        def observe(self, resource: Resource) -> bool:
            looked_at.append(resource.uid)
            return super().observe(resource)

    engine = Engine(store, {"Lamp": Noting(World())}, clock=clock, kinds={"Lamp": LAMP})
    waiting = []
    for name in ("a", "b", "c"):
        waiting.append(make(store, name))
        clock.advance(1)
    engine.wake(waiting[-1])
    engine.run_until_idle()
    assert list(dict.fromkeys(looked_at)) == [waiting[2], waiting[0], waiting[1]]


class WatchedClock(VirtualClock):
    """Tells when it has been read a number of times since it was last set."""

    def __init__(self) -> None:
        super().__init__()
        self._read = threading.Condition()
        self._reads = 0

    def now(self) -> datetime:
        with self._read:
            self._reads += 1
            self._read.notify_all()
            return super().now()

    def advance(self, seconds: float) -> datetime:
        with self._read:
            self._reads = 0
            return super().advance(seconds)

    def until_read(self, times: int) -> None:
        with self._read:
            assert self._read.wait_for(lambda: self._reads >= times, timeout=60)


def test_a_jump_back_is_noticed_although_nothing_was_due_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine compares with the last time that it read, which may be long after it last took leases."""
    monkeypatch.setattr("towpath.engine.loop.LONGEST_WAIT_S", 0.01)
    told = threading.Event()
    monkeypatch.setattr("towpath.engine.loop.logger.warning", lambda *_: told.set())
    clock, world = WatchedClock(), World()
    store = SqliteStore(tmp_path / "store.db", clock=clock)
    engine = Engine(store, {"Lamp": LampController(world)}, clock=clock, kinds={"Lamp": LAMP})
    make(store, "a")
    engine.run_until_idle()
    begun = clock.now()
    engine.start()
    clock.advance(9)  # the lamp burns for ten seconds
    clock.until_read(20)
    clock.set(clock.now() - timedelta(seconds=8))
    assert told.wait(60)
    engine.stop()
    assert engine.next_due() == begun + timedelta(seconds=2)
    store.close()


def test_a_start_after_the_clock_was_put_back_looks_at_what_waits(store: SqliteStore, clock: VirtualClock) -> None:
    world = World()
    uid = make(store, "a")
    clock.set(clock.now() - timedelta(days=1))
    engine = Engine(store, {"Lamp": LampController(world)}, clock=clock, kinds={"Lamp": LAMP})
    assert engine.run_until_idle() == 0, "nothing tells a new engine how late it was"
    engine.start()
    engine.stop()
    engine.run_until_idle()
    assert status(store, uid) == "Burning"


def test_a_failing_look_at_the_work_does_not_end_the_engine(store: SqliteStore, clock: VirtualClock) -> None:
    done, failed = threading.Event(), threading.Event()

    class Failing:
        def __init__(self) -> None:
            self.fails = False

        def read(self, work: Callable[[SqlTransaction], R]) -> R:
            return store.read(work)

        def note(self, work: Callable[[SqlTransaction], R]) -> R:
            return self.write(work)

        def write(self, work: Callable[[SqlTransaction], R]) -> R:
            if self.fails and threading.current_thread().name == "engine-dispatch":
                self.fails = False
                failed.set()
                raise OSError("the disk does not answer")
            return store.write(work)

        def on_commit(self, listener: Callable[[set[Uid]], None]) -> None:
            store.on_commit(listener)

    class Switching(World):
        def switch(self, key: str) -> None:
            super().switch(key)
            done.set()

    failing = Failing()
    engine = Engine(failing, {"Lamp": LampController(Switching())}, clock=clock, kinds={"Lamp": LAMP})
    engine.start()
    try:
        failing.fails = True
        engine.wake(Uid("nobody"))  # ends the wait, and the look that follows fails
        assert failed.wait(30)
        make(store, "a")
        assert done.wait(30)
    finally:
        engine.stop()


class FullDisk:
    """A store whose writes find no room from the one with this number on, counted from when it becomes full."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self.after: int | None = None  #: writes that still find room; None: the disk has room
        self.refused = 0
        self.refused_often = threading.Event()

    def read(self, work: Callable[[SqlTransaction], R]) -> R:
        return self._store.read(work)

    def note(self, work: Callable[[SqlTransaction], R]) -> R:
        return self.write(work)

    def write(self, work: Callable[[SqlTransaction], R]) -> R:
        with self._lock:
            if self.after is not None:
                self.after -= 1
                if self.after < 0:
                    self.refused += 1
                    if self.refused >= 3:
                        self.refused_often.set()
                    raise DiskFull
        return self._store.write(work)

    def on_commit(self, listener: Callable[[set[Uid]], None]) -> None:
        self._store.on_commit(listener)


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_full_disk_is_told_once_and_all_goes_on_when_there_is_room(
    after: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whether leasing finds no room, deciding, or giving the lease back: nothing waits for a lease to run out."""
    store = SqliteStore(tmp_path / "store.db")
    full = FullDisk(store)
    burning = threading.Event()

    class Watched(World):
        def switch(self, key: str) -> None:
            super().switch(key)
            burning.set()

    world = Watched()
    engine = Engine(full, {"Lamp": LampController(world)}, clock=store.clock, kinds={"Lamp": LAMP})
    try:
        with caplog.at_level(logging.WARNING):
            engine.start()
            full.after = after
            uid = make(store, "a")
            assert full.refused_often.wait(30)
            assert not burning.is_set() or after == 2
            full.after = None
            assert burning.wait(LEASE_S / 2), "long before the lease runs out"
        assert [record.exc_info for record in caplog.records] == [None], "one line, no trace"
        assert "disk of the platform's home is full" in caplog.text
        assert world.switched == [uid]
    finally:
        engine.stop()
        store.close()


def test_a_turn_that_hangs_is_taken_over_when_its_lease_is_over(store: SqliteStore, clock: VirtualClock) -> None:
    world = World()
    uid = make(store, "a")
    slow = Engine(store, {"Lamp": LampController(world)}, clock=clock, kinds={"Lamp": LAMP}, lease_s=5.0)
    (hanging,) = slow._lease(1)
    other = Engine(store, {"Lamp": LampController(world)}, clock=clock, kinds={"Lamp": LAMP})
    clock.advance(4.9)
    assert other.run_until_idle() == 0
    clock.advance(0.1)
    assert other.run_until_idle() == 1
    revision = store.read(lambda transaction: transaction.resources.get(uid)).revision  # type: ignore[union-attr]
    assert slow._turns.take(hanging) == (None, None)
    found = store.read(lambda transaction: transaction.resources.get(uid))
    assert found is not None
    assert found.revision == revision, "what it had decided is void"


HOUSE = Kind(
    noun="House", arn_type="house", name_member="HouseName", arn_member="HouseArn", status_member="HouseStatus",
    controlled=True,
)  # fmt: skip


class HouseController:
    """Has one lamp put in, and is lit when that burns."""

    kind = "House"

    def __init__(self, store: SqliteStore, fault: Exception | None = None) -> None:
        self.store = store
        self.fault = fault
        self.looks: list[str] = []
        self.taken_back: list[str] = []

    def observe(self, resource: Resource) -> bool:
        self.looks.append("observe")
        return self.store.read(self.is_lit)

    def is_lit(self, transaction: Transaction) -> bool:
        lamp = transaction.resources.find("Lamp", "inside")
        return lamp is not None and lamp.status == "Burning"

    def observe_within(self, transaction: Transaction, resource: Resource) -> bool:
        self.looks.append("observe_within")
        if self.fault is not None:
            raise self.fault
        return self.is_lit(transaction)

    def unobserved(self, resource: Resource) -> None:
        self.taken_back.append(resource.name)

    def decide(self, resource: Resource, observation: bool, now: datetime) -> Decision:
        if resource.status is None:
            return Decision(status="Wired", facts=("lamp",))
        return Decision(status="Lit") if observation else Decision()

    def apply(self, transaction: Transaction, resource: Resource, decision: Decision) -> None:
        request = Request(
            operation="CreateLamp", input={"LampName": "inside"}, caller=PLATFORM, parent=Uid(resource.uid)
        )
        generic.create(transaction, LAMP, request)

    def act(self, resource: Resource, decision: Decision) -> None:
        raise AssertionError("a house has no effects")


class PromptLamp(LampController):
    """A lamp that says within a transaction whether it burns, if it was never switched on."""

    def observe_within(self, transaction: Transaction, resource: Resource) -> bool | None:
        return False if resource.status is None else None

    def unobserved(self, resource: Resource) -> None:
        return


class Counted(CrashingStore):
    """Counts writes, and fails one of them when it is told to, as a disk may."""

    def __init__(self, store: SqliteStore) -> None:
        super().__init__(store, 0, after=False)
        self.writes = 0
        self.fails_at: int | None = None

    def write(self, work: Callable[[SqlTransaction], R]) -> R:
        self.writes += 1
        if self.writes != self.fails_at:
            return super().write(work)

        def failing(transaction: SqlTransaction) -> R:
            work(transaction)
            raise DiskFull

        return super().write(failing)


def lit_house(counted: Counted, clock: VirtualClock, house: HouseController, world: World) -> Engine:
    return Engine(
        counted, {"Lamp": PromptLamp(world), "House": house}, clock=clock, kinds={"Lamp": LAMP, "House": HOUSE}
    )


def make_house(store: SqliteStore) -> Uid:
    request = Request(operation="CreateHouse", input={"HouseName": "h"}, caller=PLATFORM)
    return store.write(lambda transaction: generic.create(transaction, HOUSE, request)).uid


def test_what_a_decision_makes_due_is_decided_in_its_own_transaction(store: SqliteStore, clock: VirtualClock) -> None:
    counted, world, house = Counted(store), World(), HouseController(store)
    engine = lit_house(counted, clock, house, world)
    uid = make_house(store)
    engine.run_until_idle()
    assert status(store, uid) == "Lit"
    assert len(world.switched) == 1
    # A look at the work; house wired, lamp made and its switching recorded; lamp burns and house lit; another look.
    assert counted.writes == 4
    assert house.looks == ["observe", "observe_within"]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", range(1, 9))
def test_a_crash_at_any_write_of_a_chain_changes_nothing_about_the_end(
    store: SqliteStore, clock: VirtualClock, at: int, after: bool
) -> None:
    world = World()
    uid = make_house(store)
    crashing: Any = CrashingStore(store, at, after=after)
    with pytest.raises(Crash):
        run_to_the_end(lit_house(crashing, clock, HouseController(store), world), clock)
        raise Crash
    store.write(lambda transaction: transaction.work.release_all())
    run_to_the_end(lit_house(Counted(store), clock, HouseController(store), world), clock)
    assert status(store, uid) == "Lit"
    assert len(world.switched) == 1
    assert store.write(lambda transaction: transaction.resources.next_number("burnt")) == 2


def test_a_fault_in_what_follows_does_not_undo_what_it_follows_from(
    store: SqliteStore, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    house = HouseController(store, ValueError("the house is upside down"))
    world = World()
    engine = lit_house(Counted(store), clock, house, world)
    uid = make_house(store)
    run_to_the_end(engine, clock)
    lamp = store.read(lambda transaction: transaction.resources.find("Lamp", "inside"))
    assert lamp is not None
    assert lamp.status == "Burnt"
    assert status(store, uid) == "Lit", "its own turn came after all"
    assert set(house.looks) == {"observe", "observe_within"}
    assert "the house is upside down" not in caplog.text


def test_an_undone_transaction_is_told_to_those_who_were_asked_in_it(store: SqliteStore, clock: VirtualClock) -> None:
    counted, world, house = Counted(store), World(), HouseController(store)
    engine = lit_house(counted, clock, house, world)
    uid = make_house(store)
    counted.fails_at = 3  # the lamp burns and the house is lit
    engine.run_until_idle()
    assert house.taken_back == ["h"]
    assert status(store, uid) == "Wired"
    run_to_the_end(engine, clock)
    assert status(store, uid) == "Lit"
    assert len(world.switched) == 1


def test_what_others_changed_between_two_turns_is_read_anew(store: SqliteStore, clock: VirtualClock) -> None:
    seen: list[Any] = []

    class Looking(LampController):
        def observe(self, resource: Resource) -> bool:
            seen.append(resource.spec.get("Colour"))
            return super().observe(resource)

    engine = Engine(store, {"Lamp": Looking(World())}, clock=clock, kinds={"Lamp": LAMP})
    uid = make(store, "a")
    engine.run_until_idle()

    def paint(transaction: Transaction) -> None:
        lamp = transaction.resources.get(uid)
        assert lamp is not None
        transaction.resources.replace(lamp, spec={**lamp.spec, "Colour": "red"})

    store.write(paint)
    run_to_the_end(engine, clock)
    assert seen[0] is None
    assert seen[-1] == "red"
    assert status(store, uid) == "Burnt"


def test_only_what_the_world_tells_again_does_not_wait_for_the_disk(store: SqliteStore, clock: VirtualClock) -> None:
    """A lease, its return and a look that changes nothing can be lost; an intent or a status cannot."""
    asked: list[str] = []

    class Listening(CrashingStore):
        def note(self, work: Callable[[SqlTransaction], R]) -> R:
            asked.append("note")
            return store.note(work)

        def write(self, work: Callable[[SqlTransaction], R]) -> R:
            asked.append("write")
            return super().write(work)

    class Switching(World):
        def switch(self, key: str) -> None:
            asked.append("switch")
            super().switch(key)

    listening = Listening(store, 0, after=False)
    engine = Engine(listening, {"Lamp": LampController(Switching())}, clock=clock, kinds={"Lamp": LAMP})
    make(store, "a")
    engine.run_until_idle()
    assert asked == ["note", "write", "switch", "write", "note"], "lease, starting, its effect, burning; nothing is due"
    asked.clear()
    clock.advance(10)
    engine.run_until_idle()
    assert asked == ["note", "write", "note"], "lease, burnt; nothing is due"


@pytest.mark.parametrize(
    ("decision", "can_be_lost"),
    [
        (Decision(), True),
        (Decision(state={"seen": True}), False),
        (Decision(state={"seen": True}, observed=True), True),
        (Decision(state={"seen": True}, observed=True, status="Burning"), False),
        (Decision(observed=True, facts=("count",)), False),
        (Decision(observed=True, effects=("switch",)), False),
        (Decision(delete=True), False),
    ],
)
def test_a_decision_can_be_lost_when_it_says_only_what_is_seen_again(decision: Decision, can_be_lost: bool) -> None:
    assert decision.can_be_lost is can_be_lost
