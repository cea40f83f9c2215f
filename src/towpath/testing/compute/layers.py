"""Packages that a job asks for by a requirements file."""

import venv
from pathlib import Path
from typing import Any

import msgspec
import pytest

from towpath.jobs.model import (
    JobSpec,
)
from towpath.jobs.ports import ComputeBackend
from towpath.testing.compute.trials import News, Trials, dedent, script
from towpath.testing.wheels import make_wheel


class Layers(Trials):
    """How packages are added to the environment of a job."""

    # -- layers

    @pytest.fixture
    def wheels(self, backend: ComputeBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Return the folder that is the only place where packages come from."""
        if not backend.capabilities.layers:
            pytest.skip("this back end makes no layers")
        folder = tmp_path / "wheels"
        folder.mkdir()
        monkeypatch.setenv("UV_FIND_LINKS", str(folder))
        monkeypatch.setenv("UV_OFFLINE", "1")
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
        return folder

    def asking(self, requirements: str, code: str = "pass", *, key: str = "job-1", **members: Any) -> JobSpec:
        """Return a job with a requirements file."""
        files = {"code/requirements.txt": requirements}
        return script(dedent(code), key=key, files=files, requirements=("code/requirements.txt",), **members)

    def test_a_package_that_is_asked_for_comes_last_on_the_path_of_every_python(
        self, backend: ComputeBackend, news: News, wheels: Path
    ) -> None:
        hidden = {"msgspec.py": "raise SystemExit('the layer hides the environment')", "towpath_a.py": "version = 'a'"}
        make_wheel(wheels, "towpath-a", "1.5", hidden, requires=["towpath-b", "msgspec"])
        make_wheel(wheels, "towpath-b", "2.0")
        code = """
            import importlib.metadata, subprocess, sys
            import msgspec, towpath_a, towpath_b
            print(towpath_a.version, importlib.metadata.version("towpath-a"), towpath_b.version)
            child = "import towpath_b; print(towpath_b.version)"
            print(subprocess.check_output([sys.executable, "-c", child], text=True))
            try:
                open(towpath_a.__file__, "a")
            except OSError:
                print("read-only")
            else:
                print("written")
        """
        manifest = self.run(backend, news, self.asking("towpath-a>=1 # why\n", code))
        assert manifest.reason is None
        assert manifest.layer is not None
        assert manifest.layer.packages == {"towpath-a": "1.5", "towpath-b": "2.0"}
        assert "msgspec" in manifest.layer.base
        told = self.text(backend)
        assert "a 1.5 2.0" in told
        assert "2.0" in told
        assert ("written" if manifest.sandbox == "paths" else "read-only") in told
        assert any(line.startswith("towpath: uv: ") for line in told), "the log tells what uv did"

    def test_a_layer_is_made_once_and_needs_nothing_then(
        self, backend: ComputeBackend, news: News, wheels: Path
    ) -> None:
        wheel = make_wheel(wheels, "towpath-a", "1.5")
        code = "import towpath_a; print(towpath_a.version)"
        for number in (1, 2, 3):
            backend.submit(self.asking("towpath-a", code, key=f"job-{number}"))
        ended = [self.finish(backend, news, f"job-{number}") for number in (1, 2, 3)]
        assert [manifest.reason for manifest in ended] == [None] * 3
        assert len({manifest.layer.hash for manifest in ended if manifest.layer}) == 1
        built = [key for key in ("job-1", "job-2", "job-3") if any("uv: " in line for line in self.text(backend, key))]
        assert len(built) == 1
        wheel.unlink()
        assert self.run(backend, news, self.asking("towpath-a", code, key="job-4")).reason is None
        assert self.text(backend, "job-4")[-1] == "1.5"

    def test_what_the_environment_holds_is_not_installed_again(
        self, backend: ComputeBackend, news: News, wheels: Path
    ) -> None:
        make_wheel(wheels, "msgspec", "99.0")
        manifest = self.run(backend, news, self.asking("msgspec>=0.1\n"))
        assert manifest.reason is None
        assert manifest.layer is not None
        assert manifest.layer.packages == {}

    def test_a_requirement_that_contradicts_the_environment_is_refused(
        self, backend: ComputeBackend, news: News, wheels: Path
    ) -> None:
        make_wheel(wheels, "msgspec", "99.0")
        make_wheel(wheels, "towpath-a", "1.5", requires=["msgspec>=99"])
        for number, asked in enumerate(("msgspec>=99", "towpath-a")):
            manifest = self.run(backend, news, self.asking(asked, "print('ran')", key=f"job-{number}"))
            assert manifest.exit_code is None
            assert manifest.reason is not None
            assert "requirements.txt cannot be met" in manifest.reason
            assert "msgspec==" in manifest.reason, "the version that stays is named"
            assert "ran" not in self.text(backend, f"job-{number}")

    @pytest.mark.parametrize("name", ["torch", "nvidia-cublas-cu12"])
    def test_neither_torch_nor_cuda_ever_comes_with_a_layer(
        self, backend: ComputeBackend, news: News, wheels: Path, name: str
    ) -> None:
        make_wheel(wheels, name, "99.0")
        make_wheel(wheels, "towpath-a", "1.5", requires=[f"{name}>=99"])
        # An environment of its own, without any package: this one may hold torch.
        empty = wheels.parent / "empty"
        venv.create(empty, symlinks=True)
        job = self.asking("towpath-a", "print('ran')")
        manifest = self.run(backend, news, msgspec.structs.replace(job, python=str(empty / "bin" / "python")))
        assert manifest.exit_code is None
        assert manifest.reason is not None
        assert name in manifest.reason
        assert "'text'" in manifest.reason
        assert "[images]" in manifest.reason

    def test_a_package_that_is_nowhere_fails_the_job_in_words_and_is_tried_anew(
        self, backend: ComputeBackend, news: News, wheels: Path
    ) -> None:
        manifest = self.run(backend, news, self.asking("towpath-nowhere"))
        assert manifest.exit_code is None
        assert manifest.reason is not None
        assert "towpath-nowhere" in manifest.reason
        assert any("towpath-nowhere" in line for line in self.text(backend))
        make_wheel(wheels, "towpath-nowhere", "1.0")
        assert self.run(backend, news, self.asking("towpath-nowhere", key="job-2")).reason is None
