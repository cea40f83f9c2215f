"""Versioned objects and datasets."""

from towpath.objects.check_outs import DatasetUse, check_out_inputs, dataset_versions_of
from towpath.objects.datasets import create_default_bucket, import_folder, operations
from towpath.objects.folder import FolderObjects
from towpath.objects.kinds import KINDS

__all__ = [
    "KINDS",
    "DatasetUse",
    "FolderObjects",
    "check_out_inputs",
    "create_default_bucket",
    "dataset_versions_of",
    "import_folder",
    "operations",
]
