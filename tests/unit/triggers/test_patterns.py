"""Event patterns, by the examples and rules of EventBridge's documentation."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.kernel.errors import Invalid
from towpath.triggers.patterns import compiled, matches

EVENT: dict[str, Any] = {
    "source": "aws.sagemaker",
    "detail-type": "SageMaker Model Package State Change",
    "resources": ["arn:aws:sagemaker:us-east-1:000000000000:model-package/reviews/3"],
    "detail": {
        "ModelPackageGroupName": "reviews",
        "ModelPackageVersion": 3,
        "ModelApprovalStatus": "Approved",
        "Retrained": True,
        "Tags": ["nightly", "bert"],
        "Metrics": [{"name": "accuracy", "value": 0.87}, {"name": "loss", "value": 0.4}],
        "Address": "10.1.2.3",
        "Nothing": None,
        "None": [],
        "Mixed": [{"name": "a"}, [1, 2]],
        "Starred": "a*b",
        "Backslashed": "a\\b",
        "Six": "2001:db8::7",
    },
}


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"source": ["aws.sagemaker"]}, True),
        ({"source": ["aws.s3", "aws.sagemaker"]}, True),
        ({"source": ["aws.s3"]}, False),
        ({"source": ["aws.sagemaker"], "detail": {"ModelApprovalStatus": ["Rejected"]}}, False),
        ({"detail": {"ModelPackageVersion": [3]}}, True),
        ({"detail": {"ModelPackageVersion": ["3"]}}, False),
        ({"detail": {"Retrained": [True]}}, True),
        ({"detail": {"Retrained": [1]}}, False),
        ({"detail": {"Nothing": [None]}}, True),
        ({"detail": {"Absent": [None]}}, False),
        ({"detail": {"Tags": ["bert"]}}, True),
        ({"detail": {"Tags": ["gpt"]}}, False),
        ({"detail": {"Metrics": {"name": ["loss"]}}}, True),
        ({"detail": {"Metrics": {"name": ["f1"]}}}, False),
        ({"detail-type": [{"prefix": "SageMaker Model"}]}, True),
        ({"detail-type": [{"prefix": {"equals-ignore-case": "sagemaker model"}}]}, True),
        ({"detail-type": [{"suffix": "Change"}]}, True),
        ({"detail-type": [{"suffix": {"equals-ignore-case": "CHANGE"}}]}, True),
        ({"detail": {"ModelPackageGroupName": [{"equals-ignore-case": "REVIEWS"}]}}, True),
        ({"detail": {"ModelPackageGroupName": [{"wildcard": "re*w*"}]}}, True),
        ({"detail": {"ModelPackageGroupName": [{"wildcard": "re\\*w*"}]}}, False),
        ({"detail": {"ModelPackageGroupName": [{"anything-but": "reviews"}]}}, False),
        ({"detail": {"ModelPackageGroupName": [{"anything-but": ["a", "b"]}]}}, True),
        ({"detail": {"ModelPackageGroupName": [{"anything-but": {"prefix": "rev"}}]}}, False),
        ({"detail": {"ModelPackageGroupName": [{"anything-but": {"suffix": ["x", "y"]}}]}}, True),
        ({"detail": {"Absent": [{"anything-but": "reviews"}]}}, False),
        ({"detail": {"Metrics": {"value": [{"numeric": [">", 0.8, "<=", 0.9]}]}}}, True),
        ({"detail": {"Metrics": {"value": [{"numeric": [">", 0.9]}]}}}, False),
        ({"detail": {"Retrained": [{"numeric": ["=", 1]}]}}, False),
        ({"detail": {"Absent": [{"exists": False}]}}, True),
        ({"detail": {"Absent": [{"exists": True}]}}, False),
        ({"detail": {"Absent": {"Deeper": [{"exists": False}]}}}, True),
        ({"detail": {"ModelPackageGroupName": [{"exists": True}]}}, True),
        # The leaves of the event count, and an object is none.
        ({"detail": [{"exists": True}]}, False),
        ({"detail": [{"exists": False}]}, True),
        ({"detail": {"Metrics": [{"exists": True}]}}, False),
        ({"detail": {"Metrics": [{"exists": False}]}}, True),
        ({"detail": {"Metrics": {"name": [{"exists": True}]}}}, True),
        ({"detail": {"Metrics": {"name": [{"exists": False}]}}}, False),
        ({"detail": {"Mixed": [{"exists": True}]}}, True),
        ({"detail": {"Mixed": [{"exists": False}]}}, False),
        ({"detail": {"Mixed": [1]}}, True),
        ({"detail": {"Tags": [{"exists": True}]}}, True),
        ({"detail": {"None": [{"exists": True}]}}, False),
        ({"detail": {"None": [{"exists": False}]}}, True),
        ({"detail": {"Nothing": [{"exists": True}]}}, True),
        ({"detail": {"Nothing": [{"exists": False}]}}, False),
        ({"detail": {"ModelPackageGroupName": [{"exists": False}]}}, False),
        ({"detail": {"ModelPackageGroupName": [{"prefix": {"equals-ignore-case": "VIEW"}}]}}, False),
        ({"detail": {"ModelPackageGroupName": [{"suffix": {"equals-ignore-case": "VIEW"}}]}}, False),
        ({"detail": {"ModelPackageVersion": [{"prefix": "3"}]}}, False),
        ({"detail": {"ModelPackageGroupName": [{"anything-but": {"prefix": ["a", "rev"]}}]}}, False),
        ({"detail": {"ModelPackageGroupName": [{"anything-but": {"suffix": "ews"}}]}}, False),
        ({"detail": {"ModelPackageGroupName": [{"anything-but": {"wildcard": "r*w*"}}]}}, False),
        ({"detail": {"ModelPackageGroupName": [{"anything-but": {"wildcard": ["x*", "*y"]}}]}}, True),
        ({"detail": {"ModelPackageGroupName": [{"anything-but": {"equals-ignore-case": ["a", "REVIEWS"]}}]}}, False),
        ({"detail": {"ModelPackageGroupName": [{"anything-but": {"equals-ignore-case": "b"}}]}}, True),
        ({"detail": {"ModelPackageVersion": [{"anything-but": [3, 4]}]}}, False),
        ({"detail": {"ModelPackageVersion": [{"anything-but": [4, 5]}]}}, True),
        ({"detail": {"ModelPackageVersion": [{"anything-but": "3"}]}}, True),
        ({"detail": {"Tags": [{"anything-but": "bert"}]}}, True),
        ({"detail": {"Tags": [{"anything-but": ["bert", "nightly"]}]}}, False),
        ({"detail": {"ModelPackageVersion": [{"numeric": ["=", 3.0]}]}}, True),
        ({"detail": {"ModelPackageVersion": [{"numeric": [">=", 3, "<", 4]}]}}, True),
        ({"detail": {"ModelPackageVersion": [{"numeric": [">", 3, "<", 4]}]}}, False),
        ({"detail": {"Starred": [{"wildcard": "a\\*b"}]}}, True),
        ({"detail": {"Starred": [{"wildcard": "a\\\\b"}]}}, False),
        ({"detail": {"Backslashed": [{"wildcard": "a\\\\*"}]}}, True),
        ({"detail": {"Six": [{"cidr": "2001:db8::/32"}]}}, True),
        ({"detail": {"Six": [{"cidr": "10.0.0.0/8"}]}}, False),
        ({"detail": {"Address": [{"cidr": "10.0.0.0/8"}]}}, True),
        ({"detail": {"Address": [{"cidr": "192.168.0.0/16"}]}}, False),
        ({"$or": [{"source": ["aws.s3"]}, {"detail": {"Tags": ["bert"]}}]}, True),
        ({"$or": [{"source": ["aws.s3"]}, {"detail": {"Tags": ["gpt"]}}]}, False),
        ({"detail": {"$or": [{"Tags": ["gpt"]}, {"Retrained": [True]}]}}, True),
    ],
)
def test_a_pattern_describes_an_event_or_not(wanted: dict[str, Any], expected: bool) -> None:
    assert matches(json.dumps(wanted), EVENT) is expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "not valid JSON"),
        ("[]", "expected an object"),
        ("{}", "at least one member"),
        ('{"source": "aws.s3"}', r"\$\.source: expected a list"),
        ('{"source": []}', r"\$\.source: expected a list of at least one value"),
        ('{"source": ["a"], "source": ["b"]}', r"Reason: \$\.source: this member is given more than once"),
        (
            '{"detail": {"a": [{"prefix": "a", "prefix": "b"}]}}',
            r"\$\.detail\.a\[0\]\.prefix: this member is given more",
        ),
        ('{"detail": {}}', r"\$\.detail: an empty object"),
        ('{"detail": {"a": [{"larger": 3}]}}', r"\$\.detail\.a\[0\]: unrecognized match type larger"),
        ('{"detail": {"a": [{"numeric": [">"]}]}}', "one or two comparisons"),
        ('{"detail": {"a": [{"numeric": [">", "3"]}]}}', "one or two comparisons"),
        ('{"detail": {"a": [{"numeric": [">", 5, "<", 3]}]}}', "no number is > 5 and < 3"),
        ('{"detail": {"a": [{"anything-but": {"prefix": ["a", ""]}}]}}', "nothing would match"),
        ('{"detail": {"a": [{"exists": "yes"}]}}', "true or false"),
        ('{"detail": {"a": [{"cidr": "somewhere"}]}}', "cidr"),
        ('{"detail": {"a": [{"numeric": [">", 1' + "0" * 400 + "]}]}}", r"expected numbers from -1e\+15 to 1e\+15"),
        ('{"detail": {"a": [{"numeric": [">", 1e999]}]}}', "larger than any number"),
        ('{"detail": {"a": [{"anything-but": {"numeric": [">", 3]}}]}}', "anything-but"),
        ('{"detail": {"a": [{"anything-but": []}]}}', "expected a value"),
        ('{"detail": {"a": [{"prefix": 3}]}}', "expected text"),
        ('{"detail": {"a": [{"wildcard": "a**b"}]}}', "asterisks"),
        ('{"detail": {"a": [["b"]]}}', "list inside of a list"),
        ('{"$or": [{"source": ["a"]}]}', "two or more"),
        (json.dumps({"source": ["x" * 5000]}), "at most 4096"),
    ],
)
def test_what_is_no_pattern_is_refused_with_its_place(text: str, told: str) -> None:
    with pytest.raises(Invalid, match=told) as caught:
        compiled(text)
    assert caught.value.code == "InvalidEventPatternException"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(st.sampled_from(["source", "detail", "a", "b", "$or"]), _JSON, max_size=4),
    st.dictionaries(st.sampled_from(["source", "detail", "a", "b"]), _JSON, max_size=4),
)
def test_whatever_is_asked_is_answered_or_refused(pattern: dict[str, Any], event: dict[str, Any]) -> None:
    try:
        test = compiled(json.dumps(pattern))
    except Invalid:
        return
    assert test(event) in {True, False}


@given(
    st.dictionaries(
        st.text(min_size=1, max_size=5).filter(lambda name: name != "$or"),
        st.text(max_size=5) | st.booleans() | st.integers(),
        min_size=1,
        max_size=4,
    )
)
def test_an_event_matches_the_pattern_of_its_own_values(event: dict[str, Any]) -> None:
    assert matches(json.dumps({name: [value] for name, value in event.items()}), event)


@given(st.text("ab", max_size=8), st.text("ab*", max_size=6).filter(lambda text: "**" not in text))
def test_an_asterisk_stands_for_any_text(value: str, wildcard: str) -> None:
    expected = re.fullmatch(wildcard.replace("*", ".*"), value) is not None
    assert matches(json.dumps({"a": [{"wildcard": wildcard}]}), {"a": value}) == expected


@pytest.mark.timeout(20)
def test_many_asterisks_are_no_way_to_hold_up_the_platform() -> None:
    pattern = json.dumps({"a": [{"wildcard": "*a" * 1000 + "*b"}]})
    assert not matches(pattern, {"a": "a" * 200_000})
    assert matches(pattern, {"a": "a" * 200_000 + "b"})
