"""Versioned objects and datasets."""

from towpath.objects.folder import FolderObjects

__all__ = ["FolderObjects"]
