"""What a job says: its log, its metrics, why it failed, and secrets that nobody is told."""

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from towpath.jobs.model import (
    Limits,
    MetricDefinition,
)
from towpath.jobs.ports import ComputeBackend
from towpath.testing.compute.trials import KILLED, SECRETS, News, Trials, dedent, script


class Words(Trials):
    """What is told of a job."""

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
        assert self.run(backend, news, script(dedent(code))).reason is None
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
        manifest = self.run(backend, news, script(dedent(code)))
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
        assert self.run(backend, news, script(dedent(code), environment=environment)).reason is None
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
            dedent(code),
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
