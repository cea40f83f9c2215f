"""Jobs without a pipeline, by both majors of the SageMaker SDK, waited for with their logs, and what comes of them.

Their programs run side by side: with its log shown, the SDK 2 and the processors of 3 ask only every half minute of the
clock whether a job has ended, however short it was.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.acceptance.conftest import Machine
from tests.clients.lanes.conftest import PROGRAMS, Outcome, made_lane

pytestmark = [pytest.mark.slow, pytest.mark.clients, pytest.mark.timeout(900)]

Run = Callable[[str], Outcome]


@pytest.fixture(scope="module")
def jobs(server: Machine, raw_reviews: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a function that gives how the program of an SDK ended."""

    def run(name: str) -> Outcome:
        sdk = made_lane(name, server, tmp_path_factory.mktemp(name))
        return sdk.run(PROGRAMS / f"jobs_{name}.py", "--reviews", raw_reviews, patience_s=800)

    with ThreadPoolExecutor() as pool:
        runs: dict[str, Future[Outcome]] = {name: pool.submit(run, name) for name in ("sagemaker2", "sagemaker3")}
    return lambda name: runs[name].result()


@pytest.mark.parametrize("name", ["sagemaker2", "sagemaker3"])
def test_jobs_are_waited_for_and_their_logs_shown(jobs: Run, name: str) -> None:
    outcome = jobs(name)
    assert '"raw_rows": 23486' in outcome.out, "the log of the processing job"
    # The SDK 3 hands what a training job and a transform job print to the module logging.
    told = outcome.out if name == "sagemaker2" else outcome.error
    assert "validation:accuracy=" in told
    assert "test:accuracy=" in outcome.out, "the log of the job with a source folder"
    assert "metrics ['validation:accuracy']" in outcome.out
    assert f"tuned jobs-{name}-" in outcome.out, "the best training job of a tuner"
    assert "Transformed 1 file: 2 records" in told, "the log of the transform job"
    assert "labels ['positive', 'negative']" in outcome.out


@pytest.mark.parametrize("name", ["sagemaker2", "sagemaker3"])
def test_what_was_trained_is_packed_with_its_code_deployed_and_asked(jobs: Run, name: str) -> None:
    outcome = jobs(name)
    assert "answer positive" in outcome.out, "by estimator.deploy and by ModelBuilder.build and deploy"
    if name == "sagemaker3":
        assert "model jobs-sagemaker3 inference.py" in outcome.out


@pytest.mark.parametrize("name", ["sagemaker2", "sagemaker3"])
def test_a_batch_is_answered_by_a_transformer(jobs: Run, name: str) -> None:
    assert "answers ['positive', 'negative']" in jobs(name).out
