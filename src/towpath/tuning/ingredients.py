"""What a tuning job is made of: what its training jobs read and run in, and what it goes on from."""

from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from towpath.jobs.channels import PinnedInput, Role
from towpath.jobs.ingredients import Ingredients, JobIngredients, Recorded
from towpath.jobs.kinds import PINNED, TRAINING_JOB
from towpath.jobs.state import run_of
from towpath.jobs.tuned import tuned_of
from towpath.kernel import generic
from towpath.kernel.errors import Invalid
from towpath.kernel.ports import Store, Transaction
from towpath.kernel.resource import Document, Resource, Uid, view
from towpath.tuning.kinds import EARLIER, HYPER_PARAMETER_TUNING_JOB
from towpath.tuning.launching import definitions_of, training_request
from towpath.tuning.warm_start import names_of


class TuningIngredients:
    """Implements `jobs.ingredients.OtherIngredients` for tuning jobs."""

    def __init__(self, store: Store, jobs: JobIngredients) -> None:
        """`jobs`: finds the same out for training jobs."""
        self._store = store
        self._jobs = jobs

    def of_request(self, request: Document) -> Ingredients:
        """Return what all training jobs of a tuning job would be made of if they began now."""

        def earlier(transaction: Transaction) -> tuple[Uid, ...]:
            parents = (generic.find(transaction, HYPER_PARAMETER_TUNING_JOB, name) for name in names_of(request))
            return tuple(parent.uid for parent in parents)

        made = {
            definition.get("DefinitionName"): self._jobs.of_request(
                TRAINING_JOB.noun, training_request(definition, "looked-up", {}, {})
            )
            for definition in definitions_of(request)
        }
        return together(made, self._store.read(earlier))

    def recorded(self, transaction: Transaction, tuning: Resource) -> Recorded:
        """Return what tells what the training jobs of a tuning job were made of.

        Raises:
            Invalid: those of one definition were not made of the same, or none has begun.
        """
        begun: dict[str | None, list[Resource]] = {}
        for job in transaction.resources.children(tuning.uid):
            noted = tuned_of(job)
            if noted is not None and run_of(job) is not None:
                begun.setdefault(noted.definition_name, []).append(job)
        made: dict[str | None, Recorded] = {}
        for definition in definitions_of(tuning.spec):
            name = definition.get("DefinitionName")
            jobs = begun.get(name, [])
            if not jobs:
                of = "" if name is None else f" of the definition {name!r}"
                raise Invalid(f"No training job{of} has begun, so that what {tuning.name!r} reads is not settled")
            other = next((job for job in jobs if _settled(job) != _settled(jobs[0])), None)
            if other is not None:
                raise Invalid(f"The training jobs {jobs[0].name!r} and {other.name!r} were not made of the same")
            made[name] = self._jobs.recorded(transaction, jobs[0])
        earlier = tuple(Uid(uid) for uid in tuning.state.get(EARLIER, ()))
        return Recorded(
            together({name: recorded.known for name, recorded in made.items()}, earlier),
            lambda: together({name: recorded() for name, recorded in made.items()}, earlier).code,
        )

    def hand_over(self, transaction: Transaction, tuning: Resource, inputs: tuple[PinnedInput, ...]) -> None:
        """Have all training jobs of a tuning job that was just created read exactly these."""
        transaction.resources.replace(tuning, state={**tuning.state, PINNED: msgspec.to_builtins(inputs)})


def together(made: Mapping[str | None, Ingredients], earlier: tuple[Uid, ...]) -> Ingredients:
    """Return what the training jobs of all definitions are made of, each thing under the name of its definition.

    Args:
        made: by the names of the definitions; the only one may have none.
    """
    environments = {name: (each.python_version, dict(each.packages)) for name, each in made.items()}
    alike = all(environment == next(iter(environments.values())) for environment in environments.values())
    marked = {name: "" if alike else _mark(name) for name in made}
    versions = [f"{marked[name]}{each.python_version}" for name, each in made.items()]
    return Ingredients(
        inputs=tuple(
            replace(item, name=f"{_mark(name)}{item.name}") for name, each in made.items() for item in each.inputs
        ),
        code={f"{_mark(name)}{path}": digest for name, each in made.items() for path, digest in each.code.items()},
        earlier=earlier,
        python_version=versions[0] if alike else ", ".join(versions),
        packages={
            f"{marked[name]}{key}": version for name, each in made.items() for key, version in each.packages.items()
        },
    )


def handed_to(tuning: Resource, definition: str | None) -> tuple[PinnedInput, ...] | None:
    """Return what the training jobs of a definition have to read, None where that was not looked up before."""
    if PINNED not in tuning.state:
        return None
    mark = _mark(definition)
    inputs = view(tuple[PinnedInput, ...], tuning.state[PINNED], strict=True)
    return tuple(replace(item, name=item.name[len(mark) :]) for item in inputs if item.name.startswith(mark))


def _mark(definition: str | None) -> str:
    return "" if definition is None else f"{definition}/"


def _settled(job: Resource) -> tuple[tuple[PinnedInput, ...], str]:
    run = run_of(job)
    assert run is not None, "it has begun"
    return tuple(item for item in run.inputs if item.role is not Role.CHECKPOINT), run.environment
