"""Whose turn comes first where jobs wait for the host: a number that a tag gives to a pipeline."""

from collections.abc import Mapping

from towpath.kernel.errors import Invalid

PRIORITY_TAG = "towpath:priority"
PRIORITY = "Priority"  #: member of an execution's spec: the number that its pipeline had when it started; never shown
_MOST = 100  #: above and below 0


def priority_of(tags: Mapping[str, str]) -> int:
    """Return the priority that tags give, 0 where they give none.

    Raises:
        Invalid: the tag's value is not an integer from -100 to 100.
    """
    value = tags.get(PRIORITY_TAG, "0")
    try:
        number = int(value)
    except ValueError:
        number = _MOST + 1
    if abs(number) > _MOST:
        raise Invalid(f"The tag {PRIORITY_TAG} is {value!r}; expected an integer from -{_MOST} to {_MOST}")
    return number
