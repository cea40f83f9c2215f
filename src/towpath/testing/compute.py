"""The conformance suite of the port `ComputeBackend`: what every place that runs jobs has to do.

For authors of a back end: inherit from `ComputeSuite`, override the fixture `open_backend` (where secrets are
handed over, on a back end that knows `SECRETS`), and let pytest collect it.
"""

import hashlib
import io
import socket
import sys
import tarfile
import textwrap
import threading
import time
import venv
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from towpath.jobs.model import (
    InputFile,
    JobObservation,
    JobSpec,
    Limits,
    Manifest,
    MetricDefinition,
    Output,
    OutputMode,
    Phase,
)
from towpath.jobs.ports import ComputeBackend
from towpath.kernel.errors import InUse
from towpath.testing.wheels import make_wheel

#: How long a test waits for something that should take a moment.
PATIENCE_S = 30.0
#: Tells of a job's own start: a metric is the one thing that a job can say which wakes the platform at once.
STARTED = MetricDefinition(name="started", regex="started=([0-9]+)")
#: Exit codes of a killed process: its own, or what a container or a shell around it makes of it.
KILLED = (-9, 137)
#: The secrets that a back end under test is given.
SECRETS = {"TOKEN": "s3cr3t-Pa55/w=rd", "OTHER": "an0ther-s3cret"}


class News:
    """Receives the wake-ups of a back end and lets a test wait for what they bring."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self._changed = threading.Condition()

    def __call__(self, key: str) -> None:
        with self._changed:
            self.keys.append(key)
            self._changed.notify_all()

    def until(self, holds: Callable[[], bool], what: str) -> None:
        """Return when a condition holds; it is looked at after each wake-up and never in between."""
        deadline = time.monotonic() + PATIENCE_S
        with self._changed:
            while not holds():
                if not self._changed.wait(deadline - time.monotonic()):
                    pytest.fail(f"not within {PATIENCE_S:g} s of the last wake-up: {what}")


def script(code: str, *, key: str = "job-1", **members: Any) -> JobSpec:
    """Return a job that runs Python code from /opt/ml/code/script.py."""
    members.setdefault("kind", "processing")
    files = {"code/script.py": code, **members.pop("files", {})}
    argv = ("{python}", "/opt/ml/code/script.py", *members.pop("arguments", ()))
    members.setdefault("argv", argv)
    members.setdefault("limits", Limits(stop_grace_s=10.0))
    return JobSpec(key=key, name=key, python=sys.executable, files=files, **members)


def blob(folder: Path, path: str, content: bytes, **members: Any) -> InputFile:
    """Store bytes as a blob and return the input that lays them out at `path`."""
    digest = hashlib.sha256(content).hexdigest()
    source = folder / digest
    source.write_bytes(content)
    facts = {"size": len(content), "sha256": digest, "uri": f"s3://bucket/{path}", "version_id": "v1", **members}
    return InputFile(path=path, source=str(source), **facts)


class ComputeSuite:
    """Behaviour of a back end, one test a promise. Tests that start processes; mark the class `slow`."""

    @pytest.fixture
    def open_backend(self) -> Callable[[], ComputeBackend]:
        """Return a function that opens a back end; each call opens another one on the same jobs."""
        raise NotImplementedError("override the fixture open_backend")

    @pytest.fixture
    def backend(self, open_backend: Callable[[], ComputeBackend]) -> ComputeBackend:
        return open_backend()

    @pytest.fixture
    def news(self, backend: ComputeBackend) -> Iterator[News]:
        news = News()
        backend.watch(news)
        yield news
        backend.close()

    def finish(self, backend: ComputeBackend, news: News, key: str = "job-1") -> Manifest:
        """Wait until an attempt has ended and return its manifest."""
        news.until(lambda: backend.observe(key).phase in (Phase.FINISHED, Phase.LOST), f"{key} has ended")
        manifest = backend.observe(key).manifest
        assert manifest is not None, "the attempt was lost"
        return manifest

    def run(self, backend: ComputeBackend, news: News, job: JobSpec) -> Manifest:
        """Run a job to its end."""
        backend.submit(job)
        return self.finish(backend, news, job.key)

    def start(self, backend: ComputeBackend, news: News, job: JobSpec) -> JobObservation:
        """Start a job whose metric `started` says that its code runs; return when it does."""
        backend.submit(job)
        news.until(lambda: bool(backend.observe(job.key).metrics), f"{job.key} runs its code")
        return backend.observe(job.key)

    def text(self, backend: ComputeBackend, key: str = "job-1") -> list[str]:
        return [line.text for line in backend.log(key).lines]

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
            _dedent(code),
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
        archive = _tar({"train.py": b"print('from the archive')", "lib/part.py": b""})
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
        assert self.run(backend, news, script(_dedent(code))).reason is None
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
        source = blob(tmp_path, "input/code", _tar({name: b"x"}), unpack=True)
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
        manifest = self.run(backend, news, script(_dedent(code), outputs=(output,)))
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
            job = script(_dedent(code), key=f"job-{number}", arguments=(number,), outputs=(output,))
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
        manifest = self.run(backend, news, script(_dedent(code), outputs=(output,)))
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
        manifest = self.run(backend, news, script(_dedent(code), folders=("model", "data"), outputs=outputs))
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
        backend.submit(script(_dedent(code), folders=("checkpoints",), outputs=(output,)))
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

    # -- what it says

    def test_lines_of_the_log_have_times_and_can_be_paged(self, backend: ComputeBackend, news: News) -> None:
        before = datetime.now(UTC)
        manifest = self.run(backend, news, script("for i in range(10): print(f'line {i}\\tä')"))
        first = backend.log("job-1", limit=4)
        rest = backend.log("job-1", start=first.end)
        assert [line.text for line in first.lines + rest.lines] == [f"line {i}\tä" for i in range(10)]
        assert first.start == 0
        assert rest.start == first.end
        slack = timedelta(milliseconds=1)  # the log keeps milliseconds
        assert all(before - slack <= line.at <= manifest.ended_at + slack for line in first.lines + rest.lines)
        last = backend.log("job-1", start=-30)
        assert [line.text for line in last.lines] == ["line 9\tä"]
        assert backend.log("job-1", start=rest.end).lines == []

    def test_output_that_is_no_text_does_no_harm(self, backend: ComputeBackend, news: News) -> None:
        code = """
            import sys
            out = sys.stdout.buffer
            out.write(b"bad \\xff byte\\n"); out.write(b"x" * 100_000 + b"\\n"); out.write(b"no end"); out.flush()
        """
        assert self.run(backend, news, script(_dedent(code))).reason is None
        lines = self.text(backend)
        assert lines[0] == "bad � byte"
        assert sum(line.count("x") for line in lines[1:-1]) == 100_000
        assert lines[-1] == "no end"

    def test_metrics_are_read_from_the_log(self, backend: ComputeBackend, news: News) -> None:
        code = "for i in range(3): print(f'epoch {i} loss={1 / (i + 1):.3f} accuracy=nan')"
        metrics = (
            MetricDefinition(name="loss", regex="loss=([0-9.]+)"),
            MetricDefinition(name="accuracy", regex="accuracy=(.+)"),
        )
        manifest = self.run(backend, news, script(code, metrics=metrics))
        points = backend.metrics("job-1")
        assert [(point.name, point.value) for point in points] == [("loss", 1.0), ("loss", 0.5), ("loss", 0.333)]
        assert all(point.at <= manifest.ended_at for point in points)
        assert [(point.name, point.value) for point in backend.observe("job-1").metrics] == [("loss", 0.333)]

    # -- how it fails

    def test_a_failure_is_told_in_the_words_of_the_script(self, backend: ComputeBackend, news: News) -> None:
        code = """
            def main():
                raise ValueError("bad value")
            print("before")
            main()
        """
        manifest = self.run(backend, news, script(_dedent(code)))
        assert manifest.exit_code == 1
        assert manifest.reason is not None
        assert manifest.reason.startswith("ExitCode 1: ValueError: bad value (script.py line 3)"), manifest.reason
        assert 'raise ValueError("bad value")' in manifest.reason

    def test_a_failure_file_explains_the_failure(self, backend: ComputeBackend, news: News) -> None:
        code = (
            "open('/opt/ml/output/failure', 'w').write('no data for May' + ' ' * 9 + 'x' * 5000); raise SystemExit(1)"
        )
        job = script(code, folders=("output",), failure_file="output/failure")
        manifest = self.run(backend, news, job)
        assert manifest.reason is not None
        assert manifest.reason.startswith("no data for May")
        assert len(manifest.reason) <= 1024

    def test_a_job_that_was_killed_says_by_what(self, backend: ComputeBackend, news: News) -> None:
        manifest = self.run(backend, news, script("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"))
        assert manifest.exit_code in KILLED
        assert manifest.reason is not None
        assert "SIGKILL (signal 9)" in manifest.reason

    def test_a_shell_that_reports_a_killed_child_is_understood(self, backend: ComputeBackend, news: News) -> None:
        manifest = self.run(backend, news, script("raise SystemExit(137)"))
        assert manifest.exit_code == 137
        assert manifest.reason is not None
        assert manifest.reason.startswith("ExitCode 137: killed by SIGKILL (signal 9)")

    def test_a_missing_program_is_named(self, backend: ComputeBackend, news: News) -> None:
        manifest = self.run(backend, news, script("", argv=("trian", "--fast")))
        assert manifest.exit_code is None
        assert manifest.reason is not None
        assert "'trian'" in manifest.reason

    def test_a_job_over_its_time_is_stopped_and_says_so(self, backend: ComputeBackend, news: News) -> None:
        job = script("import signal; signal.pause()", limits=Limits(max_runtime_s=0.3, stop_grace_s=10.0))
        manifest = self.run(backend, news, job)
        assert manifest.timed_out
        assert manifest.reason is not None
        assert "0.3 s" in manifest.reason

    # -- secrets

    def test_a_job_finds_the_secrets_that_its_variables_name_and_no_others(
        self, backend: ComputeBackend, news: News, tmp_path: Path
    ) -> None:
        if not backend.capabilities.secrets:
            pytest.skip("this back end hands over no secrets")
        code = """
            import hashlib, os
            print(hashlib.sha256(os.environ["WHOLE"].encode()).hexdigest())
            print(hashlib.sha256(os.environ["PART"].encode()).hexdigest())
            print(any("an0ther" in value for value in os.environ.values()))
        """
        environment = {"WHOLE": "{{secrets.TOKEN}}", "PART": "https://ada:{{ secrets.TOKEN }}@host/"}
        assert self.run(backend, news, script(_dedent(code), environment=environment)).reason is None
        wanted = [SECRETS["TOKEN"], f"https://ada:{SECRETS['TOKEN']}@host/"]
        digests = [hashlib.sha256(text.encode()).hexdigest() for text in wanted]
        assert self.text(backend) == [*digests, "False"]

    def test_a_secret_that_a_job_tells_is_shown_nowhere(self, backend: ComputeBackend, news: News) -> None:
        if not backend.capabilities.secrets:
            pytest.skip("this back end hands over no secrets")
        code = """
            import base64, json, os, sys, time
            token = os.environ["TOKEN"]
            for piece in token:
                sys.stdout.write(piece); sys.stdout.flush()
            print()
            print(json.dumps({"token": token}), repr(token), base64.b64encode(token.encode()).decode())
            print("x" * (32 * 1024 - 5) + token)
            sys.stderr.write(token + "\\r" + token + "\\n")
            open("/opt/ml/output/failure", "w").write("x" * 330 + token * 100)
            sys.exit(token)
        """
        job = script(
            _dedent(code),
            environment={"TOKEN": "{{secrets.TOKEN}}"},
            folders=("output",),
            failure_file="output/failure",
        )
        manifest = self.run(backend, news, job)
        assert manifest.exit_code == 1
        told = "\n".join([*self.text(backend), str(manifest)])
        token = SECRETS["TOKEN"]
        assert not [token[start : start + 6] for start in range(len(token) - 5) if token[start : start + 6] in told]
        assert self.text(backend)[:2] == ["***", '{"token": "***"} \'***\' ***']
        assert manifest.reason is not None
        assert "***" in manifest.reason

    def test_a_secret_that_is_not_set_fails_the_job_by_its_name(self, backend: ComputeBackend, news: News) -> None:
        if not backend.capabilities.secrets:
            pytest.skip("this back end hands over no secrets")
        manifest = self.run(backend, news, script("print('ran')", environment={"A": "{{secrets.MISSING}}"}))
        assert manifest.exit_code is None
        assert manifest.reason is not None
        assert "'MISSING' is not set" in manifest.reason
        assert "ran" not in self.text(backend)

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
        return script(_dedent(code), key=key, files=files, requirements=("code/requirements.txt",), **members)

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

    # -- how it is stopped

    def test_a_stopped_training_job_has_time_to_save_its_model(self, backend: ComputeBackend, news: News) -> None:
        code = """
            import signal, sys
            def save(*_):
                open("/opt/ml/model/weights", "w").write("so far")
                sys.exit(0)
            signal.signal(signal.SIGTERM, save)
            print("started=1", flush=True)
            while True:
                signal.pause()
        """
        output = Output(name="model", path="model", bucket="b", key="m.tar.gz", mode=OutputMode.ARCHIVE)
        job = script(_dedent(code), kind="training", folders=("model",), outputs=(output,), metrics=(STARTED,))
        self.start(backend, news, job)
        backend.stop("job-1")
        manifest = self.finish(backend, news)
        assert manifest.stopped
        assert manifest.exit_code == 0
        assert [file.output for file in manifest.outputs] == ["model"]

    def test_a_job_that_ignores_the_request_is_killed_after_its_grace_time(
        self, backend: ComputeBackend, news: News
    ) -> None:
        job = script(_STUBBORN, limits=Limits(stop_grace_s=0.2), metrics=(STARTED,))
        self.start(backend, news, job)
        backend.stop("job-1")
        manifest = self.finish(backend, news)
        assert manifest.stopped
        assert manifest.exit_code in KILLED

    def test_a_job_can_be_killed_at_once(self, backend: ComputeBackend, news: News) -> None:
        self.start(backend, news, script(_STUBBORN, limits=Limits(stop_grace_s=3600), metrics=(STARTED,)))
        backend.stop("job-1", at_once=True)
        assert self.finish(backend, news).exit_code in KILLED

    def test_stopping_what_never_began_or_has_ended_changes_nothing(self, backend: ComputeBackend, news: News) -> None:
        backend.stop("never")
        assert backend.observe("never").phase is Phase.ABSENT
        manifest = self.run(backend, news, script("pass"))
        backend.stop("job-1")
        assert backend.observe("job-1").manifest == manifest

    # -- once, and after a restart

    def test_a_second_submit_with_the_same_key_runs_one_job(
        self, open_backend: Callable[[], ComputeBackend], backend: ComputeBackend, news: News
    ) -> None:
        job = script("import signal; print('started=1', flush=True); signal.pause()", metrics=(STARTED,))
        first = self.start(backend, news, job)
        backend.submit(job)
        other = open_backend()
        other.submit(job)
        other.close()
        assert backend.observe("job-1").pid == first.pid
        backend.stop("job-1")
        self.finish(backend, news)
        backend.submit(job)
        assert backend.observe("job-1").phase is Phase.FINISHED
        assert self.text(backend) == ["started=1"]

    def test_a_restarted_platform_finds_its_jobs(
        self, open_backend: Callable[[], ComputeBackend], backend: ComputeBackend, news: News
    ) -> None:
        job = script("import signal; print('started=1', flush=True); signal.pause()", metrics=(STARTED,))
        self.start(backend, news, job)
        backend.close()
        successor, later = open_backend(), News()
        successor.watch(later)
        later.until(lambda: "job-1" in later.keys, "the job was told of")
        assert successor.observe("job-1").phase is Phase.RUNNING
        successor.stop("job-1")
        assert self.finish(successor, later).stopped
        successor.close()

    def test_an_unknown_key_is_absent(self, backend: ComputeBackend) -> None:
        assert backend.observe("never") == JobObservation(phase=Phase.ABSENT)
        assert backend.log("never").lines == []
        assert backend.metrics("never") == []

    def test_a_forgotten_job_leaves_nothing(self, backend: ComputeBackend, news: News) -> None:
        output = Output(name="o", path="code", bucket="b", key="p")
        code = "import os; os.makedirs('/opt/ml/closed/inner'); os.chmod('/opt/ml/closed', 0o500)"
        manifest = self.run(backend, news, script(code, outputs=(output,)))
        backend.forget("job-1")
        backend.forget("job-1")
        assert backend.observe("job-1").phase is Phase.ABSENT
        assert not Path(manifest.outputs[0].path).exists()

    def test_a_tidied_job_keeps_what_it_said_and_how_it_ended(
        self, open_backend: Callable[[], ComputeBackend], backend: ComputeBackend, news: News
    ) -> None:
        code = """
            import os
            open("/opt/ml/out/x", "w").write("x")
            print("loss=0.5")
            os.makedirs("/opt/ml/closed/inner"); os.chmod("/opt/ml/closed", 0o500)
        """
        output = Output(name="o", path="out", bucket="b", key="p")
        metric = MetricDefinition(name="loss", regex="loss=([0-9.]+)")
        job = script(_dedent(code), outputs=(output,), folders=("out",), metrics=(metric,))
        manifest = self.run(backend, news, job)
        assert Path(manifest.outputs[0].path).exists()
        assert not backend.is_tidy("job-1")
        backend.tidy("job-1")
        backend.tidy("job-1")
        assert backend.is_tidy("job-1")
        assert not Path(manifest.outputs[0].path).exists()
        assert self.text(backend) == ["loss=0.5"]
        assert [point.value for point in backend.metrics("job-1")] == [0.5]
        successor = open_backend()
        assert successor.observe("job-1").manifest == manifest
        successor.submit(job)
        assert successor.observe("job-1").phase is Phase.FINISHED, "a tidied attempt does not run again"
        successor.close()

    def test_what_never_began_is_tidy_and_what_runs_is_not_tidied(self, backend: ComputeBackend, news: News) -> None:
        assert backend.is_tidy("never")
        backend.tidy("never")
        assert backend.observe("never").phase is Phase.ABSENT
        self.start(backend, news, script(_STUBBORN, limits=Limits(stop_grace_s=0.2), metrics=(STARTED,)))
        with pytest.raises(InUse):
            backend.tidy("job-1")
        backend.stop("job-1", at_once=True)
        self.finish(backend, news)

    # -- serving

    def test_a_serving_job_is_ready_when_it_says_so_and_answers_at_its_address(
        self, backend: ComputeBackend, news: News
    ) -> None:
        if not backend.capabilities.serving:
            pytest.skip("this back end does not serve")
        code = """
            import os, socket
            os.makedirs("/opt/ml/run", exist_ok=True)
            os.chdir("/opt/ml/run")
            listener = socket.socket(socket.AF_UNIX)
            listener.bind("model.sock")
            listener.listen()
            os.write(int(os.environ["TOWPATH_READY_FD"]), b"1")
            while True:
                client, _ = listener.accept()
                client.sendall(b"answer")
                client.close()
        """
        backend.submit(script(_dedent(code), kind="serving", serves=True))
        news.until(lambda: backend.observe("job-1").phase is Phase.READY, "it is ready")
        address = backend.address("job-1")
        assert len(address.encode()) <= 107
        assert ask(address) == b"answer"
        backend.stop("job-1")
        assert self.finish(backend, news).stopped


def ask(address: str) -> bytes:
    """Return what a Unix socket says to whoever connects."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE_S)
        client.connect(address)
        return client.recv(100)


_STUBBORN = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("started=1", flush=True)
while True:
    signal.pause()
"""


def _dedent(code: str) -> str:
    return textwrap.dedent(code)


def _tar(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()
