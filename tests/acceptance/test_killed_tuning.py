"""The server is killed at random moments while it tunes, and each training job is started once with what it would."""

import os
import random
import threading
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.acceptance.conftest import Machine, clients, wait_for_tuning
from tests.acceptance.test_crashes import kill_and_wait
from tests.golden.story import BUCKET, script
from tests.golden.story import training as arguments

pytestmark = [pytest.mark.acceptance, pytest.mark.faults, pytest.mark.timeout(1200)]

SEED = int(os.environ.get("TOWPATH_TEST_SEED", random.SystemRandom().randrange(10**6)))
KILLS = 6
JOBS = 30
TRAIN = """
import argparse
asked = argparse.ArgumentParser()
asked.add_argument("--rate", type=float)
rate = asked.parse_args().rate
print("begun", flush=True)
print(f"accuracy={1 - abs(rate - 0.3):.6f}", flush=True)
"""


def tune(sagemaker: Any, name: str) -> None:
    """Create a tuning job that draws thirty rates."""
    definition = arguments("tuned", "s3://unused")
    del definition["InputDataConfig"]
    static = definition.pop("HyperParameters")
    del static["trees"]
    sagemaker.create_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=name,
        HyperParameterTuningJobConfig={
            "Strategy": "Random",
            "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "accuracy"},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": JOBS, "MaxParallelTrainingJobs": 3},
            "ParameterRanges": {"ContinuousParameterRanges": [{"Name": "rate", "MinValue": "0", "MaxValue": "1"}]},
            "RandomSeed": 7,
        },
        TrainingJobDefinition={"StaticHyperParameters": static, **definition},
    )


def tried(sagemaker: Any, name: str) -> list[tuple[str, str]]:
    """Return number and rate of each training job of a tuning job."""
    pages = sagemaker.get_paginator("list_training_jobs_for_hyper_parameter_tuning_job")
    return [
        (job["TrainingJobName"].removeprefix(f"{name}-")[:3], job["TunedHyperParameters"]["rate"])
        for page in pages.paginate(HyperParameterTuningJobName=name)
        for job in page["TrainingJobSummaries"]
    ]


def test_a_server_that_is_killed_again_and_again_tunes_as_one_that_is_not(machine: Machine) -> None:
    print(f"moments drawn with TOWPATH_TEST_SEED={SEED}")
    chance = random.Random(SEED)
    server = machine.up()
    aws = clients(machine)
    aws["s3"].create_bucket(Bucket=BUCKET)
    aws["s3"].put_object(Bucket=BUCKET, Key="code/tuned.tar.gz", Body=script(TRAIN, "train.py"))
    began = time.monotonic()
    tune(aws["sagemaker"], "undisturbed")
    assert wait_for_tuning(aws["sagemaker"], "undisturbed")["HyperParameterTuningJobStatus"] == "Completed"
    # All of them together leave it half of its length, so that it goes on after the last one.
    longest = (time.monotonic() - began) / 2 / KILLS
    tune(aws["sagemaker"], "disturbed")
    for _ in range(KILLS):
        # The moment was drawn; waiting for it is no wait for anything that the test should see happen instead.
        threading.Event().wait(chance.uniform(0, longest))
        kill_and_wait(server.pid)
        killed_at = datetime.now(UTC)
        server = machine.up()
    aws = clients(machine)
    shown = wait_for_tuning(aws["sagemaker"], "disturbed")
    assert shown["HyperParameterTuningJobStatus"] == "Completed"
    assert shown["HyperParameterTuningEndTime"] > killed_at, "it was killed while it tuned"
    assert shown["TrainingJobStatusCounters"]["Completed"] == JOBS
    assert tried(aws["sagemaker"], "disturbed") == tried(aws["sagemaker"], "undisturbed")
    jobs = aws["sagemaker"].list_training_jobs(NameContains="disturbed-", MaxResults=100)["TrainingJobSummaries"]
    assert len([job for job in jobs if job["TrainingJobName"].startswith("disturbed-")]) == JOBS
    for job in jobs:
        events = aws["logs"].filter_log_events(
            logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix=f"{job['TrainingJobName']}/"
        )["events"]
        assert [event["message"] for event in events].count("begun") == 1, job["TrainingJobName"]
