"""Every form in which a document names an exact object version is found, and nothing else is taken for one."""

import msgspec

from towpath.hosting.model import ModelState, state_document
from towpath.housekeeping.model import VersionKey
from towpath.housekeeping.references import references
from towpath.jobs.channels import PinnedInput, PinnedObject
from towpath.jobs.state import Run, with_run
from towpath.kernel.objects import ObjectRef
from towpath.objects.manifest import ManifestFile
from towpath.registry.packages import PackageState
from towpath.registry.packages import state_document as package_document

PINNED = PinnedObject(path="data/a", bucket="lake", key="a/b", version_id="v7", size=3, sha256="0" * 64)
INPUT = PinnedInput(name="train", uri="s3://lake/a", path="data", objects=(PINNED,))
KEY = VersionKey("lake", "a/b", "v7")


def test_the_inputs_of_jobs_models_and_packages_are_found() -> None:
    run = Run(attempt=1, key="u-1", image="i", python="p", environment="e", inputs=(INPUT,))
    documents = [
        with_run({}, run),
        state_document(ModelState(image="i", inputs=(INPUT,))),
        package_document(PackageState(model_data=(INPUT,))),
        package_document(PackageState(reports=(INPUT,))),
    ]
    for document in documents:
        assert list(references(document)) == [KEY], document


def test_the_files_of_a_dataset_version_are_found() -> None:
    files = [ManifestFile("a", "lake", "a/b", "v7", 3, "0" * 64), ManifestFile("c", "lake", "c", "v1", 0, "f" * 64)]
    assert set(references({"Manifest": msgspec.to_builtins(files)})) == {KEY, VersionKey("lake", "c", "v1")}


def test_references_as_mappings_are_found() -> None:
    assert list(references({"Where": [msgspec.to_builtins(ObjectRef("lake", "a/b", "v7"))]})) == [KEY]
    assert list(references({"S3Uri": "s3://lake/a/b", "VersionId": "v7"})) == [KEY]
    assert list(references({"uri": "s3://lake/a/b", "version_id": "v7", "sha256": "0" * 64})) == [KEY]


def test_other_documents_name_no_version() -> None:
    assert list(references({"S3Uri": "s3://lake/a/b", "Parts": ["a", "b", "c", "d", 5, "not a digest"]})) == []
    assert list(references({"VersionId": "v7", "S3Uri": "s3:///nowhere", "Bucket": 3, "Key": None})) == []
    assert list(references([[], {}, None, 1.5, "s3://lake/a"])) == []
