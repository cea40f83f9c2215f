"""A back end whose jobs take no time, to see what all the rest costs."""

from collections.abc import Callable
from datetime import UTC, datetime

from towpath.compute.process import ProcessBackend
from towpath.home import HomeFolder
from towpath.jobs.model import JobObservation, JobSpec, Manifest, Phase


class InstantBackend(ProcessBackend):
    """Runs nothing: every job has ended well as soon as it is submitted."""

    def __init__(self, home: HomeFolder) -> None:
        super().__init__(home.jobs, home=home.path, sandbox="paths")
        self.ended: dict[str, JobObservation] = {}  #: by key of the job

    def submit(self, job: JobSpec) -> None:
        now = datetime.now(UTC)
        manifest = Manifest(key=job.key, exit_code=0, reason=None, started_at=now, ended_at=now)
        self.ended[job.key] = JobObservation(phase=Phase.FINISHED, started_at=now, manifest=manifest)

    def observe(self, key: str) -> JobObservation:
        return self.ended.get(key, JobObservation(phase=Phase.ABSENT))

    def watch(self, wake: Callable[[str], None]) -> None:
        """There is nothing to watch."""
