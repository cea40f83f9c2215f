"""The endpoint's decisions, whatever happens in whatever order, crashes included."""

from datetime import UTC, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, precondition, rule
from msgspec.structs import replace

from towpath.gateway.invocations import TIMEOUT_S
from towpath.hosting.decisions import Effect, Endpoint, Forget, Observation, SetRoutes, Stop, Submit
from towpath.hosting.endpoint import decide, wants_plan
from towpath.hosting.instances import MISSED_AGAIN_S, MISSED_MOST
from towpath.hosting.model import (
    EndpointState,
    EndpointStatus,
    Fleet,
    FleetPlan,
    PlanFailed,
    Seen,
    Stage,
    VariantPlan,
    VariantProperties,
    attempt_key,
    attempts_of,
    state_document,
)
from towpath.hosting.resizing import resized
from towpath.hosting.routing import LATELY_S, Entry
from towpath.jobs.model import Phase
from towpath.kernel.resource import Uid, view

UID = Uid("u")
START = datetime(2026, 1, 1, tzinfo=UTC)
ALIVE = {Phase.STARTING, Phase.RUNNING, Phase.READY}


def plan(name: str, instances: list[int]) -> FleetPlan:
    return FleetPlan(
        config_name=name,
        variants=tuple(
            VariantPlan(
                name=f"v{position}",
                weight=1.0,
                instance_count=count,
                instance_type="ml.m5.large",
                startup_timeout_s=60.0,
                model_name="m",
                model_uid=Uid("model"),
                package_arn=None,
                image="towpath",
                python="/python",
                environment={},
                inputs=(),
            )
            for position, count in enumerate(instances)
        ),
    )


class EndpointLife(RuleBasedStateMachine):
    """An endpoint in a world where processes start, die and vanish, requests come and go, and the platform crashes
    after any commit and in the middle of any row of effects."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.endpoint = Endpoint(uid=UID, generation=1, status=EndpointStatus.CREATING, state=EndpointState())
        self.removed = False
        self.next_plan: FleetPlan | PlanFailed = plan("c1", [1])
        self.phases: dict[str, Phase] = {}
        self.silent: set[str] = set()  #: ready by their own word, and yet they do not answer
        self.hung_since: dict[str, datetime] = {}  #: once healthy, and now they do not answer
        self.unnoticed: dict[str, datetime] = {}  #: went on since the platform last looked: for it they hang still
        self.given_up: set[str] = set()
        self.submitted: set[str] = set()
        self.entry: Entry | None = None
        self.requests: dict[str, int] = {}
        self.due: datetime | None = START

    requests_open: Bundle[str] = Bundle("requests_open")

    @initialize(instances=st.lists(st.integers(1, 2), min_size=1, max_size=2))
    def create(self, instances: list[int]) -> None:
        self.next_plan = plan("c1", instances)

    # -- the platform

    def look(self) -> Observation:
        keys = attempts_of(UID, self.endpoint.state)
        return Observation(
            plan=self.next_plan if wants_plan(self.endpoint) else None,
            attempts={
                key: Seen(
                    phase=self.phases.get(key, Phase.ABSENT),
                    address=f"/{key}",
                    answers=self.phases.get(key) is Phase.READY and key not in self.silent | self.hung_since.keys(),
                    reason="died" if self.phases.get(key) is Phase.FINISHED else None,
                )
                for key in keys
            },
            entry=self.entry,
            in_flight=self.requests,
        )

    def decide_and_commit(self) -> tuple[Effect, ...]:
        seen = self.look()
        outcome = decide(self.endpoint, seen, self.now)
        assert outcome == decide(self.endpoint, seen, self.now), "deciding is repeatable"
        stored = view(EndpointState, state_document(outcome.state))
        assert stored == outcome.state, "what is stored says everything"
        for effect in outcome.effects:
            if isinstance(effect, Stop):
                self.check_stop(effect)
        if outcome.deployed is not None:
            assert self.routed(), "whoever reads InService may ask in the next moment"
        self.endpoint = replace(self.endpoint, state=stored, status=outcome.status)
        self.removed = outcome.removed
        self.due = outcome.due_at
        self.unnoticed.clear()
        return outcome.effects

    def check_stop(self, stop: Stop) -> None:
        key = stop.key
        assert key not in self.routed(), "it was routed when its requests were counted"
        if stop.at_once and key not in self.given_up:
            hung_s = (self.now - self.hung_since[key]).total_seconds()
            assert hung_s >= 60, "a request may take as long, and keep the others waiting"
            self.given_up.add(key)
        elif not stop.at_once and self.requests.get(key) and self.endpoint.status is not EndpointStatus.DELETING:
            (fleet,) = [
                fleet
                for fleet in self.endpoint.state.fleets
                if any(attempt_key(UID, fleet, instance) == key for instance in fleet.instances)
            ]
            assert fleet.drain_until is not None and fleet.drain_until <= self.now, "a request is cut off"

    def carry_out(self, effect: Effect) -> None:
        match effect:
            case Submit(key):
                assert key in attempts_of(UID, self.endpoint.state), "the intent is recorded before anything starts"
                if key not in self.phases:
                    assert key not in self.submitted, "no key is used twice"
                    self.submitted.add(key)
                    self.phases[key] = Phase.STARTING
            case SetRoutes(entry):
                self.entry = entry
            case Stop(key):
                assert key not in self.routed(), "a routed instance is stopped"
                if self.phases.get(key) in ALIVE:
                    self.phases[key] = Phase.FINISHED
            case Forget(key):
                assert self.phases.get(key) not in ALIVE
                self.phases.pop(key, None)

    def routed(self) -> set[str]:
        return {target.key for target in self.entry.targets} if self.entry else set()

    @precondition(lambda self: not self.removed)
    @rule()
    def turn(self) -> None:
        for effect in self.decide_and_commit():
            self.carry_out(effect)

    @precondition(lambda self: not self.removed)
    @rule(carried_out=st.integers(0, 6))
    def turn_that_crashes(self, carried_out: int) -> None:
        for effect in self.decide_and_commit()[:carried_out]:
            self.carry_out(effect)
        self.entry = None  # the routes live in memory

    @precondition(lambda self: not self.removed)
    @rule()
    def all_goes_well(self) -> None:
        self.settle()
        for key, phase in self.phases.items():
            if phase in {Phase.STARTING, Phase.RUNNING}:
                self.phases[key] = Phase.READY
        self.silent.clear()
        self.hung_since.clear()
        self.settle()

    def settle(self) -> None:
        """Let the platform work until it has nothing to do now."""
        for _ in range(50):
            if self.removed:
                return
            effects = self.decide_and_commit()
            for effect in effects:
                self.carry_out(effect)
            if not effects and (self.due is None or self.due > self.now):
                return
        raise AssertionError("the platform never comes to rest")

    # -- the world

    @rule(data=st.data(), phase=st.sampled_from([Phase.RUNNING, Phase.READY, Phase.READY, Phase.FINISHED, Phase.LOST]))
    def something_happens_to_an_instance(self, data: st.DataObject, phase: Phase) -> None:
        alive = sorted(key for key, now in self.phases.items() if now in ALIVE)
        if alive:
            key = data.draw(st.sampled_from(alive))
            self.phases[key] = phase
            healthy = {
                attempt_key(UID, fleet, instance)
                for fleet in self.endpoint.state.fleets
                for instance in fleet.instances
                if instance.healthy
            }
            if phase is Phase.READY and key not in healthy and data.draw(st.booleans()):
                self.silent.add(key)

    @rule(data=st.data())
    def an_instance_hangs(self, data: st.DataObject) -> None:
        routed = sorted(self.routed())
        if routed:
            key = data.draw(st.sampled_from(routed))
            self.hung_since.setdefault(key, self.unnoticed.pop(key, self.now))

    @precondition(lambda self: self.hung_since)
    @rule(data=st.data())
    def a_hung_one_goes_on(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.hung_since)))
        self.unnoticed[key] = self.hung_since.pop(key)

    @precondition(lambda self: not self.removed)
    @rule(seconds=st.integers(1, 15))
    def time_passes_while_the_platform_looks(self, seconds: int) -> None:
        for _ in range(10):
            self.now += timedelta(seconds=seconds)
            self.settle()

    @rule(seconds=st.sampled_from([1, 5, 31, 61, 700]))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(target=requests_open, data=st.data())
    def a_request_comes(self, data: st.DataObject) -> str:
        routed = sorted(self.routed())
        if not routed:
            return ""
        key: str = data.draw(st.sampled_from(routed))
        self.requests[key] = self.requests.get(key, 0) + 1
        return key

    @rule(key=consumes(requests_open))
    def a_request_is_answered(self, key: str) -> None:
        if key:
            self.requests[key] -= 1

    # -- the caller

    @precondition(lambda self: self.endpoint.status is EndpointStatus.IN_SERVICE)
    @rule(instances=st.lists(st.integers(1, 2), min_size=1, max_size=2), can_be_planned=st.booleans())
    def update(self, instances: list[int], can_be_planned: bool) -> None:
        generation = self.endpoint.generation + 1
        self.next_plan = plan(f"c{generation}", instances) if can_be_planned else PlanFailed("no such model")
        self.endpoint = replace(
            self.endpoint, status=EndpointStatus.UPDATING, generation=generation, resizes=None, wanted={}
        )

    @precondition(lambda self: self.endpoint.status is EndpointStatus.IN_SERVICE)
    @rule(
        wanted=st.dictionaries(
            st.sampled_from(["v0", "v1"]),
            st.builds(
                VariantProperties,
                desired_weight=st.none() | st.sampled_from([0.5, 2.0]),
                desired_instance_count=st.none() | st.integers(1, 3),
            ),
        )
    )
    def resize(self, wanted: dict[str, VariantProperties]) -> None:
        (serving,) = [fleet for fleet in self.endpoint.state.fleets if fleet.stage is Stage.SERVING]
        self.endpoint = replace(
            self.endpoint,
            status=EndpointStatus.UPDATING,
            generation=self.endpoint.generation + 1,
            resizes=serving.follows,
            wanted=wanted,
        )

    @precondition(lambda self: not self.removed)
    @rule(really=st.integers(0, 4))
    def delete(self, really: int) -> None:
        if really == 0:
            self.endpoint = replace(
                self.endpoint, status=EndpointStatus.DELETING, generation=self.endpoint.generation + 1
            )

    # -- what always holds

    @invariant()
    def at_most_one_fleet_serves(self) -> None:
        stages = [fleet.stage for fleet in self.endpoint.state.fleets]
        assert stages.count(Stage.SERVING) <= 1

    @invariant()
    def in_service_means_that_a_fleet_serves(self) -> None:
        if self.endpoint.status is EndpointStatus.IN_SERVICE:
            assert any(fleet.stage is Stage.SERVING for fleet in self.endpoint.state.fleets)

    @invariant()
    def only_what_answered_is_routed(self) -> None:
        assert not self.routed() & self.silent

    @invariant()
    def everything_that_runs_is_known(self) -> None:
        if not self.removed:
            alive = {key for key, phase in self.phases.items() if phase in ALIVE}
            assert alive <= set(attempts_of(UID, self.endpoint.state))
        else:
            assert not self.phases
            assert self.entry is None

    def teardown(self) -> None:
        """In the end a healthy world brings every endpoint to a definite state."""
        self.requests = {}
        self.silent = set()
        for _ in range(16):
            self.settle()
            if self.removed:
                return
            for key, phase in self.phases.items():
                if phase in {Phase.STARTING, Phase.RUNNING}:
                    self.phases[key] = Phase.READY
            self.now += timedelta(seconds=35)
        self.settle()
        if self.removed:
            return
        assert self.endpoint.status in {EndpointStatus.IN_SERVICE, EndpointStatus.FAILED}
        assert not self.routed() & self.hung_since.keys(), "what hung was replaced"
        serving = [fleet for fleet in self.endpoint.state.fleets if fleet.stage is Stage.SERVING]
        assert len(self.routed()) == sum(len(fleet.instances) for fleet in serving)
        for fleet in serving:
            counts = [sum(1 for item in fleet.instances if item.variant == n) for n in range(len(fleet.variants))]
            assert counts == [variant.instance_count for variant in fleet.variants]
            assert not fleet.wanted, "what was asked for is done or given up"
            self.check_size(fleet)
        failed = [fleet.generation for fleet in self.endpoint.state.fleets if fleet.stage is Stage.FAILED]
        assert failed in ([], [self.endpoint.generation]), "what failed before the last update has made way"
        alive = {key for key, phase in self.phases.items() if phase in ALIVE}
        assert alive == self.routed(), "nothing else runs once the world is quiet"

    def check_size(self, fleet: Fleet) -> None:
        """A fleet that was resized has what was asked of it, unless it is told why not."""
        if self.endpoint.resizes is None or self.endpoint.state.failure_reason is not None:
            return
        assert fleet.follows == self.endpoint.generation
        assert fleet.variants == resized(fleet.variants, self.endpoint.wanted)
        assert self.entry is not None
        weights = {variant.name: variant.weight for variant in fleet.variants}
        assert all(target.weight == weights[target.variant] for target in self.entry.targets)


def test_a_fleet_that_fails_starts_nothing_more_in_the_same_decision() -> None:
    life = EndpointLife()
    life.create([2])
    life.decide_and_commit()
    first, second = attempts_of(UID, life.endpoint.state)
    life.phases[first] = Phase.FINISHED  # the crash came before the second instance was submitted
    effects = life.decide_and_commit()
    assert life.endpoint.status is EndpointStatus.FAILED
    assert not any(isinstance(effect, Submit) for effect in effects)
    assert second not in life.phases


def test_a_model_server_that_never_answers_is_given_up_in_its_time_although_the_clock_was_put_back() -> None:
    life = EndpointLife()
    life.create([1])
    life.decide_and_commit()
    (key,) = attempts_of(UID, life.endpoint.state)
    life.phases[key] = Phase.STARTING
    life.now -= timedelta(hours=1)
    life.decide_and_commit()
    assert life.endpoint.status is EndpointStatus.CREATING
    life.now += timedelta(seconds=59)
    life.decide_and_commit()
    assert life.endpoint.state.failure_reason is None
    life.now += timedelta(seconds=2)
    life.decide_and_commit()
    assert "within 60 s" in (life.endpoint.state.failure_reason or "")


def test_a_request_may_take_its_time_before_the_model_server_counts_as_hung() -> None:
    assert (MISSED_MOST - 1) * MISSED_AGAIN_S >= TIMEOUT_S
    assert LATELY_S > MISSED_AGAIN_S


EndpointLife.TestCase.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
TestEndpointLife = EndpointLife.TestCase
