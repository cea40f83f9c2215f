"""Steps that decide what runs: Condition, Fail and ForEach. They start nothing of their own."""

from towpath.pipelines.steps.declaration import StepType

CONDITION = StepType(
    name="Condition",
    executed=True,
    metadata="Condition",
    yields=frozenset({"Outcome"}),
    required_arguments=frozenset({"Conditions", "IfSteps", "ElseSteps"}),
)
FAIL = StepType(
    name="Fail",
    executed=True,
    metadata="Fail",
    yields=frozenset({"ErrorMessage"}),
    required_arguments=frozenset({"ErrorMessage"}),
)
FOR_EACH = StepType(
    name="ForEach",
    executed=True,
    metadata="ForEach",
    yields=frozenset({"Selected", "IterationOutputs"}),
    required_arguments=frozenset({"IterableItems", "ForEachBody"}),
)
