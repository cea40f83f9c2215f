"""Jobs on several hosts: they find each other by name, and begin, fail and end together."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from towpath.jobs.model import HostPart, JobSpec, Limits, Manifest, MetricDefinition, Output, OutputMode, Phase
from towpath.jobs.ports import ComputeBackend
from towpath.testing.compute.trials import KILLED, STARTED, News, Trials, blob, dedent, script

HOSTS = ("algo-1", "algo-2")
#: Each listens under its own name and port, tells the other what it is, and prints what it heard.
EXCHANGE = """
import os, socket
mine = os.environ["CURRENT_HOST"]
other = {"algo-1": "algo-2", "algo-2": "algo-1"}[mine]
listener = socket.create_server((mine, 7777))
def dial():
    while True:
        try:
            return socket.create_connection((other, 7777), timeout=20)
        except ConnectionRefusedError:
            os.sched_yield()
with dial() as client:
    client.sendall(f"from {mine}".encode())
    client.shutdown(socket.SHUT_WR)
    with listener.accept()[0] as server:
        print("heard", server.makefile().read())
print("addresses", len({socket.gethostbyname(name) for name in (mine, other)}))
print("called", socket.gethostname())
"""
#: One host talks to itself by its name; everything else that it knew it still knows.
ALONE = """
import ipaddress, socket
with socket.create_server(("algo-1", 0)) as listener:
    client = socket.create_connection(("algo-1", listener.getsockname()[1]))
    client.sendall(b"algo-1")
    client.close()
    with listener.accept()[0] as server:
        print("heard", server.makefile().read())
print("called", socket.gethostname())
print("localhost", ipaddress.ip_address(socket.gethostbyname("localhost")).is_loopback)
"""


def on_hosts(code: str, *, hosts: tuple[str, ...] = HOSTS, **members: Any) -> JobSpec:
    """Return a job that runs Python code on several hosts, each of which is told its name."""
    parts = tuple(
        HostPart(name=name, environment={"CURRENT_HOST": name}, files={"own.txt": f"of {name}"}) for name in hosts
    )
    return script(dedent(code), hosts=parts, **members)


class Several(Trials):
    """What is promised of jobs on several hosts, by back ends that declare them."""

    def lines(self, backend: ComputeBackend, host: str, key: str = "job-1") -> list[str]:
        """Return what the script printed on a host."""
        found = backend.log(key, host="" if host == HOSTS[0] else host).lines
        return [line.text for line in found if not line.text.startswith("towpath: ")]

    def need_hosts(self, backend: ComputeBackend) -> None:
        if not backend.capabilities.hosts:
            pytest.skip("this back end runs no jobs on several hosts")

    def run_named(self, backend: ComputeBackend, news: News, job: JobSpec) -> Manifest:
        """Run a job whose hosts have to find each other; skip where this back end says that they cannot here."""
        self.need_hosts(backend)
        manifest = self.run(backend, news, job)
        if manifest.exit_code is None and "Without a sandbox nothing can give algo-1" in (manifest.reason or ""):
            assert "/etc/hosts" in (manifest.reason or ""), "it says what to do"
            pytest.skip(str(manifest.reason))
        return manifest

    @pytest.mark.parametrize("network", [True, False])
    def test_hosts_exchange_bytes_by_their_names(self, backend: ComputeBackend, news: News, network: bool) -> None:
        if not network and backend.capabilities.isolation == "paths":
            pytest.skip("a job without a sandbox cannot do without the network")
        manifest = self.run_named(backend, news, on_hosts(EXCHANGE, limits=Limits(network=network, max_runtime_s=60)))
        assert (manifest.reason, manifest.exit_code) == (None, 0), [self.lines(backend, host) for host in HOSTS]
        first, second = (self.lines(backend, host) for host in HOSTS)
        assert first[:2] == ["heard from algo-2", "addresses 2"]
        assert second[:2] == ["heard from algo-1", "addresses 2"]
        if backend.capabilities.isolation != "paths":
            assert (first[2], second[2]) == ("called algo-1", "called algo-2")

    @pytest.mark.parametrize("network", [True, False])
    def test_the_one_host_of_a_job_finds_itself_by_its_name(
        self, backend: ComputeBackend, news: News, network: bool
    ) -> None:
        if backend.capabilities.isolation == "paths":
            assert self.run(backend, news, script("print('runs')", host="algo-1")).exit_code == 0
            pytest.skip("without a sandbox a job sees the names that this machine knows")
        manifest = self.run(backend, news, script(ALONE, host="algo-1", limits=Limits(network=network)))
        assert (manifest.reason, manifest.exit_code) == (None, 0), self.lines(backend, HOSTS[0])
        assert self.lines(backend, HOSTS[0]) == ["heard algo-1", "called algo-1", "localhost True"]

    def test_two_jobs_at_once_use_the_same_port_of_the_same_name(self, backend: ComputeBackend, news: News) -> None:
        self.run_named(backend, news, on_hosts("print('probe')", key="probe"))
        if backend.capabilities.isolation == "paths":
            pytest.skip("without a sandbox the names of all jobs lead to the same addresses")
        jobs = [on_hosts(EXCHANGE, key=f"job-{number}", limits=Limits(max_runtime_s=60)) for number in (1, 2)]
        for job in jobs:
            backend.submit(job)
        for job in jobs:
            assert self.finish(backend, news, job.key).reason is None
            assert self.lines(backend, "algo-2", job.key)[0] == "heard from algo-1"

    def test_each_host_has_its_own_files_and_its_part_of_the_inputs(
        self, backend: ComputeBackend, news: News, tmp_path: Path
    ) -> None:
        inputs = (
            blob(tmp_path, "in/all", b"for each"),
            blob(tmp_path, "in/one", b"1", host="algo-1"),
            blob(tmp_path, "in/two", b"2", host="algo-2"),
        )
        code = "import os; print(sorted(os.listdir('/opt/ml/in')), open('/opt/ml/own.txt').read())"
        self.run_named(backend, news, on_hosts(code, inputs=inputs))
        assert self.lines(backend, "algo-1") == ["['all', 'one'] of algo-1"]
        assert self.lines(backend, "algo-2") == ["['all', 'two'] of algo-2"]

    def test_outputs_of_all_hosts_are_put_together_and_conflicts_are_told(
        self, backend: ComputeBackend, news: News
    ) -> None:
        code = """
            import os
            mine = os.environ["CURRENT_HOST"]
            for folder in ("model/deep", "data"):
                os.makedirs(f"/opt/ml/{folder}", exist_ok=True)
            open(f"/opt/ml/model/deep/{mine}", "w").write(mine)
            open("/opt/ml/model/same", "w").write("same")
            open("/opt/ml/model/other", "w").write(mine)
            open(f"/opt/ml/data/{mine}.csv", "w").write(mine)
            open("/opt/ml/data/both", "w").write(mine)
        """
        outputs = (
            Output(name="model", path="model", bucket="b", key="model.tar.gz", mode=OutputMode.ARCHIVE),
            Output(name="data", path="data", bucket="b", key="out"),
        )
        manifest = self.run_named(backend, news, on_hosts(code, outputs=outputs))
        assert manifest.reason is None
        staged = {item.key: Path(item.path).read_bytes() for item in manifest.outputs}
        with tarfile.open(fileobj=io.BytesIO(staged.pop("model.tar.gz"))) as archive:
            names = archive.getnames()
            other = archive.extractfile("other")
            assert other is not None
            assert other.read() == b"algo-1"
        assert names == ["deep", "deep/algo-1", "deep/algo-2", "other", "same"]
        assert staged == {"out/algo-1.csv": b"algo-1", "out/algo-2.csv": b"algo-2", "out/both": b"algo-1"}
        told = [line for line in self.text(backend) if "left out" in line]
        assert told == [
            "towpath: output model: other of algo-2 was left out, algo-1 wrote another",
            "towpath: output data: both of algo-2 was left out, algo-1 wrote another",
        ]

    def test_metrics_are_read_on_every_host(self, backend: ComputeBackend, news: News) -> None:
        loss = MetricDefinition(name="loss", regex="loss=([0-9]+)")
        code = "import os; print('loss=' + os.environ['CURRENT_HOST'][-1])"
        self.run_named(backend, news, on_hosts(code, metrics=(loss,)))
        assert sorted(point.value for point in backend.metrics("job-1")) == [1.0, 2.0]

    def test_the_first_host_that_fails_ends_the_others_and_is_named(self, backend: ComputeBackend, news: News) -> None:
        code = """
            import os, signal
            if os.environ["CURRENT_HOST"] == "algo-2":
                raise ValueError("bad shard")
            signal.pause()
        """
        manifest = self.run_named(backend, news, on_hosts(code))
        assert (manifest.host, manifest.exit_code) == ("algo-2", 1)
        assert manifest.reason is not None
        assert manifest.reason.startswith("ExitCode 1: ValueError: bad shard"), manifest.reason
        assert "towpath: algo-2 has failed, so the other hosts are ended" in self.text(backend)

    def test_hosts_of_a_transform_job_need_no_names_and_survive_each_other(
        self, backend: ComputeBackend, news: News
    ) -> None:
        """They run where hosts that look for each other cannot, and longer than those have after one has failed."""
        self.need_hosts(backend)
        code = """
            import os, signal
            if os.environ["CURRENT_HOST"] == "algo-2":
                raise ValueError("bad record")
            signal.setitimer(signal.ITIMER_REAL, 3)
            signal.signal(signal.SIGALRM, lambda *_: None)
            signal.pause()
            os.makedirs("/opt/ml/data", exist_ok=True)
            open("/opt/ml/data/rest", "w").write("of algo-1")
        """
        data = Output(name="data", path="data", bucket="b", key="out", on_failure=True)
        job = replace(on_hosts(code, outputs=(data,)), kind="transform")
        manifest = self.run(backend, news, job)
        assert (manifest.host, manifest.exit_code) == ("algo-2", 1)
        assert [Path(item.path).read_bytes() for item in manifest.outputs] == [b"of algo-1"]

    def test_a_host_that_fails_of_another_ones_failure_is_told_of_too(
        self, backend: ComputeBackend, news: News
    ) -> None:
        code = """
            import os, signal, socket
            listener = socket.create_server(("algo-1", 7777)) if os.environ["CURRENT_HOST"] == "algo-1" else None
            if listener is not None:
                listener.accept()[0].recv(1)
                raise ConnectionError("algo-2 is gone")
            while True:
                try:
                    client = socket.create_connection(("algo-1", 7777))
                    break
                except ConnectionRefusedError:
                    os.sched_yield()
            os.kill(os.getpid(), signal.SIGKILL)
        """
        manifest = self.run_named(backend, news, on_hosts(code))
        assert manifest.host == "algo-2"
        assert manifest.exit_code in KILLED
        assert "SIGKILL" in str(manifest.reason)
        assert "Then algo-1: ExitCode 1: ConnectionError: algo-2 is gone" in str(manifest.reason)

    def test_all_hosts_are_stopped(self, backend: ComputeBackend, news: News) -> None:
        code = """
            import os, signal, sys
            signal.signal(signal.SIGTERM, lambda *_: (print("asked", flush=True), sys.exit(0)))
            print("started=1", flush=True)
            while True:
                signal.pause()
        """
        self.need_hosts(backend)
        job = on_hosts(code, metrics=(STARTED,))
        backend.submit(job)
        news.until(
            lambda: len(backend.metrics("job-1")) == 2 or backend.observe("job-1").phase is Phase.FINISHED, "both run"
        )
        backend.stop("job-1")
        manifest = self.finish(backend, news)
        if manifest.exit_code is None:
            pytest.skip(str(manifest.reason))
        assert manifest.stopped
        assert [self.lines(backend, host)[-1] for host in HOSTS] == ["asked", "asked"]

    def test_what_hosts_worked_on_is_tidied_and_their_logs_stay(self, backend: ComputeBackend, news: News) -> None:
        code = "import os, json; print(json.dumps(sorted(os.listdir('/opt/ml'))))"
        self.run_named(backend, news, on_hosts(code))
        assert not backend.is_tidy("job-1")
        backend.tidy("job-1")
        assert backend.is_tidy("job-1")
        assert json.loads(self.lines(backend, "algo-2")[0]) == ["code", "own.txt"]
        backend.forget("job-1")
        assert backend.log("job-1", host="algo-2").lines == []
