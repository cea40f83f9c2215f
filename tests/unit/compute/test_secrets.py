"""Secrets lie in one file that only its owner can read, whole or not at all."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from towpath.compute.secrets import SecretFile
from towpath.jobs.ports import SecretEntry
from towpath.kernel.errors import Unavailable

AT = datetime(2026, 1, 1, tzinfo=UTC)
LATER = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "secrets.json"


def test_without_a_file_there_are_no_secrets(path: Path) -> None:
    secrets = SecretFile(path)
    assert secrets.entries() == []
    assert secrets.values(["A"]) == {}
    assert secrets.remove("A") is False
    assert not path.exists()


def test_values_are_given_by_name_alone_and_survive_a_restart(path: Path) -> None:
    SecretFile(path).put("B", "value of b", at=AT)
    SecretFile(path).put("A", "value of a", at=AT)
    SecretFile(path).put("A", "another", at=LATER)
    secrets = SecretFile(path)
    assert secrets.values(["A", "C"]) == {"A": "another"}
    assert secrets.entries() == [SecretEntry(name="A", changed_at=LATER), SecretEntry(name="B", changed_at=AT)]
    assert secrets.remove("A") is True
    assert SecretFile(path).values(["A", "B"]) == {"B": "value of b"}


def test_the_file_is_the_owners_alone_whatever_lay_there_before(path: Path) -> None:
    left = path.with_name("secrets.json.new")
    left.write_text("left by a crash")
    left.chmod(0o644)
    SecretFile(path).put("A", "value of a", at=AT)
    assert path.stat().st_mode & 0o777 == 0o600
    assert not left.exists()


def test_a_damaged_file_is_refused_without_quoting_it(path: Path) -> None:
    path.write_text('{"A": "value of a"')
    with pytest.raises(Unavailable, match="is damaged") as refused:
        SecretFile(path).values(["A"])
    assert "value of a" not in str(refused.value)
