"""Prefect with a server of its own in a child process and its tasks in threads of this one."""

import os
import tempfile

HOME = tempfile.TemporaryDirectory(prefix="towpath-bench-")
os.environ |= {  # read when Prefect is imported
    "PREFECT_HOME": HOME.name,
    "PREFECT_LOGGING_LEVEL": "ERROR",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
}

import prefect  # noqa: E402
from answering import answer, mark, needs  # noqa: E402
from prefect import flow, task  # noqa: E402


@task
def noop() -> None:
    """Leave a mark."""
    mark()


@flow
def bench(kind: str, size: int) -> None:
    """Submit each step after those that it needs, and wait for all."""
    futures: list[prefect.futures.PrefectFuture[None]] = []
    for wanted in needs(kind, size):
        futures.append(noop.submit(wait_for=[futures[number] for number in wanted]))
    for future in futures:
        future.result()


if __name__ == "__main__":
    with HOME:
        answer(bench, prefect.__version__)
