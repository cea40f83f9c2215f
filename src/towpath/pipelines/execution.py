"""What has to be done next in an execution: pure decisions on its step rows as they stand."""

import itertools
from collections.abc import Iterator
from datetime import datetime
from functools import partial

from msgspec.structs import replace

from towpath.kernel.errors import Invalid
from towpath.pipelines import foreach, retry
from towpath.pipelines.attempts import after_failure, put_off, unanswered
from towpath.pipelines.caching import Asked, Found, Lookup, verdict
from towpath.pipelines.conditions import holds
from towpath.pipelines.decisions import (
    Decision,
    Ended,
    EndStep,
    FinishExecution,
    NoteParallelism,
    OpenRounds,
    PerformStep,
    PostponeStep,
    PutOffEnd,
    Situation,
    StartStep,
    Steps,
    StopStep,
    Unanswered,
)
from towpath.pipelines.evaluation import DocumentRef, StepYield, as_text, document_ref, evaluate
from towpath.pipelines.graph import Node, Plan
from towpath.pipelines.model import ExecutionStatus, StepRow, StepStatus
from towpath.pipelines.rounds import item_text
from towpath.pipelines.sight import Sight
from towpath.pipelines.standing import Standings

#: Characters. Source: SageMaker API Reference, FailStepMetadata and DescribePipelineExecution.
_LONGEST_MESSAGE, _LONGEST_REASON = 3072, 1300


def advance(plan: Plan, steps: Steps, now: datetime, situation: Situation) -> list[Decision]:
    """Return what has to be done next in an execution whose steps stand like this.

    The same arguments give the same decisions. A step whose JSON documents are not among those of the situation waits
    for them, and one that asks for the cache for what is known there; `Course.wanted` and `Course.unlooked` tell which.
    """
    return Course(Standings(plan, dict(steps)), now, situation).run()


class Course:
    """One run of decisions. The standings that it is given follow what it decides. `wanted` collects the JSON
    documents that steps about to start wait for, and `unlooked` the requests that the cache has to be asked for first.
    """

    def __init__(
        self, standings: Standings, now: datetime, situation: Situation, *, at_once: int | None = None
    ) -> None:
        """`at_once`: start or stop so many steps at most; `has_more` tells whether others are left for the next run."""
        self.standings = standings
        self.rows = self.standings.rows
        self.now = now
        self.situation = situation
        self._sight = Sight(standings.plan, self.rows, situation, now)
        self.decisions: list[Decision] = []
        self.wanted: dict[DocumentRef, None] = {}
        self.unlooked: dict[str, Asked] = {}
        self.has_more = False
        self._left = at_once
        self._puts_back = False  #: outputs are not in their places before these decisions are carried out
        self._postpones_looks = False

    def run(self) -> list[Decision]:
        """Return what has to be done next."""
        # One fact at a time: a history holds facts in this order, and replaying them one by one must start the same.
        if self.situation.max_parallel != self.situation.noted_parallel:
            self._note_parallelism()
            self._go_on()
        for name, ended in self.situation.ended.items():
            row = self.rows.get(name)
            if row is not None and row.status in {StepStatus.EXECUTING, StepStatus.STOPPING}:
                self._settle(row, ended)
                self._go_on()
        for name, reason in self.situation.unsettled.items():
            row = self.rows.get(name)
            if row is not None and not row.status.is_terminal:
                row = put_off(row, reason, self.now)
                self.standings.put(row)
                self.decisions.append(PutOffEnd(row=row))
        self._go_on()
        return self.decisions

    def go_on(self, situation: Situation) -> None:
        """Decide on from here, now that more is known; what has ended is what it was."""
        self.situation = situation
        self._sight = Sight(self.standings.plan, self.rows, situation, self.now)
        self.wanted, self.unlooked = {}, {}
        self._go_on()

    def _note_parallelism(self) -> None:
        now = self.situation.max_parallel
        before = now if self.standings.is_untouched else self.situation.noted_parallel
        self.decisions.append(NoteParallelism(before=before, max_parallel=now))

    def _settle(self, row: StepRow, ended: Ended) -> None:
        node = self.standings.node(row.name)
        row = replace(row, due_at=None, unsettled_at=None)
        if ended.metadata is not None:
            row = replace(row, metadata=ended.metadata)
        if ended.status is StepStatus.SUCCEEDED:
            names = {} if node.type is None else dict(node.type.names)
            yielded = StepYield(document=ended.document, names=names)
            self._end(
                replace(row, status=StepStatus.SUCCEEDED, ended_at=self.now, yielded=yielded, failure_reason=None),
                as_looked_up=ended.as_looked_up,
            )
        elif ended.status is StepStatus.FAILED and not self.situation.stopping:
            reason = ended.failure_reason or "no reason was given"
            self._end(after_failure(node, row, reason, retry.of_reason(ended.failure_reason), self.now))
        else:
            self._end(replace(row, status=ended.status, ended_at=self.now, failure_reason=ended.failure_reason))

    def _end(self, row: StepRow, *, as_looked_up: bool = False) -> None:
        self.standings.put(row)
        ended = EndStep(row=row, as_looked_up=as_looked_up)
        self.decisions.append(ended if row.status.is_terminal else PostponeStep(row=row))

    def _go_on(self) -> None:
        if self.situation.stopping:
            self._stop()
            self._close_rounds()
        else:
            while self._begin_what_can_begin() or self._close_rounds():
                pass
        self._finish_when_nothing_is_left()

    def _stop(self) -> None:
        for row in self.standings.postponed():
            self._end(replace(row, status=StepStatus.STOPPED, ended_at=self.now, due_at=None))
        for row in self.standings.executing():
            step_type = self.standings.node(row.name).type
            if step_type is not None and step_type.stop is not None:
                if not self._may_do_one_more():
                    return
                stopped = replace(row, status=StepStatus.STOPPING)
                self.standings.put(stopped)
                self.decisions.append(StopStep(row=stopped))

    def _may_do_one_more(self) -> bool:
        """Count something that is about to be started or stopped; False when it has to wait for the next run."""
        if self._left is None:
            return True
        if self._left == 0:
            self.has_more = True
            return False
        self._left -= 1
        return True

    def _begin_what_can_begin(self) -> bool:
        """Begin every step whose turn it is; True when that may have made it another one's turn."""
        if self.standings.fatal():
            # Running steps go on to their end; those that would be tried again are given up.
            for row in self.standings.postponed():
                self._end(replace(row, status=StepStatus.FAILED, ended_at=self.now, due_at=None))
            return False
        changed = False
        for row in self.standings.looping():
            if self.standings.fatal(row.name):
                changed = self._give_up(row.name) or changed
        postponed = self.standings.postponed()
        again = [self.standings.node(row.name) for row in postponed if retry.is_due(row, self.now)]
        for node in itertools.chain(again, self.standings.startable(self._free_slots())):
            if node.each is not None and self.standings.fatal(node.each):
                continue
            starts_something = node.type is not None and node.type.create is not None
            if (starts_something and not self._has_free_slot()) or not self._has_its_documents(node):
                continue
            if not self._is_looked_up(node):
                continue
            if starts_something and not self._may_do_one_more():
                return changed
            self._begin(node, self.rows.get(node.name))
            status = self.rows[node.name].status
            changed = changed or status.is_terminal or node.step.type == "ForEach"
            if status in {StepStatus.FAILED, StepStatus.STOPPED} and node.each is None:
                break
        return changed

    def _give_up(self, each: str) -> bool:
        """Give up the steps of failing rounds that would be tried again; True when there were any."""
        rows = [row for row in self.standings.postponed() if row.each == each]
        for row in rows:
            self._end(replace(row, status=StepStatus.FAILED, ended_at=self.now, due_at=None))
        return bool(rows)

    def _free_slots(self) -> int | None:
        most = self.situation.max_parallel
        return None if most is None else most - self.standings.running_count

    def _has_free_slot(self) -> bool:
        free = self._free_slots()
        return free is None or free > 0

    def _close_rounds(self) -> bool:
        """End every ForEach in whose rounds nothing goes on or will begin; True when there was one."""
        closed = False
        stopping, failing = self.situation.stopping, bool(self.standings.fatal())
        for row in self.standings.looping():
            scope = partial(self._sight.scope, self.standings.node(row.name), row)
            ended = foreach.ended(row, self.standings, scope, self.now, stopping=stopping, failing=failing)
            if ended is not None:
                self._end(ended)
                closed = True
        return closed

    def _begun(self, node: Node, row: StepRow | None) -> StepRow:
        """Return how a step stands when its next attempt begins."""
        if row is None:
            return self._first_row(node)
        return replace(
            row,
            status=StepStatus.EXECUTING,
            attempt=row.attempt + 1,
            due_at=None,
            failure_reason=None if row.exception_type is None else row.failure_reason,
            resource=None,
            resource_arn=None,
            metadata={},
            cache=None,
        )

    def _begin(self, node: Node, row: StepRow | None) -> None:
        row = self._begun(node, row)
        reason = self._why_unanswered(node, row)
        if reason is not None:
            self._end(unanswered(row, reason, self.now))
            return
        try:
            match node.step.type:
                case "Condition":
                    self._end(self._evaluated(node, row))
                case "Fail":
                    self._end(self._failed_as_wished(node, row))
                case "ForEach":
                    self._open_rounds(node, row)
                case _:
                    self._start(node, row)
        except Invalid as error:
            self._end(after_failure(node, row, error.message, None, self.now))

    def _first_row(self, node: Node) -> StepRow:
        row = StepRow(name=node.name, status=StepStatus.EXECUTING, position=len(self.rows), started_at=self.now)
        if node.each is None or node.round is None:
            return row
        items = self.rows[node.each].items or ()
        return replace(row, each=node.each, round=node.round, item=item_text(items[node.round]))

    def _open_rounds(self, node: Node, row: StepRow) -> None:
        if row.items is None:
            # Evaluated once: a retry goes on with the items of the first attempt.
            row = foreach.with_items(node, row, self._sight.scope(node, row))
        self.standings.put(row)
        self.decisions.append(OpenRounds(row=row))

    def _evaluated(self, node: Node, row: StepRow) -> StepRow:
        scope = self._sight.scope(node, row)
        outcome = all(holds(condition, scope) for condition in node.conditions)
        word = "True" if outcome else "False"
        return replace(
            row,
            status=StepStatus.SUCCEEDED,
            ended_at=self.now,
            outcome=outcome,
            yielded=StepYield(document={"Outcome": word}),
            metadata={"Condition": {"Outcome": word}},
        )

    def _failed_as_wished(self, node: Node, row: StepRow) -> StepRow:
        message = _cut(
            as_text(evaluate(node.arguments, self._sight.scope(node, row))["ErrorMessage"]), _LONGEST_MESSAGE
        )
        return replace(
            row,
            status=StepStatus.FAILED,
            ended_at=self.now,
            failure_reason=message,
            metadata={"Fail": {"ErrorMessage": message}},
        )

    def _start(self, node: Node, row: StepRow) -> None:
        if node.type is not None and node.type.perform is not None:
            arguments = evaluate(node.arguments, self._sight.scope(node, row))
            steps = {need.step: self.rows[need.step] for need in node.needs if need.step in self.rows}
            self.standings.put(row)
            self.decisions.append(PerformStep(row=row, arguments=arguments, steps=steps))
            return
        asked = self._sight.asked(node, row)
        assert node.type is not None
        assert node.type.create is not None
        lookup = self.situation.lookups.get(node.name)
        if lookup is not None and node.step.cache is not None:
            if lookup.asked != asked:
                lookup = Lookup(asked=asked, keyless="its arguments change with the time")
            note = verdict(lookup, node.step.cache, self.now)
            row = replace(row, cache=note)
            if note.source is not None and lookup.found is not None:
                self._take_over(row, lookup, lookup.found)
                return
        self.standings.put(row)
        self.decisions.append(
            StartStep(row=row, operation=node.type.create, input=asked.request, members=asked.members, lookup=lookup)
        )

    def _take_over(self, row: StepRow, lookup: Lookup, found: Found) -> None:
        taken = replace(
            row,
            status=StepStatus.SUCCEEDED,
            ended_at=self.now,
            failure_reason=None,
            resource=found.job,
            resource_arn=found.job_arn,
            metadata=found.metadata,
            yielded=found.yielded,
        )
        self.standings.put(taken)
        self._puts_back = self._puts_back or bool(found.displaced)
        self.decisions.append(EndStep(row=taken, lookup=lookup))

    def _has_its_documents(self, node: Node) -> bool:
        if not node.documents or node.name in self.situation.unanswered:
            return True
        row = self.rows.get(node.name) or StepRow(name=node.name, status=StepStatus.STARTING)
        missing = [ref for ref in self._documents(node, row) if ref not in self.situation.documents]
        self.wanted |= dict.fromkeys(missing)
        return not missing

    def _documents(self, node: Node, row: StepRow) -> Iterator[DocumentRef]:
        """Yield the JSON documents that a step reads."""
        for get in node.documents:
            try:
                yield document_ref(get.source, self._sight.scope(node, row))
            except Invalid:
                continue  # the step begins, and fails with this very error in its place

    def _why_unanswered(self, node: Node, row: StepRow) -> str | None:
        """Return why a step cannot begin yet though all was asked for: it had no answer. Others go on."""
        if node.name in self.situation.unanswered:
            return self.situation.unanswered[node.name]
        read = (self.situation.documents.get(ref) for ref in self._documents(node, row))
        return next((document.reason for document in read if isinstance(document, Unanswered)), None)

    def _is_looked_up(self, node: Node) -> bool:
        """Return whether a step that asks for the cache may begin: what is known of it is there."""
        if not node.is_cached or node.name in self.situation.lookups or node.name in self.situation.unanswered:
            return True
        if self._puts_back:
            self._postpones_looks = True
            return False
        if self._left is not None and len(self.unlooked) >= self._left:
            self.has_more = True  # what could not begin now is not looked up now
            return False
        try:
            self.unlooked[node.name] = self._sight.asked(node, self._begun(node, self.rows.get(node.name)))
        except Invalid:
            return True  # the step begins, and fails with this very error in its place
        return False

    @property
    def is_short_of_facts(self) -> bool:
        """Whether steps could not begin for want of something that has to be found out first."""
        return bool(self.wanted or self.unlooked or self._postpones_looks)

    def _finish_when_nothing_is_left(self) -> None:
        if not self.standings.is_quiet or self.is_short_of_facts or self.has_more:
            return
        if self.decisions and isinstance(self.decisions[-1], FinishExecution):
            return
        if self.situation.stopping:
            finish = FinishExecution(status=ExecutionStatus.STOPPED)
        elif fatal := self.standings.fatal():
            finish = FinishExecution(
                status=ExecutionStatus.FAILED, failure_reason=_cut(self._failure_reason(fatal), _LONGEST_REASON)
            )
        elif self.standings.failures():
            finish = FinishExecution(status=ExecutionStatus.COMPLETED_WITH_FAILURES)
        else:
            finish = FinishExecution(status=ExecutionStatus.SUCCEEDED)
        self.decisions.append(finish)

    def _failure_reason(self, fatal: list[StepRow]) -> str:
        fatal = sorted(fatal, key=lambda row: (row.ended_at or self.now, row.position))
        wished = next((row for row in fatal if self.standings.node(row.name).step.type == "Fail"), None)
        if wished is not None and wished.failure_reason is not None:
            return wished.failure_reason
        first = fatal[0]
        happened = "was stopped" if first.status is StepStatus.STOPPED else "failed"
        reason = f"Step {first.name!r} {happened}" + (f": {first.failure_reason}" if first.failure_reason else "")
        others = ", ".join(repr(row.name) for row in fatal[1:])
        return f"{reason} (also: {others})" if others else reason


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
