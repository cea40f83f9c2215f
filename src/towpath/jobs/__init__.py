"""Jobs: what a request becomes, how an attempt is followed, and what a job sees."""

from towpath.jobs.contract import Surroundings
from towpath.jobs.controller import JobController
from towpath.jobs.images import Environment, ImageMap, Interpreter
from towpath.jobs.kinds import KINDS, PROCESSING_JOB, TRAINING_JOB, TRANSFORM_JOB, JobStatus, is_terminal
from towpath.jobs.service import Jobs
from towpath.jobs.state import attempt_keys, run_of, uid_of
from towpath.jobs.strategies import PROCESSING, STRATEGIES, TRAINING, TRANSFORM

__all__ = [
    "KINDS",
    "PROCESSING",
    "PROCESSING_JOB",
    "STRATEGIES",
    "TRAINING",
    "TRAINING_JOB",
    "TRANSFORM",
    "TRANSFORM_JOB",
    "Environment",
    "ImageMap",
    "Interpreter",
    "JobController",
    "JobStatus",
    "Jobs",
    "Surroundings",
    "attempt_keys",
    "is_terminal",
    "run_of",
    "uid_of",
]
