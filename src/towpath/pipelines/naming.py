"""What the requests of steps are called: it says which step of which execution asked. Pure."""


def request_id_of(execution: str, step: str, attempt: int) -> str:
    """Return the id of the request that an attempt of a step makes."""
    return f"{execution}/{step}/{attempt}"


def step_of(execution: str, request_id: object) -> str | None:
    """Return the step of an execution whose request has this id, None where it was somebody else's.

    A step in a round of a ForEach is told by its name alone, whatever the round.
    """
    if not isinstance(request_id, str) or not request_id.startswith(f"{execution}/"):
        return None
    return request_id.removeprefix(f"{execution}/").rpartition("/")[0].partition("[")[0] or None
