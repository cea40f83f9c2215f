"""Steps that ask something beside the jobs: Lambda, Callback, EMR and EMRServerless."""

from towpath.functions.model import InvocationStatus
from towpath.pipelines import lambdas
from towpath.pipelines.callbacks import CallbackStatus, request_of, told_of
from towpath.pipelines.model import StepStatus
from towpath.pipelines.steps.declaration import CacheRules, StepType

_WITHOUT_EMR = "a Processing step with a script of your own, in an environment that holds PySpark if it needs Spark"

#: What it starts is a call of the function, which ends as a job does.
LAMBDA = StepType(
    name="Lambda",
    executed=True,
    create="CreateFunctionInvocation",
    noun="FunctionInvocation",
    name_member="InvocationName",
    arn_member="InvocationArn",
    stop="StopFunctionInvocation",
    ends={
        InvocationStatus.SUCCEEDED: StepStatus.SUCCEEDED,
        InvocationStatus.FAILED: StepStatus.FAILED,
        InvocationStatus.STOPPED: StepStatus.STOPPED,
    },
    request=lambdas.request_of,
    told=lambdas.told_of,
    metadata="Lambda",
    names={"OutputParameters": "OutputName"},
    yields=frozenset({"OutputParameters"}),
    required_members=frozenset({"FunctionArn"}),
    # The function counts as an ingredient, whatever it is named by. The rest that is left out tells how a call is kept.
    cache=CacheRules(
        left_out=frozenset(
            {
                "FunctionArn", "Function", "FunctionName", "Code", "Configuration", "RequestId", "Retries",
                "ClientContext",
            }
        )
    ),
)  # fmt: skip
#: What it starts is our own: the wait for an answer, which ends as a job does.
CALLBACK = StepType(
    name="Callback",
    executed=True,
    create="CreateCallback",
    noun="Callback",
    name_member="CallbackName",
    arn_member="CallbackArn",
    stop="StopCallback",
    ends={
        CallbackStatus.SUCCEEDED: StepStatus.SUCCEEDED,
        CallbackStatus.FAILED: StepStatus.FAILED,
        CallbackStatus.STOPPED: StepStatus.STOPPED,
    },
    request=request_of,
    told=told_of,
    metadata="Callback",
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
