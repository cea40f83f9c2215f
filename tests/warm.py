"""Back ends whose jobs begin warm, and how a test sees that they do."""

import json
from pathlib import Path

from towpath.compute.process import Imports, ProcessBackend
from towpath.jobs.model import Phase
from towpath.runner.folder import MANIFEST
from towpath.testing.compute import News, script

#: What the zygotes of suites import: little, since each test has its own. Their scripts import more than that.
IMPORTS = Imports(("logging", "multiprocessing", "numpy"), always=True)
#: What may keep a job of a suite from beginning warm. That a zygote was not ready, or broke, may not.
_COLD = (
    "its command is",
    "its requirements.txt",
    "it has several hosts",
    "it serves",
    "libraries may read its variables",
)


def prime(backend: ProcessBackend) -> None:
    """Have a zygote ready: the first job that could begin from one begins it."""
    news = News()
    backend.watch(news)
    backend.submit(script("pass", key="first"))
    news.until(lambda: backend.observe("first").phase is Phase.FINISHED, "the first job has ended")
    backend.forget("first")
    (zygote,) = backend.zygotes(wait_s=60)
    assert zygote.state == "ready", zygote
    assert zygote.left_out == {}
    backend.close()


def assert_warm(jobs: Path) -> None:
    """Check that all ended attempts in a folder began warm but those that may not."""
    for manifest in jobs.glob(f"*/{MANIFEST}"):
        told = json.loads(manifest.read_bytes())
        assert told["warm"] or told["exit_code"] is None or told["cold_because"].startswith(_COLD), told
