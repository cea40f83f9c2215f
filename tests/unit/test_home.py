"""Which home a command means."""

from pathlib import Path

import pytest

from towpath.home import HomeFolder


def test_a_home_that_is_found_anyway_needs_no_option_and_others_are_quoted_for_a_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TOWPATH_HOME", raising=False)
    project = tmp_path / "my project"
    (project / ".towpath").mkdir(parents=True)
    monkeypatch.chdir(project)
    assert HomeFolder(project / ".towpath").option == ""
    monkeypatch.chdir(tmp_path)
    assert HomeFolder(project / ".towpath").option == f" --home '{project / '.towpath'}'"
