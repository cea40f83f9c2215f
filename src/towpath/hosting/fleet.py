"""From an endpoint config and its models to what a fleet runs, and from there to the jobs of its instances."""

from collections.abc import Callable, Mapping

from towpath.hosting.model import (
    EndpointConfigSpec,
    Fleet,
    FleetPlan,
    Instance,
    ModelSpec,
    ModelState,
    PlanFailed,
    VariantPlan,
    VariantSpec,
    attempt_key,
)
from towpath.hosting.ports import Resolve
from towpath.jobs.channels import input_files
from towpath.jobs.contract import Surroundings
from towpath.jobs.instances import allocation
from towpath.jobs.model import JobSpec, Limits
from towpath.jobs.served import model_environment, model_requirements
from towpath.kernel.errors import TowpathError
from towpath.kernel.objects import ObjectRef
from towpath.kernel.resource import Resource, view

STOP_GRACE_S = 70.0  #: a little longer than the model server gives its requests to finish


def plan(config: Resource, model_named: Callable[[str], Resource | None], resolve: Resolve) -> FleetPlan | PlanFailed:
    """Return what to start for an endpoint config; `model_named` finds a live model."""
    variants = []
    for variant in view(EndpointConfigSpec, config.spec).production_variants:
        model = model_named(variant.model_name or "")
        if model is None:
            return PlanFailed(
                f"Model {variant.model_name!r} of variant {variant.variant_name!r} (endpoint configuration "
                f"{config.name!r}) has been deleted; create it again, then update the endpoint"
            )
        try:
            variants.append(_planned(variant, model, resolve))
        except TowpathError as error:
            return PlanFailed(f"Variant {variant.variant_name!r}: {error.message}")
    return FleetPlan(config_name=config.name, variants=tuple(variants))


def _planned(variant: VariantSpec, model: Resource, resolve: Resolve) -> VariantPlan:
    state = view(ModelState, model.state)
    return VariantPlan(
        name=variant.variant_name,
        weight=variant.initial_variant_weight,
        instance_count=variant.initial_instance_count,
        instance_type=variant.instance_type,
        startup_timeout_s=variant.container_startup_health_check_timeout_in_seconds,
        model_name=model.name,
        model_uid=model.uid,
        package_arn=state.package_arn,
        image=state.image,
        python=resolve(state.image).python,
        environment=state.environment,
        inputs=state.inputs,
        network=not view(ModelSpec, model.spec).enable_network_isolation,
    )


def serving_job(
    endpoint: Resource,
    fleet: Fleet,
    instance: Instance,
    *,
    surroundings: Surroundings,
    paths: Mapping[ObjectRef, str],
) -> JobSpec:
    """Return the job that runs one instance's model server; `paths` tells where the bytes of its inputs lie."""
    variant = fleet.variants[instance.variant]
    allocated = allocation(variant.instance_type, surroundings.host)
    return JobSpec(
        key=attempt_key(endpoint.uid, fleet, instance),
        kind="serving",
        name=f"{endpoint.name}/{variant.name}/{instance.number}",
        argv=("{python}", "-m", "towpath.serving"),
        environment=model_environment(
            surroundings,
            variant.environment,
            {"TOWPATH_ENDPOINT": endpoint.name, "TOWPATH_VARIANT": variant.name},
            cores=allocated.cores,
        ),
        python=variant.python,
        folders=("model", "run", "output"),
        inputs=input_files(variant.inputs, paths),
        requirements=model_requirements(variant.environment),
        serves=True,
        limits=Limits(
            cores=allocated.cores,
            hold_cores=allocated.hold_cores,
            memory_bytes=allocated.memory_bytes,
            network=variant.network,
            stop_grace_s=STOP_GRACE_S,
        ),
        tags={
            "endpoint": endpoint.name,
            "variant": variant.name,
            "model": variant.model_name,
            **({"note": allocated.note} if allocated.note else {}),
        },
    )
