"""The operation that tells why a step ran, or whose result it took over: what its key is made of, and what differs."""

from collections.abc import Iterator

import msgspec

from towpath.jobs.ingredients import Ingredients, JobIngredients
from towpath.kernel import generic
from towpath.kernel.errors import NotFound, TowpathError
from towpath.kernel.operations import Operation, Request
from towpath.kernel.ports import Filter, Query
from towpath.kernel.resource import Document, Resource
from towpath.pipelines.caching import INPUT, Difference, Material, changed_files, differences, material
from towpath.pipelines.graph import Node
from towpath.pipelines.kinds import OF_PIPELINE, PIPELINE_EXECUTION
from towpath.pipelines.model import StepRow
from towpath.pipelines.plans import plan_for
from towpath.pipelines.ports import Transaction

_EARLIER = 100  #: executions that are looked through for the one in which the step ran before
_MOST_FILES = 100  #: of an input, that are named one by one


class _Made(msgspec.Struct, frozen=True, kw_only=True):
    """What a step was made of in one execution."""

    material: Material
    ingredients: Ingredients


class Explaining:
    """Explains steps of executions."""

    def __init__(self, ingredients: JobIngredients) -> None:
        self._ingredients = ingredients

    def operations(self) -> list[Operation]:
        """Return the operation of the service `towpath`."""
        return [Operation(name="ExplainPipelineExecutionStep", function=self.explain, writes=False)]

    def explain(self, transaction: Transaction, request: Request) -> Document:
        """Carry out ExplainPipelineExecutionStep."""
        execution = generic.find(transaction, PIPELINE_EXECUTION, request.input["PipelineExecutionArn"])
        name = request.input["StepName"]
        node = plan_for(execution).find(name.partition("[")[0])
        row = transaction.steps.find(execution.uid, name)
        if row is None:
            begun = ", ".join(transaction.steps.of(execution.uid)) or "none yet"
            missing = "has not begun in" if node is not None else "is no step of"
            named = execution.arn.partition(":pipeline/")[2].replace("/execution/", "/")
            raise NotFound(f"{name!r} {missing} {named}; steps that began: {begun}", code="ResourceNotFound")
        answer: Document = {
            "PipelineExecutionArn": execution.arn,
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
            made = self._made(transaction, node, row)
        except TowpathError as error:
            return answer if answer["Outcome"] == "NoKey" else {**answer, "Outcome": "NoKey", "Reason": error.message}
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
        return answer | self._compared(transaction, execution, node, row.name, made)

    def _made(self, transaction: Transaction, node: Node, row: StepRow) -> _Made:
        job = None if row.resource is None else transaction.resources.get(row.resource)
        if job is None:
            raise NotFound("it started nothing, or what it started was removed")
        assert node.type is not None, "checked"
        ingredients = self._ingredients.of_job(transaction, job)
        # The job may be that of another execution, whose result was taken over.
        execution = None if job.parent is None else transaction.resources.get(job.parent)
        told = row.metadata.get(node.type.metadata or "", {})
        made_of = material(node.type, job.spec, ingredients, "" if execution is None else execution.name, told)
        return _Made(material=made_of, ingredients=ingredients)

    def _compared(self, transaction: Transaction, execution: Resource, node: Node, step: str, made: _Made) -> Document:
        for earlier, row in _before(transaction, execution, step):
            try:
                before = self._made(transaction, node, row)
            except TowpathError:
                continue  # nothing can be told of that one; an older one may do
            found = differences(before.material, made.material)
            return {
                "ComparedWith": earlier.arn,
                "Differences": [_shown(each, before.ingredients, made.ingredients) for each in found],
            }
        return {}


def _outcome(node: Node, row: StepRow) -> Document:
    config, note = node.step.cache, row.cache
    if note is None:
        reason = "the step has no CacheConfig" if config is None else "CacheConfig is not enabled"
        return {"Outcome": "Off", "Reason": reason}
    if note.source is not None:
        return {"Outcome": "Hit", "Reason": note.why, "SourcePipelineExecutionArn": note.source}
    return {"Outcome": "NoKey" if note.key is None else "Miss", "Reason": note.why}


def _before(transaction: Transaction, execution: Resource, step: str) -> Iterator[tuple[Resource, StepRow]]:
    """Yield the executions of the same pipeline in which the step began before, the latest first."""
    earlier = Query(
        kind=PIPELINE_EXECUTION.noun,
        filters=(
            Filter(OF_PIPELINE, "=", execution.spec["PipelineUid"]),
            Filter("created_at", "<", execution.created_at),
        ),
        limit=_EARLIER,
    )
    for found in transaction.resources.query(earlier).items:
        row = transaction.steps.find(found.uid, step)
        if row is not None:
            yield found, row


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
