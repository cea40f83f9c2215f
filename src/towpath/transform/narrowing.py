"""Narrowing: which record of a payload that failed is the one that fails."""

from collections.abc import Callable, Sequence

from towpath.transform.records import NEWLINE


def narrowed(records: Sequence[bytes], fails: Callable[[bytes], bool]) -> tuple[int, int]:
    """Return (begin, end) of the fewest neighbours that were found to fail by themselves, the first of several.

    By halves, so that all payloads asked for together hold at most twice what the first one held. Where neither half
    fails, the records fail only together, or not each time, and are left together.

    Args:
        records: of a payload that has failed.
        fails: asks the model for a payload of some of them.
    """
    begin, end = 0, len(records)
    while end - begin > 1:
        middle = (begin + end) // 2
        if fails(NEWLINE.join(records[begin:middle])):
            end = middle
        elif fails(NEWLINE.join(records[middle:end])):
            begin = middle
        else:
            break
    return begin, end
