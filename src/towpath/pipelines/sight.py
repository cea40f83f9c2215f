"""What a step of an execution sees when it begins, and what it asks for then: its references looked up. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from dataclasses import replace as with_config
from datetime import datetime
from typing import Any

from towpath.kernel import shapes as kernel_shapes
from towpath.kernel.errors import Invalid
from towpath.kernel.resource import Document
from towpath.pipelines.caching import Asked
from towpath.pipelines.decisions import Situation, Unreadable
from towpath.pipelines.evaluation import DocumentRef, EvaluationError, Scope, evaluate
from towpath.pipelines.graph import Node, Plan, round_key
from towpath.pipelines.model import StepRow
from towpath.pipelines.quality_checks import checked_members
from towpath.pipelines.rights import refuse_brought_keys
from towpath.pipelines.rounds import EndedRounds, RoundYields, SelectedYields


@dataclass(frozen=True, slots=True)
class Sight:
    """What the steps of an execution can see; the rows are seen as they stand when something is asked."""

    plan: Plan
    rows: Mapping[str, StepRow]
    situation: Situation
    now: datetime

    def asked(self, node: Node, row: StepRow) -> Asked:
        """Return what a step asks of its Create operation, and what stands beside its Arguments.

        Raises:
            Invalid: a reference has no value, or the operation would refuse what comes of it.
        """
        request = self._request(node, row)
        if node.type is None or not node.type.checks:
            return Asked(request=request)
        members = evaluate(node.members, self.scope(node, row))
        checked_members(node.step.type, members)
        return Asked(request=request, members=members)

    def scope(self, node: Node, row: StepRow) -> Scope:
        """Return what the references of a step see.

        Raises:
            Invalid: a value of the definition's configuration cannot be evaluated.
        """
        variables = {**self.situation.variables, "CurrentDateTime": self.now.isoformat()}
        if node.type is not None and node.type.noun in {"TrainingJob", "ProcessingJob"}:
            variables[f"{node.type.noun}Name"] = self._resource_name(node, row)
        row_of = self._row_of(node)
        items = None if node.each is None or node.round is None else self.rows[node.each].items
        bare = Scope(
            parameters=self.situation.parameters,
            execution=variables,
            yields=RoundYields(self.rows, row_of),
            property_files=self.plan.property_files,
            row_of=row_of,
            document=self._document,
            item=None if items is None or node.round is None else items[node.round],
            rounds=EndedRounds(self.plan, self.rows),
            selected=SelectedYields(self.plan, self.rows),
        )
        if not self.plan.config:
            return bare
        config = {section: evaluate(expression, bare) for section, expression in self.plan.config.items()}
        return with_config(bare, config=config)

    def _request(self, node: Node, row: StepRow) -> Document:
        if node.type is None or node.type.create is None:
            raise Invalid(f"{node.step.place}: steps of type {node.step.type} are not executed yet")
        scope = self.scope(node, row)
        request = dict(evaluate(node.arguments, scope))
        if node.type.request is not None:
            request = node.type.request(request, evaluate(node.members, scope))
        if node.type.name_member is not None and not (node.type.keeps_name and request.get(node.type.name_member)):
            request[node.type.name_member] = self._resource_name(node, row)
        refuse_brought_keys(node.step, request)
        shape = self.situation.shapes.input(node.type.create)
        if shape is not None:
            request = kernel_shapes.coerce(request, shape)
            for fault in kernel_shapes.check(request, shape):
                raise EvaluationError(f"{node.step.place}.Arguments.{fault.place}", str(fault))
        return request

    def _resource_name(self, node: Node, row: StepRow) -> str:
        assert node.type is not None
        prefix = node.step.arguments.get(node.type.name_member or "")
        return node.type.resource_name(
            self.situation.execution_id, node.name, row.attempt, prefix if isinstance(prefix, str) else None
        )

    def _row_of(self, node: Node) -> Callable[[str], str]:
        """Return a function from a step to the name of its row, as seen from a node: in a round, those of the round."""
        each, number = node.each, node.round
        if each is None or number is None:
            return str
        body = self.plan.bodies[each].nodes
        return lambda name: round_key(name, number) if name in body else name

    def _document(self, ref: DocumentRef) -> Any:
        found = self.situation.documents.get(ref, Unreadable(f"{ref.uri} was not read"))
        if isinstance(found, Unreadable):
            raise Invalid(found.reason)
        return found
