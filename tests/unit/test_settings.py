"""Settings are read from file and environment, and what cannot be meant is refused."""

from pathlib import Path

import pytest

from towpath import settings
from towpath.kernel.errors import Invalid


@pytest.mark.parametrize("given", ["0", "-1", "nan", "1e9"])
def test_a_lease_that_no_turn_could_keep_or_nobody_could_outlast_is_refused(tmp_path: Path, given: str) -> None:
    with pytest.raises(Invalid, match=r"engine_lease_s is \S+; expected 1 to 3600 seconds"):
        settings.load(tmp_path / "towpath.toml", {"TOWPATH_ENGINE_LEASE_S": given})
    assert settings.load(tmp_path / "towpath.toml", {"TOWPATH_ENGINE_LEASE_S": "2.5"}).engine_lease_s == 2.5
