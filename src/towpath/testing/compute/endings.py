"""How jobs are stopped, found again, tidied up and reached while they serve."""

from collections.abc import Callable
from pathlib import Path

import pytest

from towpath.jobs.model import (
    JobObservation,
    Limits,
    MetricDefinition,
    Output,
    OutputMode,
    Phase,
)
from towpath.jobs.ports import ComputeBackend
from towpath.kernel.errors import InUse
from towpath.testing.compute.trials import KILLED, STARTED, STUBBORN, News, Trials, ask, dedent, script


class Endings(Trials):
    """How a job ends, and what is known of it afterwards."""

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
        job = script(dedent(code), kind="training", folders=("model",), outputs=(output,), metrics=(STARTED,))
        self.start(backend, news, job)
        backend.stop("job-1")
        manifest = self.finish(backend, news)
        assert manifest.stopped
        assert manifest.exit_code == 0
        assert [file.output for file in manifest.outputs] == ["model"]

    def test_a_job_that_ignores_the_request_is_killed_after_its_grace_time(
        self, backend: ComputeBackend, news: News
    ) -> None:
        job = script(STUBBORN, limits=Limits(stop_grace_s=0.2), metrics=(STARTED,))
        self.start(backend, news, job)
        backend.stop("job-1")
        manifest = self.finish(backend, news)
        assert manifest.stopped
        assert manifest.exit_code in KILLED

    def test_a_job_can_be_killed_at_once(self, backend: ComputeBackend, news: News) -> None:
        self.start(backend, news, script(STUBBORN, limits=Limits(stop_grace_s=3600), metrics=(STARTED,)))
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
        job = script(dedent(code), outputs=(output,), folders=("out",), metrics=(metric,))
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
        self.start(backend, news, script(STUBBORN, limits=Limits(stop_grace_s=0.2), metrics=(STARTED,)))
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
        backend.submit(script(dedent(code), kind="serving", serves=True))
        news.until(lambda: backend.observe("job-1").phase is Phase.READY, "it is ready")
        address = backend.address("job-1")
        assert len(address.encode()) <= 107
        assert ask(address) == b"answer"
        backend.stop("job-1")
        assert self.finish(backend, news).stopped
