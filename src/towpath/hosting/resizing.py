"""How a serving fleet gets other weights and instance counts without another one taking its place. Pure.

First the fleet grows: what a variant lacks is started beside what serves. When all of it answers, the new weights and
counts hold, and what a variant has too many drains as a fleet of its own. Where it cannot grow, all stays as it was.
"""

from collections.abc import Mapping
from datetime import datetime

from msgspec.structs import replace

from towpath.hosting.decisions import Endpoint
from towpath.hosting.model import Fleet, Instance, Stage, VariantPlan, VariantProperties


def resized(variants: tuple[VariantPlan, ...], wanted: Mapping[str, VariantProperties]) -> tuple[VariantPlan, ...]:
    """Return variants with the weights and counts that are wanted of some of them by name."""
    found = []
    for variant in variants:
        asked = wanted.get(variant.name, VariantProperties())
        count, weight = asked.desired_instance_count, asked.desired_weight
        found.append(
            replace(
                variant,
                instance_count=variant.instance_count if count is None else count,
                weight=variant.weight if weight is None else weight,
            )
        )
    return tuple(found)


def to_follow(endpoint: Endpoint) -> Fleet | None:
    """Return the fleet that is to follow the endpoint's generation with other weights and counts, where one is."""
    if endpoint.is_followed or endpoint.resizes is None:
        return None
    serving = (fleet for fleet in endpoint.state.fleets if fleet.stage is Stage.SERVING)
    return next((fleet for fleet in serving if fleet.follows == endpoint.resizes), None)


def begin(fleet: Fleet, wanted: Mapping[str, VariantProperties], generation: int, now: datetime) -> Fleet:
    """Return a fleet that begins to follow a generation of its endpoint that wants other weights and counts of it."""
    after = resized(fleet.variants, wanted)
    number = max([fleet.next_number, *(instance.number + 1 for instance in fleet.instances)])
    missing = []
    for position, variant in enumerate(after):
        for _ in range(variant.instance_count - fleet.variants[position].instance_count):
            missing.append(Instance(variant=position, number=number, submitted_at=now))
            number += 1
    return replace(fleet, wanted=after, resized=generation, instances=(*fleet.instances, *missing), next_number=number)


def added(fleet: Fleet) -> tuple[Instance, ...]:
    """Return what a fleet has beyond the counts that hold: those that it grows by, which stand behind the others."""
    left = [variant.instance_count for variant in fleet.variants]
    found = []
    for instance in fleet.instances:
        left[instance.variant] -= 1
        if left[instance.variant] < 0:
            found.append(instance)
    return tuple(found)


def finish(fleet: Fleet, drain_until: datetime) -> list[Fleet]:
    """Return a fleet that has grown with its new weights and counts, and what is to drain of it."""
    return _without_surplus(replace(fleet, variants=fleet.wanted, wanted=()), drain_until)


def give_up(fleet: Fleet, drain_until: datetime) -> list[Fleet]:
    """Return a fleet that cannot grow as it was before, and what is to drain of it."""
    return _without_surplus(replace(fleet, wanted=()), drain_until)


def _without_surplus(fleet: Fleet, drain_until: datetime) -> list[Fleet]:
    surplus = added(fleet)
    if not surplus:
        return [fleet]
    kept = tuple(instance for instance in fleet.instances if instance not in surplus)
    going = replace(
        fleet, instances=surplus, stage=Stage.DRAINING, drain_until=drain_until, resized=0, next_number=0, ended=()
    )
    return [replace(fleet, instances=kept), going]
