"""What a job finds, and what of its work is published."""

import hashlib
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from towpath.jobs.model import (
    JobSpec,
    Output,
    OutputMode,
    Phase,
)
from towpath.jobs.ports import ComputeBackend
from towpath.testing.compute.trials import News, Trials, blob, dedent, script, tar


class Contents(Trials):
    """What a job finds and leaves."""

    # -- what a job finds

    def test_a_job_finds_its_arguments_environment_and_files(
        self, backend: ComputeBackend, news: News, tmp_path: Path
    ) -> None:
        code = """
            import json, os, pathlib, sys
            print(json.dumps(sys.argv[1:]))
            print(os.environ["GREETING"])
            print(pathlib.Path("/opt/ml/input/config/hyperparameters.json").read_text())
            print(pathlib.Path("/opt/ml/input/data/train/part.csv").read_text())
            print(pathlib.Path("/opt/ml/model").is_dir(), os.listdir("/opt/ml/model"))
            print(pathlib.Path(os.getcwd()).samefile("/opt/ml"))
        """
        job = script(
            dedent(code),
            arguments=("--rate", "0.1", "an argument"),
            environment={"GREETING": "grüß dich"},
            files={"input/config/hyperparameters.json": '{"depth": "3"}'},
            folders=("model",),
            inputs=(blob(tmp_path, "input/data/train/part.csv", b"a,b"),),
        )
        assert self.run(backend, news, job).reason is None
        assert self.text(backend) == [
            '["--rate", "0.1", "an argument"]',
            "grüß dich",
            '{"depth": "3"}',
            "a,b",
            "True []",
            "True",
        ]

    def test_python_on_the_path_is_the_interpreter_of_the_job(self, backend: ComputeBackend, news: News) -> None:
        job = JobSpec(
            key="job-1",
            kind="processing",
            name="job-1",
            argv=("/bin/sh", "-c", "for p in python python3; do $p -c 'import sys; print(sys.prefix)'; done"),
            python=sys.executable,
        )
        assert self.run(backend, news, job).exit_code == 0
        assert self.text(backend) == [sys.prefix, sys.prefix]

    def test_an_archive_is_unpacked_below_its_path(self, backend: ComputeBackend, news: News, tmp_path: Path) -> None:
        archive = tar({"train.py": b"print('from the archive')", "lib/part.py": b""})
        source = blob(tmp_path, "input/code", archive, unpack=True)
        job = script("import runpy; runpy.run_path('/opt/ml/input/code/train.py')", inputs=(source,))
        assert self.run(backend, news, job).reason is None
        assert self.text(backend) == ["from the archive"]

    def test_a_job_may_write_to_its_temporary_folder_and_shared_memory(
        self, backend: ComputeBackend, news: News
    ) -> None:
        code = """
            import multiprocessing.shared_memory as shared, tempfile
            with tempfile.NamedTemporaryFile() as file:
                file.write(b"x")
            memory = shared.SharedMemory(create=True, size=16)
            memory.close(); memory.unlink()
            print("both")
        """
        assert self.run(backend, news, script(dedent(code))).reason is None
        assert self.text(backend) == ["both"]

    def test_a_damaged_input_fails_the_job_before_its_code_runs(
        self, backend: ComputeBackend, news: News, tmp_path: Path
    ) -> None:
        source = blob(tmp_path, "input/data/x", b"content", sha256="0" * 64)
        manifest = self.run(backend, news, script("print('ran')", inputs=(source,)))
        assert manifest.exit_code is None
        assert manifest.reason is not None
        assert "s3://bucket/input/data/x" in manifest.reason
        assert "damaged" in manifest.reason
        assert "ran" not in self.text(backend)

    @pytest.mark.parametrize("name", ["../outside", "/etc/outside", "folder/../../outside"])
    def test_an_archive_that_leads_out_of_its_folder_fails_the_job(
        self, backend: ComputeBackend, news: News, tmp_path: Path, name: str
    ) -> None:
        source = blob(tmp_path, "input/code", tar({name: b"x"}), unpack=True)
        manifest = self.run(backend, news, script("print('ran')", inputs=(source,)))
        assert manifest.exit_code is None
        assert manifest.reason is not None
        assert "not safe to unpack" in manifest.reason
        assert name in manifest.reason

    # -- what a job leaves

    def test_outputs_are_staged_with_their_digests(self, backend: ComputeBackend, news: News) -> None:
        code = """
            import os
            os.makedirs("/opt/ml/out/deep")
            open("/opt/ml/out/a.txt", "w").write("alpha")
            open("/opt/ml/out/deep/b.txt", "w").write("beta")
        """
        output = Output(name="result", path="out", bucket="bucket", key="some/prefix")
        manifest = self.run(backend, news, script(dedent(code), outputs=(output,)))
        assert manifest.exit_code == 0
        assert manifest.started_at is not None
        assert manifest.started_at <= manifest.ended_at
        assert manifest.peak_memory_bytes is not None
        assert manifest.peak_memory_bytes > 1_000_000
        assert [(file.output, file.bucket, file.key, file.size) for file in manifest.outputs] == [
            ("result", "bucket", "some/prefix/a.txt", 5),
            ("result", "bucket", "some/prefix/deep/b.txt", 4),
        ]
        for file, content in zip(manifest.outputs, (b"alpha", b"beta"), strict=True):
            assert Path(file.path).read_bytes() == content
            assert file.sha256 == hashlib.sha256(content).hexdigest()
            assert file.md5 == hashlib.md5(content, usedforsecurity=False).hexdigest()

    def test_equal_folders_are_packed_into_equal_archives(self, backend: ComputeBackend, news: News) -> None:
        code = """
            import os, sys
            os.makedirs("/opt/ml/model/code", exist_ok=True)
            names = ["b", "a", "code/inference.py"]
            for name in names if sys.argv[1] == "1" else reversed(names):
                open("/opt/ml/model/" + name, "w").write(name)
            os.utime("/opt/ml/model/a", (int(sys.argv[1]), int(sys.argv[1])))
        """
        output = Output(name="model", path="model", bucket="bucket", key="model.tar.gz", mode=OutputMode.ARCHIVE)
        archives = []
        for number in ("1", "2"):
            job = script(dedent(code), key=f"job-{number}", arguments=(number,), outputs=(output,))
            archives.append(self.run(backend, news, job).outputs[0])
        assert archives[0].sha256 == archives[1].sha256
        assert archives[0].key == "model.tar.gz"
        with tarfile.open(archives[0].path) as archive:
            assert archive.getnames() == ["a", "b", "code", "code/inference.py"]

    def test_an_empty_folder_gives_an_archive_only_where_it_is_wanted(
        self, backend: ComputeBackend, news: News
    ) -> None:
        wanted = Output(name="model", path="model", bucket="b", key="model.tar.gz", mode=OutputMode.ARCHIVE)
        optional = Output(
            name="data", path="output/data", bucket="b", key="data.tar.gz", mode=OutputMode.DISCARD_IF_EMPTY_ARCHIVE
        )
        job = script("pass", folders=("model", "output/data"), outputs=(wanted, optional))
        assert [file.output for file in self.run(backend, news, job).outputs] == ["model"]

    def test_links_give_their_content_and_never_what_lies_outside(
        self, backend: ComputeBackend, news: News, tmp_path: Path
    ) -> None:
        secret = tmp_path / "secret"
        secret.write_text("secret")
        code = f"""
            import os
            os.makedirs("/opt/ml/cache"); os.makedirs("/opt/ml/out/loop")
            open("/opt/ml/cache/weights", "w").write("weights")
            os.symlink("../cache/weights", "/opt/ml/out/relative")
            os.symlink("/opt/ml/cache", "/opt/ml/out/folder")
            os.symlink("{secret}", "/opt/ml/out/escape")
            os.symlink("../../../../../../../../../../../etc/passwd", "/opt/ml/out/passwd")
            os.symlink("..", "/opt/ml/out/loop/again")
        """
        output = Output(name="out", path="out", bucket="b", key="p")
        manifest = self.run(backend, news, script(dedent(code), outputs=(output,)))
        assert manifest.reason is None
        assert [file.key for file in manifest.outputs] == ["p/folder/weights", "p/relative"]
        assert {Path(file.path).read_text() for file in manifest.outputs} == {"weights"}
        assert sum("was left out" in line for line in self.text(backend)) == 3

    def test_a_failed_job_publishes_only_what_is_wanted_on_failure(self, backend: ComputeBackend, news: News) -> None:
        code = """
            for folder in ("model", "data"):
                open(f"/opt/ml/{folder}/x", "w").write("x")
            raise SystemExit(3)
        """
        outputs = (
            Output(name="model", path="model", bucket="b", key="m.tar.gz", mode=OutputMode.ARCHIVE),
            Output(name="data", path="data", bucket="b", key="d", on_failure=True),
        )
        manifest = self.run(backend, news, script(dedent(code), folders=("model", "data"), outputs=outputs))
        assert manifest.exit_code == 3
        assert [file.output for file in manifest.outputs] == ["data"]

    # -- what it leaves while it runs

    def test_complete_files_of_a_continuous_output_wait_while_the_job_runs_until_they_are_dropped(
        self, open_backend: Callable[[], ComputeBackend], backend: ComputeBackend, news: News
    ) -> None:
        code = """
            import os, signal
            open("/opt/ml/checkpoints/1", "w").write("one")
            half = open("/opt/ml/checkpoints/half", "w")
            half.write("ha"); half.flush()
            def go_on(*_):
                half.write("lf"); half.close()
                open("/opt/ml/checkpoints/2", "w").write("two")
                os._exit(3)
            signal.signal(signal.SIGTERM, go_on)
            while True:
                signal.pause()
        """
        output = Output(name="checkpoints", path="checkpoints", bucket="b", key="c", on_failure=True, continuous=True)
        backend.submit(script(dedent(code), folders=("checkpoints",), outputs=(output,)))
        news.until(lambda: bool(backend.observe("job-1").increments), "the first file is complete")
        (increment,) = backend.observe("job-1").increments
        assert backend.observe("job-1").phase is Phase.RUNNING
        assert (increment.file.output, increment.file.bucket, increment.file.key) == ("checkpoints", "b", "c/1")
        assert Path(increment.file.path).read_bytes() == b"one"
        assert increment.file.sha256 == hashlib.sha256(b"one").hexdigest()
        other = open_backend()
        assert other.observe("job-1").increments == (increment,), "it waits on disk, whoever looks"
        other.drop("job-1", until=increment.number)
        other.drop("job-1", until=increment.number)
        other.close()
        assert backend.observe("job-1").increments == ()
        backend.stop("job-1")
        manifest = self.finish(backend, news)
        left = {file.key: Path(file.path).read_bytes() for file in manifest.outputs}
        assert left == {"c/2": b"two", "c/half": b"half"}, "the rest, and nothing again"
        assert backend.observe("job-1").increments == ()

    def test_what_was_staged_when_its_attempt_ended_waits_still(self, backend: ComputeBackend, news: News) -> None:
        output = Output(name="o", path="out", bucket="b", key="k", on_failure=True, continuous=True)
        code = "import signal; open('/opt/ml/out/x', 'w').write('x'); signal.pause()"
        backend.submit(script(code, folders=("out",), outputs=(output,)))
        news.until(lambda: bool(backend.observe("job-1").increments), "the file is complete")
        waiting = backend.observe("job-1").increments
        backend.stop("job-1", at_once=True)
        manifest = self.finish(backend, news)
        assert manifest.outputs == ()
        assert backend.observe("job-1").increments == waiting
        assert Path(waiting[0].file.path).read_bytes() == b"x"
        assert not backend.is_tidy("job-1")
        backend.tidy("job-1")
        assert backend.observe("job-1").increments == ()
