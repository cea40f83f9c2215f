"""What a target gets of an event."""

import json
from typing import Any

import pytest

from towpath.kernel.errors import Invalid
from towpath.triggers.inputs import body_for, check_template, of_rule, of_schedule
from towpath.triggers.model import InputTransformer, Target

RULE = of_rule("arn:aws:events:us-east-1:000000000000:rule/r")
EVENT: dict[str, Any] = {
    "id": "1",
    "detail-type": "Sold",
    "time": "2026-11-28T05:00:00Z",
    "detail": {"id": 7, "who": 'A "B"\n'},
}
SCHEDULE = "arn:aws:scheduler:us-east-1:000000000000:schedule/default/s"


def made(template: str, **paths: str) -> str:
    transformer = InputTransformer(input_template=template, input_paths_map=paths)
    check_template(transformer)
    return body_for(Target(arn="x", input_transformer=transformer), EVENT, RULE)


def test_a_template_is_filled_as_json_outside_of_quotes_and_as_text_inside() -> None:
    text = made('{"id": <id>, "who": <who>, "said": "<who> of <aws.events.rule-name>", "no": <no>}', id="$.detail.id",
                who="$.detail.who", no="$.detail.none")  # fmt: skip
    assert json.loads(text) == {"id": 7, "who": 'A "B"\n', "said": 'A "B"\n of r', "no": None}
    assert made("<who>, number <id>", id="$.detail.id", who="$.detail.who") == 'A "B"\n, number 7'


def test_the_event_is_filled_in_whole_or_without_its_detail() -> None:
    text = made('{"event": <aws.events.event>, "all": <aws.events.event.json>, "rule": <aws.events.rule-arn>}')
    without = {name: value for name, value in EVENT.items() if name != "detail"}
    assert json.loads(text) == {"event": without, "all": EVENT, "rule": RULE["aws.events.rule-arn"]}


@pytest.mark.parametrize("template", ['{"a": <id>', '{"a": <other>}', "[<id>, ]", '{"a": <id> <id>}'])
def test_a_template_that_never_makes_json_is_refused(template: str) -> None:
    with pytest.raises(Invalid, match="InputTemplate is not JSON where its placeholders stand for null"):
        made(template, id="$.detail.id")


def test_a_constant_says_what_a_schedule_tells_of_its_time() -> None:
    names = {"at": "scheduled-time", "of": "schedule-arn", "id": "execution-id", "try": "attempt-number"}
    constant = json.dumps({key: f"<aws.scheduler.{name}>" for key, name in names.items()} | {"no": "<other>"})
    target = Target(arn="x", input=constant)
    told = json.loads(body_for(target, EVENT, of_schedule(SCHEDULE, EVENT, "d1", 2)))
    assert told == {"at": "2026-11-28T05:00:00Z", "of": SCHEDULE, "id": "d1", "try": "2", "no": "<other>"}
    assert body_for(target, EVENT, RULE) == target.input, "a rule has none of these"
