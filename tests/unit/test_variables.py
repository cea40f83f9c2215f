"""Variables of the environment that are meant for the platform and are not heeded are told of."""

import pytest

from towpath.settings import IN_THE_FILE, Settings, variable_of
from towpath.variables import OTHERS, misspelt

SEE = "see docs/operations.md for the settings)"
NO_SETTING = "is set and changes nothing: there is no such setting"


@pytest.mark.parametrize(
    ("variable", "told"),
    [
        ("TOWPATH_WARM_STRT", f"{NO_SETTING} (did you mean TOWPATH_WARM_START? {SEE}"),
        ("TOWPATH_HOM", f"{NO_SETTING} (did you mean TOWPATH_HOME? {SEE}"),
        ("TOWPATH_OBJECTS_SECRETKEY", f"{NO_SETTING} (did you mean TOWPATH_OBJECTS_SECRET_KEY? {SEE}"),
        ("TOWPATH_QUITE_ELSE", f"{NO_SETTING} ({SEE}"),
        ("TOWPATH_", f"{NO_SETTING} ({SEE}"),
        (
            "TOWPATH_IMAGES",
            "is set and changes nothing: images is a table, read from towpath.toml alone",
        ),
    ],
)
def test_what_is_no_variable_of_the_platform_is_named_with_the_nearest_that_is(variable: str, told: str) -> None:
    assert misspelt({variable: "a secret", "PATH": "/bin"}) == [f"{variable} {told}"]


@pytest.mark.parametrize(
    "variable",
    [
        *OTHERS,
        *(variable_of(name) for name in Settings.__struct_fields__ if name not in IN_THE_FILE),
        "TOWPATH_TEST_SEED",
        "TOWPATH_SOAK_FILE",
        "TOWPATH_FUZZ_EXAMPLES",
        "TOWPATH_CI_SANDBOXES",
        "TOWPATH_BENCH_SHAPE",
        "TOWPATH_SERVICE_HOST",
        "TOWPATH_SERVICE_PORT_HTTP",
        "TOWPATH_PORT_7400_TCP_ADDR",
        "XTOWPATH_WARM_STRT",
    ],
)
def test_what_somebody_reads_is_not_told_of(variable: str) -> None:
    assert misspelt([variable]) == []
