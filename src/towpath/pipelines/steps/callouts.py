"""Steps that ask something outside the platform: Lambda, Callback, EMR and EMRServerless."""

from towpath.pipelines.steps.declaration import StepType

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
EMR = StepType(name="EMR", metadata="EMR", required_arguments=frozenset({"StepConfig"}))
EMR_SERVERLESS = StepType(
    name="EMRServerless", metadata="EMRServerless", required_arguments=frozenset({"ExecutionRoleArn", "JobConfig"})
)
