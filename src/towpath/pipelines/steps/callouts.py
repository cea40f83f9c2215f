"""Steps that ask something outside the platform: Lambda, Callback, EMR and EMRServerless."""

from towpath.pipelines.steps.declaration import StepType

_WITHOUT_EMR = "a Processing step with a script of your own, in an environment that holds PySpark if it needs Spark"

LAMBDA = StepType(
    name="Lambda",
    metadata="Lambda",
    names={"OutputParameters": "OutputName"},
    yields=frozenset({"OutputParameters"}),
    required_members=frozenset({"FunctionArn"}),
)
CALLBACK = StepType(
    name="Callback",
    metadata="Callback",
    names={"OutputParameters": "OutputName"},
    yields=frozenset({"OutputParameters"}),
    required_members=frozenset({"SqsQueueUrl"}),
)
EMR = StepType(name="EMR", instead=_WITHOUT_EMR, metadata="EMR", required_arguments=frozenset({"StepConfig"}))
EMR_SERVERLESS = StepType(
    name="EMRServerless",
    instead=_WITHOUT_EMR,
    metadata="EMRServerless",
    required_arguments=frozenset({"ExecutionRoleArn", "JobConfig"}),
)
