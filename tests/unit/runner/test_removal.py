"""Whatever a job left in its folders can be removed."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from towpath.runner.removal import remove_tree


def test_folders_deeper_than_any_path_are_removed(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    here = os.open(top, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("deeper", dir_fd=here)
        os.close(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=here))
        inner = os.open("deeper", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    remove_tree(top)
    assert not top.exists()


def test_links_are_removed_and_what_they_lead_to_stays(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("stays")
    top = tmp_path / "top"
    (top / "inner").mkdir(parents=True)
    (top / "inner/link").symlink_to(kept)
    (top / "link").symlink_to(kept)
    (top / ".removing-1").mkdir()
    (top / "inner/folder").mkdir()
    remove_tree(top)
    assert not top.exists()
    assert (kept / "file").read_text() == "stays"


def test_folders_without_rights_are_removed(tmp_path: Path) -> None:
    top = tmp_path / "top"
    (top / "closed/inner").mkdir(parents=True)
    (top / "closed/inner/file").write_text("x")
    (top / "closed/inner").chmod(0)
    (top / "closed").chmod(0)
    remove_tree(top)
    assert not top.exists()


def test_what_is_not_there_is_removed_already(tmp_path: Path) -> None:
    remove_tree(tmp_path / "nothing")
    assert list(tmp_path.iterdir()) == []


def test_two_that_remove_the_same_folder_both_find_it_gone(tmp_path: Path) -> None:
    """A runner clears up behind itself while the platform, which has seen its manifest, removes the attempt."""
    for number in range(20):
        top = tmp_path / str(number)
        for place in range(40):
            (top / f"{place % 4}/{place}/inner").mkdir(parents=True)
            (top / f"{place % 4}/{place}/inner/file").touch()
        with ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(remove_tree, top) for _ in range(2)]:
                done.result()
        assert not top.exists()
