"""Backups of a home: taken while it is in use, checked by their digests, and restored into an empty folder.

A backup is a tar file. It holds, in this order: what it is (`towpath-backup.json`), the store as it stood at one
moment, the settings, the bytes of every object version that the store refers to, the logs of jobs that had ended, and
the SHA-256 of all of them. Where the bytes lie in a bucket they stay there: the backup says in which, and the store
names the keys, each of which is used once. What a job or a model server works with is not in it: those are started
again.
"""

from towpath.backup.archive import Backup, Description
from towpath.backup.restoring import restore
from towpath.backup.taking import back_up

__all__ = ["Backup", "Description", "back_up", "restore"]
