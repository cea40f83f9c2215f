"""Very many steps, jobs and executions on a real server: all end once, lists hold all, memory stays bounded."""

import socketserver
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.conftest import Machine, clients, wait_for_execution

from towpath.testing.many_steps import ROLE, conditions, jobs, processing

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

STEPS = 2_000  #: of one execution, that start nothing
JOBS = 200  #: of one execution
EXECUTIONS = 100  #: at once, of one job each
PAGE = 100
#: More memory than the server has held before, while 2,000 steps are checked, run and listed. Measured: 6 KB a step.
MOST_BYTES_A_STEP = 15_000
#: The same while all of that is done a second time: what is kept of an execution goes with it.
MOST_BYTES_AGAIN = 8_000_000
#: Tells the test, outside of the platform, that it has run. An argument has at most 256 characters.
JOB = """
import json, socket, sys
line = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
job = json.load(open("/opt/ml/config/processingjobconfig.json"))
line.sendall(job["ProcessingJobName"].encode())
line.shutdown(1)
assert line.recv(9)
"""


@contextmanager
def hearing() -> Iterator[tuple[int, Counter[str]]]:
    """Listen on loopback; return the port, and how often each job has said its name there."""
    heard: Counter[str] = Counter()
    lock = threading.Lock()

    class Line(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            name = self.rfile.read().decode()
            with lock:
                heard[name] += 1
            self.wfile.write(b"heard")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Line) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield int(server.server_address[1]), heard
        server.shutdown()
        thread.join()


def most_resident_bytes(pid: int) -> int:
    """Return the most memory that a process has held. Source: proc_pid_status(5), VmHWM."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) * 1024


def steps_of(sagemaker: Any, arn: str, order: str) -> list[dict[str, Any]]:
    """Return the steps of an execution, page after page."""
    pages = sagemaker.get_paginator("list_pipeline_execution_steps").paginate(
        PipelineExecutionArn=arn, SortOrder=order, PaginationConfig={"PageSize": PAGE}
    )
    return [step for page in pages for step in page["PipelineExecutionSteps"]]


def started(sagemaker: Any, pipeline: str, number: int = 0) -> str:
    token = f"{pipeline}-{number}".ljust(32, "-")
    return str(
        sagemaker.start_pipeline_execution(PipelineName=pipeline, ClientRequestToken=token)["PipelineExecutionArn"]
    )


def test_an_execution_of_very_many_steps_ends_is_listed_page_by_page_and_leaves_no_memory(machine: Machine) -> None:
    server = machine.up()
    aws = clients(machine)
    sagemaker = aws["sagemaker"]
    aws["s3"].create_bucket(Bucket="definitions")

    def run(pipeline: str, count: int, number: int = 0) -> int:
        """Run a chain and look at all of it; return the most memory that the server has held until then."""
        arn = started(sagemaker, pipeline, number)
        assert wait_for_execution(sagemaker, arn)["PipelineExecutionStatus"] == "Succeeded"
        begun = [f"s{at}" for at in range(count)]
        forth = steps_of(sagemaker, arn, "Ascending")
        assert [step["StepName"] for step in forth] == begun
        assert [step["StepName"] for step in steps_of(sagemaker, arn, "Descending")] == begun[::-1]
        assert {step["StepStatus"] for step in forth} == {"Succeeded"}
        return most_resident_bytes(server.pid)

    for name, count in (("few", PAGE), ("many", STEPS)):
        aws["s3"].put_object(Bucket="definitions", Key=name, Body=conditions(count).encode())
        sagemaker.create_pipeline(
            PipelineName=name,
            PipelineDefinitionS3Location={"Bucket": "definitions", "ObjectKey": name},
            RoleArn=ROLE,
        )
        if name == "few":
            before = run(name, count)
    after = run("many", STEPS)
    assert after - before < STEPS * MOST_BYTES_A_STEP
    assert run("many", STEPS, 1) - after < MOST_BYTES_AGAIN


def test_very_many_jobs_and_executions_at_once_each_run_once(machine: Machine) -> None:
    machine.up()
    sagemaker = clients(machine)["sagemaker"]
    with hearing() as (port, heard):
        job = processing(JOB, str(port))
        for name, count in (("wide", JOBS), ("one", 1)):
            definition = jobs(count, job, chained=False)
            sagemaker.create_pipeline(PipelineName=name, PipelineDefinition=definition, RoleArn=ROLE)
        wide = started(sagemaker, "wide")
        with ThreadPoolExecutor(8) as starters:
            arns = list(starters.map(lambda number: started(sagemaker, "one", number), range(EXECUTIONS)))
        for arn in (*arns, wide):
            assert wait_for_execution(sagemaker, arn)["PipelineExecutionStatus"] == "Succeeded"
    steps = [step for arn in (*arns, wide) for step in steps_of(sagemaker, arn, "Ascending")]
    assert {(step["StepStatus"], step["AttemptCount"]) for step in steps} == {("Succeeded", 1)}
    ran = Counter(step["Metadata"]["ProcessingJob"]["Arn"].rpartition("/")[2] for step in steps)
    assert len(ran) == JOBS + EXECUTIONS
    assert heard == ran, "each job has run once, and no other"
    listed = sagemaker.get_paginator("list_pipeline_executions").paginate(
        PipelineName="one", PaginationConfig={"PageSize": 30}
    )
    shown = [each for page in listed for each in page["PipelineExecutionSummaries"]]
    assert sorted(each["PipelineExecutionArn"] for each in shown) == sorted(arns)
    assert {each["PipelineExecutionStatus"] for each in shown} == {"Succeeded"}
