"""Where a step's code comes from."""

import subprocess
from pathlib import Path

import pytest

from towpath.sdk.provenance import Provenance, provenance, without_credentials


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "train.py").write_text("x = 1")
    git(tmp_path, "add", "train.py")
    git(tmp_path, "commit", "--quiet", "-m", "Begin")
    return tmp_path


def test_a_clean_tree_names_its_commit(repository: Path) -> None:
    git(repository, "remote", "add", "origin", "https://me:secret@example.com/project.git")
    assert provenance(repository) == Provenance(
        commit=git(repository, "rev-parse", "HEAD"), dirty=False, repository="https://example.com/project.git"
    )


def test_a_changed_and_an_untracked_file_make_the_tree_dirty(repository: Path) -> None:
    (repository / "train.py").write_text("x = 2")
    assert provenance(repository).dirty
    git(repository, "checkout", "--quiet", "train.py")
    assert not provenance(repository).dirty
    (repository / "new.py").write_text("x")
    assert provenance(repository).dirty


def test_a_folder_that_git_does_not_follow_has_no_commit(repository: Path) -> None:
    scratch = repository / "scratch"
    scratch.mkdir()
    (scratch / "train.py").write_text("x")
    assert provenance(scratch) == Provenance()


def test_a_folder_without_git_has_no_commit(tmp_path: Path) -> None:
    assert provenance(tmp_path) == Provenance()


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://user:token@example.com:8443/a/b.git?x=1#y", "https://example.com:8443/a/b.git"),
        ("https://token@example.com/a.git", "https://example.com/a.git"),
        ("ssh://git@example.com/a.git", "ssh://example.com/a.git"),
        ("git@example.com:a/b.git", "git@example.com:a/b.git"),
        ("/srv/git/a.git", "/srv/git/a.git"),
    ],
)
def test_an_address_is_shown_without_credentials(address: str, shown: str) -> None:
    assert without_credentials(address) == shown


def test_tags_hold_the_tree_always_and_the_commit_where_there_is_one() -> None:
    assert Provenance().tags("abc") == [{"Key": "towpath:code-tree", "Value": "sha256:abc"}]
    tags = Provenance(commit="f" * 40, dirty=True, repository="https://example.com/a.git").tags("abc")
    assert {tag["Key"]: tag["Value"] for tag in tags} == {
        "towpath:code-commit": "f" * 40,
        "towpath:code-dirty": "true",
        "towpath:code-repository": "https://example.com/a.git",
        "towpath:code-tree": "sha256:abc",
    }


def test_an_address_that_no_tag_can_hold_is_left_out() -> None:
    keys = {tag["Key"] for tag in Provenance(commit="f", repository="https://example.com/{a}").tags("abc")}
    assert "towpath:code-repository" not in keys
