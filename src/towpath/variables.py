"""The variables of the environment that begin with TOWPATH_: which there are, and what is said of others that are."""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from towpath.settings import IN_THE_FILE, PREFIX, Settings, variable_of

#: Variables that are no settings -> who reads them, and what they are.
OTHERS: Mapping[str, str] = {
    "TOWPATH_HOME": "commands and clients: the folder of the platform's data",
    "TOWPATH_ENDPOINT": "commands and clients: the address of a server elsewhere; model servers: their endpoint",
    "TOWPATH_TOKEN": "commands and clients: the token for that server",
    "TOWPATH_PYTHON": "the set-up of a checkout: the interpreters to choose from",
    "TOWPATH_LAYER": "jobs: the environment layer that they run in",
    "TOWPATH_READY_FD": "model servers: where they say that they can answer",
    "TOWPATH_FUNCTION_BASE": "calls of functions: the folder of the call",
    "TOWPATH_VARIANT": "model servers: the variant that they serve",
    "TOWPATH_SERVING_QUEUE": "model servers: requests that may wait",
    "TOWPATH_SERVING_BODY_LIMIT": "model servers: the largest request, in bytes",
}
#: How the variables of this project's own tests and measurements go on.
_OF_THE_PROJECT = ("TEST_", "SOAK_", "FUZZ_", "CI_", "BENCH_")
#: What Kubernetes sets for every container beside a service that is called towpath.
_OF_KUBERNETES = re.compile(r"SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_[A-Z]+(_\w+)?")


def misspelt(environment: Iterable[str]) -> list[str]:
    """Return, for each variable of the environment that seems meant for the platform and is not, what to tell of it.

    Never its value, which may be a secret. It is told of, where an unknown setting of the file is refused: the file is
    the platform's alone, and the environment is not.
    """
    settings = {variable_of(name) for name in Settings.__struct_fields__ if name not in IN_THE_FILE}
    known = settings | OTHERS.keys()
    told = []
    for variable in sorted(environment):
        rest = variable.removeprefix(PREFIX)
        if rest == variable or variable in known:
            continue
        if rest.startswith(_OF_THE_PROJECT) or _OF_KUBERNETES.fullmatch(rest):
            continue
        if rest.lower() in IN_THE_FILE:
            told.append(
                f"{variable} is set and changes nothing: {rest.lower()} is a table, read from towpath.toml alone"
            )
            continue
        like = get_close_matches(rest, (name.removeprefix(PREFIX) for name in sorted(known)), n=1)
        did_you_mean = f"did you mean {PREFIX}{like[0]}? " if like else ""
        told.append(
            f"{variable} is set and changes nothing: there is no such setting ({did_you_mean}see docs/operations.md "
            "for the settings)"
        )
    return told
