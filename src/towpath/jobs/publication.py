"""Brings what attempts made among the objects, a portion at a time, so that nobody else's writes wait long for it.

An attempt makes increments while it runs and outputs when it ends: a sequence of files whose names as versions and
blobs follow from their places in it. Each portion is published by a decision of its own, which writes down how far the
sequence is published; the last portion of the outputs comes with the end of the job.
"""

from collections.abc import Sequence

from towpath.jobs.decisions import Adopt, Publish
from towpath.jobs.model import Increment, JobObservation, Manifest, Phase, StagedFile
from towpath.jobs.results import blob_of, versions_of, versions_of_increments
from towpath.jobs.state import Place, Run
from towpath.kernel.objects import ObjectStore, ObjectVersion
from towpath.kernel.ports import Transaction
from towpath.kernel.resource import Resource

MANY_FILES = 64  #: of a portion with more than these the files are taken in before the transaction that publishes it
PORTION = 1000  #: outputs of an ended attempt that one transaction publishes at most
_SENT_TOGETHER = 64  #: files that travel between two looks


def next_increments(run: Run, seen: JobObservation) -> list[Increment]:
    """Return the increments to publish next."""
    return [item for item in seen.increments if item.number > run.published][:MANY_FILES]


def next_outputs(run: Run, manifest: Manifest) -> range:
    """Return the places of the outputs to publish next."""
    return range(run.outputs, min(run.outputs + PORTION, len(manifest.outputs)))


def ends_with(run: Run, manifest: Manifest) -> bool:
    """Return whether the next portion of the outputs is the last one, which is published with the end of the job."""
    return next_outputs(run, manifest).stop == len(manifest.outputs)


class Publication:
    """Takes the files of attempts in among the blobs, and writes the rows that show them."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._taken_in: dict[str, Place] = {}  #: how far this process has taken files in, by attempt

    def awaited(self, resource: Resource, run: Run, seen: JobObservation) -> Adopt | None:
        """Return which files are to be taken in before the next portion is published, None for none.

        In the transaction they would hold up everybody else's writes: they are many, or have to travel. Where this
        process does not know that it took them in they are taken in again, which changes nothing.
        """
        versions: Sequence[tuple[ObjectVersion, StagedFile]]
        taken_in = self._taken_in.get(run.key, run.place)
        made = next_increments(run, seen)
        if made:
            if not self._objects.is_far:
                return None
            made = [item for item in made if item.number > taken_in.published]
            versions = versions_of_increments(made, resource, run.key, resource.modified_at)
            until = Place(made[-1].number if made else run.published, run.outputs)
        elif seen.phase is Phase.FINISHED and seen.manifest is not None:
            places = next_outputs(run, seen.manifest)
            if not self._objects.is_far and len(places) <= MANY_FILES:
                return None
            start = max(places.start, taken_in.outputs)
            some = places[start - places.start :][: _SENT_TOGETHER if self._objects.is_far else None]
            versions = versions_of(seen.manifest, resource, run.key, resource.modified_at, some)
            until = Place(run.published, some.stop)
        else:
            return None
        if not versions:
            return None
        return Adopt(run.key, tuple((staged.path, blob_of(version)) for version, staged in versions), until)

    def take_in(self, taken: Adopt) -> None:
        """Take the files in."""
        self._objects.adopt_all(taken.files)
        self._taken_in[taken.key] = taken.until

    def publish(self, transaction: Transaction, portion: Publish) -> None:
        """Make the versions of a portion visible; what was not taken in before is taken in here.

        The names of the blobs follow from the attempt, so a repeat after a crash finds the files already there.
        """
        for bucket in {version.bucket for version, _ in portion.versions}:
            transaction.objects.create_bucket(bucket, transaction.now)
        if self._taken_in.get(portion.key, Place()) < portion.until:
            self._objects.adopt_all([(path, blob_of(version)) for version, path in portion.versions])
        transaction.objects.put_all([version for version, _ in portion.versions])

    def forget(self, key: str) -> None:
        """Forget how far an attempt's files were taken in: they are published."""
        self._taken_in.pop(key, None)
