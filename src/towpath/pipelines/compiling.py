"""Compiles the plans that an operation is about to need before its transaction, so that others can write meanwhile."""

from typing import cast

from towpath.kernel import generic
from towpath.kernel.errors import TowpathError
from towpath.kernel.operations import Request
from towpath.kernel.ports import Store
from towpath.kernel.ports import Transaction as KernelTransaction
from towpath.pipelines import versions
from towpath.pipelines.kinds import PIPELINE
from towpath.pipelines.plans import plan_for, plan_of
from towpath.pipelines.ports import Transaction
from towpath.pipelines.step_lists import found_execution


class Compiling:
    """Has plans ready when operations ask for them: of ten thousand steps one takes half a second."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def before_start(self, request: Request) -> None:
        """Compile the plan of the version of a pipeline that is to be started."""

        def definition(transaction: KernelTransaction) -> str:
            pipeline = generic.find(transaction, PIPELINE, request.input["PipelineName"])
            number = versions.asked_for(pipeline, request.input) or versions.latest(pipeline)
            return versions.definition_of(transaction, pipeline, number)

        try:
            text = self._store.read(definition)
        except TowpathError:
            return  # the operation says it, unless it was done before and only answers again
        plan_of(text)

    def before_retry(self, request: Request) -> None:
        """Compile the plan of the execution that is to go on."""

        try:
            found = self._store.read(lambda transaction: found_execution(cast(Transaction, transaction), request))
        except TowpathError:
            return  # likewise
        plan_for(found)
