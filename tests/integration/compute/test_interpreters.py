"""What interpreters hold is known as it is now, not as it was when the server started."""

import os
import sys
from pathlib import Path

import pytest

from towpath.compute.interpreters import WatchedImages
from towpath.kernel.errors import Invalid


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on this interpreter's own path."""
    folder = tmp_path / "packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


def install(folder: Path, name: str, version: str) -> None:
    """Do what an installer does, as far as anybody can see which packages there are."""
    described = folder / f"{name}-{version}.dist-info"
    described.mkdir()
    (described / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def test_a_package_that_is_installed_while_the_server_runs_is_seen(packages: Path) -> None:
    images = WatchedImages({})
    before = images.resolve("towpath")
    assert "heron" not in before.packages
    install(packages, "heron", "1.0")
    after = images.resolve("towpath")
    assert after.packages["heron"] == "1.0"
    assert after.fingerprint != before.fingerprint


def test_an_environment_that_did_not_change_is_not_read_again(packages: Path) -> None:
    images = WatchedImages({})
    install(packages, "heron", "1.0")
    assert images.resolve("towpath").packages is images.resolve("python").packages


@pytest.mark.slow
def test_a_package_in_a_mapped_interpreter_is_seen_too(tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    folder = environment / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    folder.mkdir(parents=True)
    (environment / "bin").mkdir()
    python = environment / "bin" / "python"
    python.symlink_to(sys.executable if sys.prefix == sys.base_prefix else os.path.realpath(sys.executable))
    home = Path(os.path.realpath(sys.executable)).parent
    (environment / "pyvenv.cfg").write_text(f"home = {home}\ninclude-system-site-packages = false\n")
    images = WatchedImages({"team/*": str(python)})
    assert images.resolve("team/model").packages == {}
    install(folder, "heron", "1.0")
    found = images.resolve("team/model")
    assert (found.python, found.packages) == (str(python), {"heron": "1.0"})
    python.unlink()
    install(folder, "egret", "2.0")
    with pytest.raises(Invalid, match=r"names '.*/python', which is not a Python interpreter that runs here"):
        images.resolve("team/model")
    assert "egret" not in images.resolve("towpath").packages


def test_an_interpreter_that_does_not_run_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"names '.*/no-python', which is not a Python interpreter that runs here"):
        WatchedImages({"team/*": str(tmp_path / "no-python")})
