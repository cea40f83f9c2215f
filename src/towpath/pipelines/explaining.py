"""The operation that tells why a step ran, or whose result it took over: what its key is made of, and what differs."""

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from functools import partial
from typing import TypeAlias, TypeVar, cast

import msgspec

from towpath.jobs.ingredients import Ingredients, JobIngredients
from towpath.kernel import generic
from towpath.kernel.errors import NotFound, TowpathError
from towpath.kernel.faults import said_by
from towpath.kernel.operations import Operation, Request
from towpath.kernel.ports import Filter, Query, Store
from towpath.kernel.resource import Document, Resource, Uid
from towpath.pipelines.caching import INPUT, Difference, Material, changed_files, differences, material
from towpath.pipelines.graph import Node, Plan
from towpath.pipelines.kinds import OF_PIPELINE, PIPELINE_EXECUTION
from towpath.pipelines.model import ExecutionStatus, StepRow
from towpath.pipelines.plans import plan_for
from towpath.pipelines.ports import Transaction

R = TypeVar("R")

_EARLIER = 100  #: executions that are looked through for the one in which the step ran before
_NAMED = 20  #: steps that a sentence names at most
_MOST_FILES = 100  #: of an input, that are named one by one


class _Made(msgspec.Struct, frozen=True, kw_only=True):
    """What a step was made of in one execution."""

    material: Material
    ingredients: Ingredients


#: Tells what a step was made of, from what was read of it in a transaction: called when that is over.
_Making: TypeAlias = Callable[[], _Made]


class _Meant(msgspec.Struct, frozen=True, kw_only=True):
    """The step that is asked about, as the rows tell of it."""

    execution: Resource
    row: StepRow | None  #: None: it has not begun, or is none
    begun: tuple[str, ...] = ()  #: where there is no row: the steps that have begun


class Explaining:
    """Explains steps of executions. Rows are read in transactions, archives opened between them."""

    def __init__(self, store: Store, ingredients: JobIngredients) -> None:
        self._store = store
        self._ingredients = ingredients

    def operations(self) -> list[Operation]:
        """Return the operation of the service `towpath`."""
        return [
            Operation(
                name="ExplainPipelineExecutionStep",
                function=lambda _, request: request.prepared,
                writes=False,
                prepare=self.explain,
            )
        ]

    def explain(self, request: Request) -> Document:
        """Carry out ExplainPipelineExecutionStep: before the transaction, since archives are read for it."""
        name = request.input["StepName"]
        meant = self._read(lambda transaction: _meant(transaction, request.input["PipelineExecutionArn"], name))
        plan, row = plan_for(meant.execution), meant.row
        if row is None:
            raise _not_begun(meant, plan, name)
        node = plan.find(row.step)
        answer: Document = {
            "PipelineExecutionArn": meant.execution.arn,
            "StepName": name,
            "StepType": "" if node is None else node.step.type,
            "KeyParts": [],
            "Differences": [],
        }
        if node is None or node.type is None or node.type.cache is None:
            return {
                **answer,
                "Outcome": "NotCacheable",
                "Reason": "the results of such steps are never taken over",
            }
        answer |= _outcome(node, row)
        try:
            made = self._made(node, row)
        except (TowpathError, ValueError) as error:
            if answer["Outcome"] == "NoKey":
                return answer
            why = error.message if isinstance(error, TowpathError) else said_by(error)
            return {**answer, "Reason": f"{answer['Reason']}; what it was made of cannot be told: {why}"}
        recorded = None if row.cache is None else row.cache.key
        answer["Key"] = recorded or made.material.key
        answer["KeyParts"] = [
            {"Group": part.group, "Name": part.name, "Value": part.value} for part in made.material.parts
        ]
        if recorded is not None and recorded != made.material.key:
            answer["Reason"] += "; " + (
                "it was made of other things than had been looked up, so that its result is not taken over"
                if node.type.cache.settled_late
                else "its key was made by the rules of another release than the parts that are shown"
            )
        if answer["Outcome"] == "Hit":
            return answer
        return answer | self._compared(meant.execution, node, row.name, made)

    def _read(self, work: Callable[[Transaction], R]) -> R:
        return self._store.read(lambda transaction: work(cast(Transaction, transaction)))

    def _made(self, node: Node, row: StepRow) -> _Made:
        return self._read(lambda transaction: self._making(transaction, node, row))()

    def _making(self, transaction: Transaction, node: Node, row: StepRow) -> _Making:
        job = None if row.resource is None else transaction.resources.get(row.resource)
        if job is None:
            raise NotFound("it started nothing, or what it started was removed")
        step_type = node.type
        assert step_type is not None, "checked"
        recorded = self._ingredients.recorded(transaction, job)
        # The job may be that of another execution, whose result was taken over.
        execution = None if job.parent is None else transaction.resources.get(job.parent)
        told = row.metadata.get(step_type.metadata or "", {})

        def made() -> _Made:
            ingredients = recorded()
            made_of = material(step_type, job.spec, ingredients, "" if execution is None else execution.name, told)
            return _Made(material=made_of, ingredients=ingredients)

        return made

    def _compared(self, execution: Resource, node: Node, step: str, made: _Made) -> Document:
        for earlier in self._read(lambda transaction: _before(transaction, execution)):
            try:
                row = self._read(partial(_row, execution=earlier.uid, step=step))
                if row is None:
                    continue
                before = self._made(node, row)
            except (TowpathError, ValueError):
                continue  # nothing can be told of that one; an older one may do
            found = differences(before.material, made.material)
            return {
                "ComparedWith": earlier.arn,
                "Differences": [_shown(each, before.ingredients, made.ingredients) for each in found],
            }
        return {}


def _meant(transaction: Transaction, arn: str, step: str) -> _Meant:
    execution = generic.find(transaction, PIPELINE_EXECUTION, arn)
    row = transaction.steps.find(execution.uid, step)
    return _Meant(
        execution=execution, row=row, begun=() if row is not None else tuple(transaction.steps.of(execution.uid))
    )


def _not_begun(meant: _Meant, plan: Plan, name: str) -> NotFound:
    """Return what to tell of a step that has no row: whether there is one of that name, and what can be asked about."""
    execution, plain = meant.execution, name.partition("[")[0]
    named = execution.arn.partition(":pipeline/")[2].replace("/execution/", "/")
    rounds = [begun for begun in meant.begun if begun.partition("[")[0] == name and begun != name]
    if plan.find(plain) is None:
        known = [*plan.nodes, *(inner for body in plan.bodies.values() for inner in body.nodes)]
        # Whoever writes a name in another case means just that one.
        like = [each for each in known if each.lower() == plain.lower()] or get_close_matches(plain, known, n=1)
        did_you_mean = f" (did you mean {like[0]!r}?)" if like else ""
        told = f"{name!r} is no step of {named}{did_you_mean}; its steps: {_some(known)}"
    elif rounds:
        told = f"{name!r} runs in rounds in {named}; name it with the number of one: {_some(rounds)}"
    elif plain in meant.begun:
        told = f"{plain!r} runs in no rounds in {named}; name it without a number"
    elif ExecutionStatus(execution.status or "").is_terminal:
        told = f"{name!r} did not run in {named}, which is {execution.status}; steps that began: {_some(meant.begun)}"
    else:
        begun = _some(meant.begun)
        told = f"{name!r} has not begun in {named} yet, which is {execution.status}; steps that began: {begun}"
    return NotFound(told, code="ResourceNotFound")


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return (", ".join(names[:_NAMED]) or "none") + more


def _row(transaction: Transaction, execution: Uid, step: str) -> StepRow | None:
    return transaction.steps.find(execution, step)


def _outcome(node: Node, row: StepRow) -> Document:
    config, note = node.step.cache, row.cache
    if note is None:
        reason = "the step has no CacheConfig" if config is None else "CacheConfig is not enabled"
        return {"Outcome": "Off", "Reason": reason}
    if note.source is not None:
        return {"Outcome": "Hit", "Reason": note.why, "SourcePipelineExecutionArn": note.source}
    return {"Outcome": "NoKey" if note.key is None else "Miss", "Reason": note.why}


def _before(transaction: Transaction, execution: Resource) -> list[Resource]:
    """Return the executions of the same pipeline that began before, the latest first."""
    earlier = Query(
        kind=PIPELINE_EXECUTION.noun,
        filters=(
            Filter(OF_PIPELINE, "=", execution.spec["PipelineUid"]),
            Filter("created_at", "<", execution.created_at),
        ),
        limit=_EARLIER,
    )
    return transaction.resources.query(earlier).items


def _shown(difference: Difference, before: Ingredients, after: Ingredients) -> Document:
    shown: Document = {"Group": difference.group, "Name": difference.name}
    if difference.before is not None:
        shown["Before"] = difference.before
    if difference.after is not None:
        shown["After"] = difference.after
    if difference.group == INPUT:
        files = changed_files(before.inputs, after.inputs, difference.name)
        shown["FileCount"] = len(files)
        shown["Files"] = [_shown_file(file) for file in files[:_MOST_FILES]]
    return shown


def _shown_file(file: Difference) -> Document:
    digests = {"Before": file.before, "After": file.after}
    return {"Path": file.name, **{name: digest for name, digest in digests.items() if digest is not None}}
