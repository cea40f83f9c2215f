"""What a target gets of an event: the whole, a part, a constant or a text made of it. Pure.

Source: Amazon EventBridge User Guide, "Amazon EventBridge input transformation" and "Input paths"; EventBridge
Scheduler User Guide, "Adding context attributes".
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from towpath.kernel.errors import Invalid
from towpath.kernel.resource import Document
from towpath.kernel.texts import read_json
from towpath.triggers.model import InputTransformer, Target

_STEP = re.compile(r"\.([A-Za-z0-9_$-]+)|\[(\d+)\]|\['([^']+)'\]|\[\"([^\"]+)\"\]")
_PLACEHOLDER = re.compile(r"<([A-Za-z0-9_.-]+)>")
_SCHEDULED = re.compile(r"<(aws\.scheduler\.[a-z-]+)>")
_MISSING = object()
_RULE_ARN, _RULE_NAME = "aws.events.rule-arn", "aws.events.rule-name"
#: Placeholders of templates that need no path.
_OF_EVERY_EVENT = (
    _RULE_ARN,
    _RULE_NAME,
    "aws.events.event",
    "aws.events.event.ingestion-time",
    "aws.events.event.json",
)


def check_path(path: str) -> None:
    """Refuse what is no path into an event, such as `$.detail.ModelPackageArn`.

    Raises:
        Invalid: it is none.
    """
    if not path.startswith("$") or _STEP.sub("", path[1:]):
        raise Invalid(f"{path!r} is not a path; expected $ and members, for example $.detail.items[0].name")


def value_at(event: Document, path: str) -> Any:
    """Return what stands at a path of an event, None where there is nothing.

    Raises:
        Invalid: it is not a path.
    """
    check_path(path)
    found: Any = event
    for step in _STEP.finditer(path, 1):
        member, index = step[1] or step[3] or step[4], step[2]
        if index is not None:
            found = found[int(index)] if isinstance(found, list) and int(index) < len(found) else _MISSING
        else:
            found = found.get(member, _MISSING) if isinstance(found, dict) else _MISSING
        if found is _MISSING:
            return None
    return found


def text_at(event: Document, value: str) -> str:
    """Return a parameter's value: as it is given, or, where it begins with `$.`, what stands there in the event.

    Raises:
        Invalid: nothing stands there.
    """
    if not value.startswith("$."):
        return value
    found = value_at(event, value)
    if found is None:
        raise Invalid(f"the event has nothing at {value}")
    return found if isinstance(found, str) else json.dumps(found)


def check_template(transformer: InputTransformer) -> None:
    """Refuse a template that is to be JSON and would never be: as text the target would not understand it.

    Raises:
        Invalid: says what is wrong with it.
    """
    for path in transformer.input_paths_map.values():
        check_path(path)
    template = transformer.input_template
    if not template.lstrip().startswith(("{", "[")):
        return
    try:
        read_json(_filled(template, dict.fromkeys((*transformer.input_paths_map, *_OF_EVERY_EVENT))))
    except ValueError as error:
        raise Invalid(
            f"InputTransformer.InputTemplate is not JSON where its placeholders stand for null: {error}"
        ) from error


def body_for(target: Target, event: Document, told: Mapping[str, str]) -> str:
    """Return the text that a target gets of an event.

    Args:
        told: what the placeholders beside those of the event stand for, by name: of the rule, or of the schedule.
    """
    if target.input is not None:
        # In a constant there are placeholders for what only a schedule has.
        return _SCHEDULED.sub(lambda found: told.get(found[1], found[0]), target.input)
    if target.input_path is not None:
        return json.dumps(value_at(event, target.input_path))
    transformer = target.input_transformer
    if transformer is None:
        return json.dumps(event)
    known = {name: value_at(event, path) for name, path in transformer.input_paths_map.items()}
    known |= {
        **told,
        "aws.events.event": {name: value for name, value in event.items() if name != "detail"},
        "aws.events.event.ingestion-time": event.get("time"),
        "aws.events.event.json": event,
    }
    return _filled(transformer.input_template, known)


def of_rule(arn: str) -> dict[str, str]:
    """Return what placeholders for the rule stand for."""
    return {_RULE_ARN: arn, _RULE_NAME: arn.rpartition("/")[2]}


def of_schedule(arn: str, event: Document, execution: str, attempt: int) -> dict[str, str]:
    """Return what placeholders for one time of a schedule stand for.

    Args:
        execution: tells this time from others, and is the same with each attempt.
        attempt: 1 for the first.
    """
    told = {"schedule-arn": arn, "scheduled-time": event["time"], "execution-id": execution}
    return {f"aws.scheduler.{name}": value for name, value in {**told, "attempt-number": str(attempt)}.items()}


def _filled(template: str, known: Mapping[str, Any]) -> str:
    """Return a template with its placeholders filled: inside of quotes as text, elsewhere as JSON."""
    # A template that holds no object and begins with no quote is plain text.
    plain = not template.lstrip().startswith(("{", "[", '"'))
    parts, position, quoted = [], 0, False
    for placeholder in _PLACEHOLDER.finditer(template):
        between = template[position : placeholder.start()]
        parts.append(between)
        quoted ^= len(re.findall(r'(?<!\\)"', between)) % 2 == 1
        position = placeholder.end()
        name = placeholder[1]
        if name not in known:
            parts.append(placeholder[0])
            continue
        value = known[name]
        text = value if isinstance(value, str) else "" if value is None else json.dumps(value)
        if plain:
            parts.append(text)
        else:
            parts.append(json.dumps(text)[1:-1] if quoted else json.dumps(value))
    return "".join([*parts, template[position:]])
