"""What was begun is undone where what follows fails."""

import pytest

from towpath.sdk.errors import Denied
from towpath.sdk.undoing import Undo


def test_all_is_undone_the_latest_first_and_what_cannot_be_is_told_with_the_error() -> None:
    undone = []

    def refused() -> None:
        raise Denied("AccessDeniedException", "no right to DeleteRule", status=403)

    with pytest.raises(ValueError, match="what follows") as failed, Undo() as undo:
        undo.by("alarm a", lambda: undone.append("a"))
        undo.by("rule b", refused)
        undo.by("log c", lambda: undone.append("c"))
        raise ValueError("what follows")
    assert undone == ["c", "a"]
    assert failed.value.__notes__ == [
        "rule b is left as it was made, since that could not be undone: no right to DeleteRule (AccessDeniedException)"
    ]


def test_nothing_is_undone_of_what_has_succeeded() -> None:
    undone = []
    with Undo() as undo:
        undo.by("alarm a", lambda: undone.append("a"))
    assert undone == []
