"""What is not there is told: skipped on a developer's machine, a failure where everything has to be there."""

import pytest
from tests.clients.sdk_files.conftest import missing


def test_what_is_missing_is_skipped_only_outside_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no uv"):
        missing("no uv")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no uv"):
        missing("no uv")
