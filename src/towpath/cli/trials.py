"""The training jobs that tuning jobs start, as `ps` shows them: left out, or by the step of their tuning job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from towpath.cli.naming import TUNING
from towpath.sdk.expressions import Document
from towpath.sdk.tuning_logs import TRIAL


def trial_of(job: Document, tuning_jobs: Mapping[str, Document]) -> tuple[Document, int] | None:
    """Return the tuning job that a training job is a trial of, and its number; None where it is none."""
    named = TRIAL.fullmatch(str(job["Name"])) if job["Kind"] == "TrainingJob" else None
    tuning = None if named is None else tuning_jobs.get(named[1])
    return None if named is None or tuning is None else (tuning, int(named[2]))


def without_trials(jobs: Sequence[Document]) -> tuple[list[Document], int]:
    """Return jobs without trials, and how many those are.

    A tuning job tells what the first of its trials that waits for the host waits for.
    """
    tuning_jobs = _tuning_jobs(jobs)
    kept: list[Document] = []
    waits: dict[str, str] = {}
    for job in jobs:
        found = trial_of(job, tuning_jobs)
        if found is None:
            kept.append(job)
        elif job["WaitingFor"]:
            waits[found[0]["Name"]] = job["WaitingFor"]  # newest first: the last one has waited longest
    told = [{**job, "WaitingFor": waits[job["Name"]]} if _is_waiting(job, waits) else job for job in kept]
    return told, len(jobs) - len(kept)


def names_of_trials(jobs: Sequence[Document], steps: Mapping[str, str]) -> dict[str, str]:
    """Return `PIPELINE/EXECUTION/STEP/NUMBER` of the trials of steps, by the ARN of the training job.

    Args:
        jobs: of all kinds.
        steps: `PIPELINE/EXECUTION/STEP` by the ARN of the tuning job.
    """
    tuning_jobs = _tuning_jobs(jobs)
    found = ((job, trial_of(job, tuning_jobs)) for job in jobs)
    return {
        job["Arn"]: f"{steps[trial[0]['Arn']]}/{trial[1]}"
        for job, trial in found
        if trial is not None and trial[0]["Arn"] in steps
    }


def _tuning_jobs(jobs: Sequence[Document]) -> dict[str, Document]:
    return {str(job["Name"]): job for job in jobs if job["Kind"] == TUNING}


def _is_waiting(job: Document, waits: Mapping[str, str]) -> bool:
    return job["Kind"] == TUNING and job["Name"] in waits
