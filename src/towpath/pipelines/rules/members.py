"""Rules about what a step asks for: its Arguments and the members beside them."""

from typing import Any

from towpath.functions.requests import is_name
from towpath.kernel.errors import Invalid
from towpath.pipelines.argument_checks import argument_faults
from towpath.pipelines.callbacks import output_faults
from towpath.pipelines.comparison_checks import comparison_faults
from towpath.pipelines.durations import parse_duration
from towpath.pipelines.expressions import is_expression
from towpath.pipelines.faults import Findings, Place, item, member
from towpath.pipelines.graph import Node
from towpath.pipelines.paths import describe
from towpath.pipelines.performed_arguments import cleanup_faults, entity_name_faults, lineage_faults
from towpath.pipelines.quality_checks import checked_members
from towpath.pipelines.retry import EXCEPTION_TYPES
from towpath.pipelines.rules.checked import Checked


def cache_durations(checked: Checked) -> Findings:
    """CacheConfig holds an ISO 8601 duration."""
    for node in checked.outline.nodes:
        cache = node.step.cache
        if cache is not None and cache.expire_after is not None:
            try:
                parse_duration(cache.expire_after)
            except Invalid as error:
                yield member(member(node.step.place, "CacheConfig"), "ExpireAfter"), error.message


def retry_policies(checked: Checked) -> Findings:
    """Retry policies name known exception types, each once, and have one end."""
    for node in checked.outline.nodes:
        taken: set[str] = set()
        for policy in node.step.retry_policies:
            inside = member(policy.place, "ExceptionType")
            if not policy.exception_types:
                yield inside, "at least one exception type must be named"
            for index, exception_type in enumerate(policy.exception_types):
                if exception_type not in EXCEPTION_TYPES:
                    known = ", ".join(EXCEPTION_TYPES)
                    yield item(inside, index), f"{exception_type!r} is not an exception type; expected one of {known}"
                elif exception_type in taken:
                    yield item(inside, index), f"{exception_type!r} stands in an earlier policy already"
                taken.add(exception_type)
            if policy.max_attempts is not None and policy.expire_after_min is not None:
                yield policy.place, "MaxAttempts and ExpireAfterMin exclude each other"
            for name, value, least, most in (
                ("MaxAttempts", policy.max_attempts, 1, 20),
                ("ExpireAfterMin", policy.expire_after_min, 0, 14_400),
                ("IntervalSeconds", policy.interval_s, 0, None),
                ("BackoffRate", policy.backoff_rate, 0, None),
            ):
                if value is not None and (value < least or (most is not None and value > most)):
                    allowed = f"at least {least}" if most is None else f"{least} to {most}"
                    yield member(policy.place, name), f"{value} is out of range; expected {allowed}"


def comparable_values(checked: Checked) -> Findings:
    """Conditions compare values that can be ordered, as far as their types are known before the execution."""
    types = {parameter.name: parameter.type for parameter in checked.outline.definition.parameters}
    for node in checked.outline.nodes:
        for condition in node.conditions:
            yield from comparison_faults(condition, types)


def required_members(checked: Checked) -> Findings:
    """A step has the members that its type cannot do without."""
    for node in checked.outline.nodes:
        if node.type is None:
            continue
        inside = member(node.step.place, "Arguments")
        present = {*node.step.arguments, *node.step.branches}
        for name in sorted(node.type.required_arguments - present):
            yield member(inside, name), f"this member is missing; {node.step.type} steps need it"
        for name in sorted(node.type.required_members):
            if node.step.members.get(name) is None:
                yield member(node.step.place, name), f"this member is missing; {node.step.type} steps need it"
        if node.step.type == "Condition" and node.step.arguments.get("Conditions") == []:
            yield member(inside, "Conditions"), "there must be at least one condition"


def request_members(checked: Checked) -> Findings:
    """What belongs to requests does not stand in the definition, where nothing would come of it."""
    for name in ("ParallelismConfiguration", "SelectiveExecutionConfig"):
        if name in checked.outline.definition.members:
            wanted = (
                "StartPipelineExecution" if name == "SelectiveExecutionConfig" else "CreatePipeline, UpdatePipeline"
            )
            yield name, f"it is a member of requests and no part of a definition; give it to {wanted}"


def performed(checked: Checked) -> Findings:
    """Lineage and Cleanup steps say what they keep and delete, as far as that is written literally."""

    def entity_faults(noun: str, entity: Any, place: Place) -> Findings:
        shape = checked.shapes.input(f"Create{noun}")
        if shape is None or entity is None:
            return entity_name_faults(noun, entity, place, is_expression)
        return argument_faults(entity, shape, place)

    for node in checked.outline.nodes:
        inside = member(node.step.place, "Arguments")
        if node.step.type == "Lineage":
            yield from lineage_faults(node.step.arguments, entity_faults, place=inside, unknown=is_expression)
        # Without Resources it is told of as missing.
        if node.step.type == "Cleanup" and node.step.arguments.get("Resources") is not None:
            yield from cleanup_faults(
                node.step.arguments, place=inside, unknown=is_expression, steps=checked.nodes.keys()
            )


def check_members(checked: Checked) -> Findings:
    """QualityCheck and ClarifyCheck steps say what they check, as far as that is written literally."""
    for node in checked.outline.nodes:
        if node.type is None or not node.type.checks:
            continue
        literal = {name: value for name, value in node.step.members.items() if not is_expression(value)}
        if "CheckType" in literal:
            try:
                checked_members(node.step.type, literal)
            except Invalid as error:
                yield node.step.place, error.message


def callbacks(checked: Checked) -> Findings:
    """A Callback step asks at an address, and declares outputs of known types, each once."""
    for node in checked.outline.nodes:
        if node.step.type != "Callback":
            continue
        address = node.step.members.get("SqsQueueUrl")
        is_address = isinstance(address, str) and address.startswith(("http://", "https://"))
        if not (is_address or address is None or is_expression(address)):
            yield (
                member(node.step.place, "SqsQueueUrl"),
                f"expected the address of a queue, or of a webhook, https://…; found {describe(address)}",
            )
        yield from _outputs(node)


def lambdas(checked: Checked) -> Findings:
    """A Lambda step names a function by its ARN, and declares outputs of known types, each once."""
    for node in checked.outline.nodes:
        if node.step.type != "Lambda":
            continue
        function = node.step.members.get("FunctionArn")
        names_one = isinstance(function, str) and is_name(function)
        if not (names_one or function is None or is_expression(function)):
            yield (
                member(node.step.place, "FunctionArn"),
                "expected the ARN of a function, arn:aws:lambda:REGION:ACCOUNT:function:NAME; "
                f"found {describe(function)}",
            )
        yield from _outputs(node)


def _outputs(node: Node) -> Findings:
    declared = node.step.members.get("OutputParameters")
    place = member(node.step.place, "OutputParameters")
    for number, fault in [] if declared is None else output_faults(declared):
        yield place if number is None else item(place, number), fault


def arguments(checked: Checked) -> Findings:
    """Arguments are a request that the step's Create operation would take, as far as they are known."""
    for node in checked.outline.nodes:
        shape = None if node.type is None or node.type.create is None else checked.shapes.input(node.type.create)
        if shape is None or node.type is None:
            continue
        given = {name for name in (node.type.name_member,) if name is not None}
        yield from argument_faults(node.step.arguments, shape, member(node.step.place, "Arguments"), given)
