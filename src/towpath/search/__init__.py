"""Searching resources by their properties."""

from towpath.search.service import Search

__all__ = ["Search"]
