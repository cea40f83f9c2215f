"""What a job is made of beside its request: the exact objects that it reads, the files of its code, its environment."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, Protocol

import msgspec
from msgspec.structs import replace

from towpath.jobs.channels import PinnedInput, PinnedObject, Role, pin, sources
from towpath.jobs.images import Images
from towpath.jobs.kinds import PINNED
from towpath.jobs.ports import CodeTrees
from towpath.jobs.served import ModelNamed, ServedModel
from towpath.jobs.state import run_of
from towpath.jobs.strategies import PROCESSING, TRAINING, TRANSFORM, Strategy
from towpath.jobs.transform import model_of
from towpath.kernel.errors import Invalid, StaleRevision, Unsupported
from towpath.kernel.objects import ObjectRef, ObjectStore, ObjectVersion, naming_unreadable
from towpath.kernel.ports import Store, Transaction
from towpath.kernel.resource import Document, Resource, Uid
from towpath.lineage import environment_id

#: Ends of the names of archives whose files count, and not the bytes that hold them together.
_ARCHIVES = (".tar.gz", ".tgz", ".tar", ".tar.bz2", ".tar.xz")


class Ingredients(msgspec.Struct, frozen=True, kw_only=True):
    """All that a job is made of, but for what its request says itself."""

    inputs: tuple[PinnedInput, ...] = ()  #: without the checkpoints of an earlier attempt
    code: Mapping[str, str] = msgspec.field(default_factory=dict)  #: path below /opt/ml -> SHA-256 of the file
    model: Mapping[str, str] = msgspec.field(default_factory=dict)  #: of the model that it runs: what is set for it
    function: Mapping[str, str] = msgspec.field(default_factory=dict)  #: of the function that it calls: what is set
    earlier: tuple[Uid, ...] = ()  #: of a tuning job: those whose results it goes on from
    python_version: str
    packages: Mapping[str, str] = msgspec.field(default_factory=dict)  #: of the environment: name -> version

    @property
    def settled(self) -> str:
        """SHA-256, in hex, of all that decides them: of code, the exact versions that hold it, not what these hold."""
        return hashlib.sha256(_ordered(replace(self, code={}))).hexdigest()


_ordered = msgspec.json.Encoder(order="deterministic").encode


class Recorded(msgspec.Struct, frozen=True):
    """What something was made of, as it was read in a transaction."""

    known: Ingredients  #: without the files of its code
    #: Finds these out. Archives are opened for it, and fetched where objects lie elsewhere: called when it is over.
    code: Callable[[], Mapping[str, str]]

    def __call__(self) -> Ingredients:
        """Return the whole."""
        return replace(self.known, code=self.code())


class OtherIngredients(Protocol):
    """Finds the same out for what is no job of SageMaker's, and runs as one."""

    def of_request(self, request: Document) -> Ingredients:
        """Return what would be made of a request now. Raises as `JobIngredients.of_request`."""

    def recorded(self, transaction: Transaction, resource: Resource) -> Recorded:
        """Return what tells what one is made of that was created. Raises as `JobIngredients.recorded`."""

    def hand_over(self, transaction: Transaction, resource: Resource, inputs: tuple[PinnedInput, ...]) -> None:
        """Have one that was just created read exactly these. Raises as `JobIngredients.hand_over`."""


class JobIngredients:
    """Finds out what a job would be made of, and what one was made of."""

    def __init__(
        self,
        *,
        store: Store,
        objects: ObjectStore,
        images: Images,
        trees: CodeTrees,
        model_named: ModelNamed,
        others: Mapping[str, OtherIngredients] | None = None,
    ) -> None:
        """`others` by the kinds that they are for."""
        self._others = others or {}
        self._store = store
        self._model_named = model_named
        self._objects = objects
        self._images = images
        self._trees = trees
        self._strategies: Mapping[str, Strategy] = {
            strategy.kind.noun: strategy for strategy in (PROCESSING, TRAINING, TRANSFORM)
        }

    def of_request(self, noun: str, request: Document) -> Ingredients:
        """Return what a job of this kind and request would be made of if it began now.

        Raises:
            Invalid, Unsupported: it could not begin, something cannot be read, or nothing tells what such a job reads.
        """
        if noun in self._others:
            return self._others[noun].of_request(request)
        strategy = self._strategy(noun)
        wanted = [item for item in strategy.wanted_inputs(request) if item.role is not Role.CHECKPOINT]

        def look(transaction: Transaction) -> tuple[_Looked, dict[ObjectRef, ObjectVersion]]:
            model = self._model_named(transaction, request["ModelName"]) if strategy is TRANSFORM else None
            given = () if model is None else model.inputs
            inputs = (*given, *(pin(item, transaction.objects, self._text) for item in wanted))
            return _Looked(inputs, model), sources(_code_of(inputs), transaction.objects)

        (inputs, model), versions = self._store.read(look)
        image = strategy.image(request, {}) if model is None else model.image
        environment = self._images.resolve(image)
        return Ingredients(
            inputs=inputs,
            code=self._code(inputs, versions),
            model={} if model is None else _settings(model),
            python_version=environment.python_version,
            packages=environment.packages,
        )

    def recorded(self, transaction: Transaction, job: Resource) -> Recorded:
        """Return what tells what a job is made of that was created, from what was recorded of it.

        Raises:
            Invalid, Unsupported: it has not begun yet, or what it was made of is gone; so does what is returned.
        """
        if job.kind in self._others:
            return self._others[job.kind].recorded(transaction, job)
        self._strategy(job.kind)
        run = run_of(job)
        if run is None:
            raise Invalid(f"{job.kind} {job.name!r} has not begun, so that what it reads is not settled")
        inputs = tuple(item for item in run.inputs if item.role is not Role.CHECKPOINT)
        known = transaction.lineage.node(environment_id(run.environment))
        if known is None:
            raise Invalid(f"What the environment of {job.kind} {job.name!r} held is not recorded any more")
        versions = sources(_code_of(inputs), transaction.objects)
        made = Ingredients(
            inputs=inputs,
            model=_settings(model_of(job)) if job.kind == TRANSFORM.kind.noun else {},
            python_version=known[1]["python_version"],
            packages=known[1].get("packages", {}),
        )
        return Recorded(made, lambda: self._code(inputs, versions))

    def hand_over(self, transaction: Transaction, job: Uid, inputs: tuple[PinnedInput, ...]) -> None:
        """Have a job that was just created read exactly these inputs, whatever lies there when it begins.

        Raises:
            StaleRevision: the model that it runs, or the function that it calls, is another one by now.
        """
        created = transaction.resources.get(job)
        if created is not None and created.kind in self._others:
            self._others[created.kind].hand_over(transaction, created, inputs)
            return
        if created is None or created.kind not in self._strategies:
            return
        given = self._strategies[created.kind].given(created)
        if any(item not in inputs for item in given):
            raise StaleRevision(f"The model of {created.kind} {created.name!r} was changed while it was looked up")
        left = tuple(item for item in inputs if item not in given)
        transaction.resources.replace(created, state={**created.state, PINNED: msgspec.to_builtins(left)})

    def _strategy(self, noun: str) -> Strategy:
        found = self._strategies.get(noun)
        if found is None:
            raise Unsupported(f"what a {noun} reads is not looked up beforehand")
        return found

    def _text(self, version: ObjectVersion) -> str:
        return b"".join(self._objects.read(version)).decode()

    def _code(self, inputs: Iterable[PinnedInput], versions: Mapping[ObjectRef, ObjectVersion]) -> dict[str, str]:
        files: dict[str, str] = {}
        for pinned in _code_of(inputs):
            for item in pinned.objects:
                files |= self._files(pinned, item, versions[item.ref])
        return files

    def _files(self, pinned: PinnedInput, item: PinnedObject, version: ObjectVersion) -> Mapping[str, str]:
        if not pinned.unpack and not item.key.endswith(_ARCHIVES):
            return {item.path: item.sha256}
        with naming_unreadable(version):
            inside = self._trees.files(version)
        if inside is None:
            return {item.path: item.sha256}
        return {f"{item.path}/{name}": digest for name, digest in inside.items()}


class _Looked(NamedTuple):
    inputs: tuple[PinnedInput, ...]
    model: ServedModel | None


def _settings(model: ServedModel) -> dict[str, str]:
    """Return what is set for a model, but for where its code was uploaded to: the code itself is an input."""
    kept = {name: value for name, value in model.environment.items() if not value.startswith("s3://")}
    return {
        "Image": model.image,
        "Network": str(model.network),
        **{f"Environment.{name}": value for name, value in kept.items()},
    }


def _code_of(inputs: Iterable[PinnedInput]) -> tuple[PinnedInput, ...]:
    return tuple(item for item in inputs if item.role is Role.CODE)
