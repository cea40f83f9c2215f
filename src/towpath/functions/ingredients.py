"""What a call of a function is made of beside its event: the function's code and settings, and the environment."""

from collections.abc import Mapping

from msgspec.structs import replace

from towpath.functions.invoking import code_of, find_function
from towpath.functions.model import Code, FunctionSpec, InvocationSpec, InvocationState
from towpath.handling.settings import ARCHIVE
from towpath.jobs.channels import PinnedInput, PinnedObject, Role
from towpath.jobs.images import Images
from towpath.jobs.ingredients import Ingredients, Recorded
from towpath.kernel.errors import Invalid, StaleRevision
from towpath.kernel.ports import Store, Transaction
from towpath.kernel.resource import Document, Resource, view
from towpath.lineage import environment_id


class CallIngredients:
    """Implements `jobs.ingredients.OtherIngredients` for the calls that steps make."""

    def __init__(self, store: Store, images: Images) -> None:
        self._store = store
        self._images = images

    def of_request(self, request: Document) -> Ingredients:
        """Return what a call would be made of if it began now."""
        function = self._store.read(lambda transaction: find_function(transaction, request["FunctionArn"]))
        spec = view(FunctionSpec, function.spec["Configuration"])
        environment = self._images.resolve(spec.runtime)
        return _made(function.arn, code_of(function), spec, environment.python_version, environment.packages)

    def recorded(self, transaction: Transaction, call: Resource) -> Recorded:
        """Return what tells what a call was made of.

        Raises:
            Invalid: it has not begun, or its environment is not recorded any more.
        """
        spec, state = view(InvocationSpec, call.spec), view(InvocationState, call.state)
        known = None if state.environment is None else transaction.lineage.node(environment_id(state.environment))
        if known is None:
            raise Invalid(f"What the environment of the call {call.name!r} held is not recorded")
        facts = known[1]
        made = _made(
            spec.function_arn, spec.code, spec.configuration, facts["python_version"], facts.get("packages", {})
        )
        return Recorded(replace(made, code={}), lambda: made.code)

    def hand_over(self, transaction: Transaction, call: Resource, inputs: tuple[PinnedInput, ...]) -> None:
        """Do nothing: what a call reads was settled when it was created.

        Raises:
            StaleRevision: the function's code is another one by now.
        """
        if _pinned(view(InvocationSpec, call.spec).code) not in inputs:
            raise StaleRevision(f"What {call.name!r} is made of was changed while it was looked up")


def _made(arn: str, code: Code, spec: FunctionSpec, python_version: str, packages: Mapping[str, str]) -> Ingredients:
    settings = {
        "Arn": arn,
        "Runtime": spec.runtime,
        "Handler": spec.handler,
        **{f"Environment.{name}": value for name, value in spec.variables.items()},
    }
    return Ingredients(
        inputs=(_pinned(code),),
        code={ARCHIVE: code.sha256},
        function=settings,
        python_version=python_version,
        packages=packages,
    )


def _pinned(code: Code) -> PinnedInput:
    item = PinnedObject(ARCHIVE, code.bucket, code.key, code.version_id, code.size, code.sha256)
    return PinnedInput(name="code", uri=code.ref.uri, path=ARCHIVE, role=Role.CODE, objects=(item,))
