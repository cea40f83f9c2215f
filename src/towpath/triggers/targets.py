"""Targets: what an ARN or an address stands for, and what is wrong with one. Pure."""

from enum import StrEnum

from towpath.functions.requests import named
from towpath.kernel.arns import Home
from towpath.kernel.errors import Invalid, NotFound
from towpath.kernel.texts import read_json
from towpath.queues import ARN_SERVICE
from towpath.triggers.inputs import check_path, check_template
from towpath.triggers.log_groups import group_named
from towpath.triggers.model import LONGEST_AGE_S, MOST_RETRIES, Target
from towpath.triggers.webhooks import refuse_address, refuse_parameters

_EXPECTED = (
    "arn:aws:sagemaker:REGION:ACCOUNT:pipeline/NAME, arn:aws:lambda:REGION:ACCOUNT:function:NAME, "
    "arn:aws:sqs:REGION:ACCOUNT:QUEUE, arn:aws:logs:REGION:ACCOUNT:log-group:/aws/events/NAME, "
    "or the address of a webhook (https://…)"
)


class TargetKind(StrEnum):
    """What a target is."""

    PIPELINE = "pipeline"
    QUEUE = "queue"
    FUNCTION = "function"
    WEBHOOK = "webhook"
    LOG = "log"


def kind_of(arn: str, home: Home) -> TargetKind:
    """Return what an ARN, or the address of a webhook, stands for.

    Raises:
        Invalid: nothing that events can be delivered to; says what was expected.
    """
    if arn.startswith(("http://", "https://")):
        refuse_address(arn)
        return TargetKind.WEBHOOK
    parts_of_arn = arn.split(":", 5)
    if is_pipeline(arn):
        if parts_of_arn[3:5] != [home.region, home.account]:
            raise Invalid(
                f"{arn!r} is a pipeline elsewhere; here are those of {home.region} and account {home.account}"
            )
        if "/" in parts_of_arn[5].removeprefix("pipeline/"):
            raise Invalid(f"{arn!r} is more than a pipeline; expected {_EXPECTED}")
        return TargetKind.PIPELINE
    if len(parts_of_arn) == 6 and parts_of_arn[2] == ARN_SERVICE and parts_of_arn[5]:
        if parts_of_arn[3:5] != [home.region, home.account]:
            raise Invalid(f"{arn!r} is a queue elsewhere; here are those of {home.region} and account {home.account}")
        return TargetKind.QUEUE
    if len(parts_of_arn) == 6 and parts_of_arn[2] == "lambda" and parts_of_arn[5].startswith("function:"):
        try:
            named(arn, home)
        except NotFound as error:
            raise Invalid(error.message) from error
        return TargetKind.FUNCTION
    if len(parts_of_arn) == 6 and parts_of_arn[2] == "logs" and parts_of_arn[5].startswith("log-group:"):
        group_named(arn, home)
        return TargetKind.LOG
    raise Invalid(f"{arn!r} is nothing that an event can be delivered to; expected {_EXPECTED}")


def is_pipeline(arn: str) -> bool:
    """Return whether an ARN is that of a pipeline, here or elsewhere."""
    parts = arn.split(":", 5)
    return len(parts) == 6 and parts[2] == "sagemaker" and parts[5].startswith("pipeline/")


def queue_name(arn: str) -> str:
    """Return the name of a queue that is a target."""
    return arn.rpartition(":")[2]


def pipeline_name(arn: str) -> str:
    """Return the name of a pipeline that is a target."""
    return arn.rpartition("/")[2]


def check(target: Target, home: Home) -> None:
    """Refuse a target that could never be delivered to.

    Raises:
        Invalid: says which member is wrong, and what was expected.
    """
    kind = kind_of(target.arn, home)
    given = [name for name in ("input", "input_path", "input_transformer") if getattr(target, name) is not None]
    if len(given) > 1:
        raise Invalid("Input, InputPath and InputTransformer exclude each other; give one of them")
    if given and kind is TargetKind.PIPELINE:
        raise Invalid(
            "A pipeline takes no input but its parameters: give SageMakerPipelineParameters, whose values may be paths "
            "into the event, such as $.detail.ModelPackageArn"
        )
    if target.input is not None:
        try:
            read_json(target.input)
        except ValueError as error:
            raise Invalid(f"Input is not valid JSON: {error}") from error
    if target.input_path is not None:
        check_path(target.input_path)
    if target.input_transformer is not None:
        check_template(target.input_transformer)
    names = [parameter.name for parameter in target.sage_maker_pipeline_parameters.pipeline_parameter_list]
    for name in {name for name in names if names.count(name) > 1}:
        raise Invalid(f"The pipeline parameter {name!r} is given twice")
    for parameter in target.sage_maker_pipeline_parameters.pipeline_parameter_list:
        if parameter.value.startswith("$."):
            check_path(parameter.value)
    dead_letters = target.dead_letter_config.arn
    if dead_letters is not None and kind_of(dead_letters, home) is not TargetKind.QUEUE:
        raise Invalid(f"DeadLetterConfig.Arn is {dead_letters!r}; expected arn:aws:sqs:REGION:ACCOUNT:QUEUE")
    if kind is TargetKind.WEBHOOK:
        refuse_parameters(target.arn, target.http_parameters)
    policy = target.retry_policy
    if not 60 <= policy.maximum_event_age_in_seconds <= LONGEST_AGE_S:
        raise Invalid(f"RetryPolicy.MaximumEventAgeInSeconds: expected 60 to {LONGEST_AGE_S}")
    if not 0 <= policy.maximum_retry_attempts <= MOST_RETRIES:
        raise Invalid(f"RetryPolicy.MaximumRetryAttempts: expected 0 to {MOST_RETRIES}")
