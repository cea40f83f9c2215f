"""Where a step's code comes from: the git commit and whether it was changed since, for the lineage."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

#: What a tag's value may hold. Source: SageMaker API, `TagValue`.
_TAG_VALUE = re.compile(r"[\w\s.:/=+\-@]{0,256}")


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """The state of the working tree that a step's code was taken from."""

    commit: str | None = None  #: full hash; None where there is no git
    dirty: bool = False  #: files below the project's folder differ from the commit, or are not in it
    repository: str | None = None  #: address of the remote, without credentials

    def tags(self, tree: str) -> list[dict[str, str]]:
        """Return the tags that tell the platform where code came from.

        Args:
            tree: digest of the code itself.
        """
        tags = {"towpath:code-tree": f"sha256:{tree}"}
        if self.commit is not None:
            tags["towpath:code-commit"] = self.commit
            tags["towpath:code-dirty"] = "true" if self.dirty else "false"
        if self.repository is not None and _TAG_VALUE.fullmatch(self.repository):
            tags["towpath:code-repository"] = self.repository
        return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def provenance(folder: Path) -> Provenance:
    """Return where the files in `folder` come from. A folder that git does not follow has no commit."""
    tracked = _git(folder, "ls-files", "--", ".")
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    # A project inside an ignored folder of some other repository has nothing to do with that repository's commit.
    if not tracked or not commit:
        return Provenance()
    changed = _git(folder, "status", "--porcelain", "--untracked-files=normal", "--", ".")
    remote = _git(folder, "config", "--get", "remote.origin.url")
    return Provenance(
        commit=commit,
        dirty=changed != "",
        repository=without_credentials(remote) if remote else None,
    )


def without_credentials(address: str) -> str:
    """Return a repository's address without user, password, query and fragment."""
    if "://" not in address:
        return address  # a path, or git@host:path, which holds no secret
    parts = urlsplit(address)
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    return urlunsplit((parts.scheme, f"{host}:{parts.port}" if parts.port else host, parts.path, "", ""))


def _git(folder: Path, *arguments: str) -> str | None:
    """Return what git prints, or None where git is absent, refuses, or takes too long."""
    # Variables of a hook or another repository would make git answer for that one.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    import subprocess  # here alone, as the module is imported with the client

    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, env=clean, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else None
