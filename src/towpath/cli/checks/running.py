"""Whether a server runs, and whether it gets on."""

from __future__ import annotations

from collections.abc import Iterator

from towpath.cli.checks.check import OK, WARNING, WRONG, Check
from towpath.home import HomeFolder


def running_checks(home: HomeFolder) -> Iterator[Check]:
    """Look at the server of a home that is there."""
    yield _server(home)
    yield from _held_up(home)


def _server(home: HomeFolder) -> Check:
    server, holder = home.running_server(), home.holder()
    if server is not None:
        return Check(name="server", state=OK, detail=f"{server.version} answers at {server.url} (process {server.pid})")
    if holder is not None:
        return Check(name="server", state=WARNING, detail=f"process {holder} holds the home and does not answer yet")
    return Check(name="server", state=OK, detail="none runs; start one with: towpath up")


def _held_up(home: HomeFolder) -> Iterator[Check]:
    """Say about what the server that runs can decide nothing."""
    from towpath.sdk import Client
    from towpath.sdk.errors import ClientError

    if home.running_server() is None:
        return
    try:
        with Client(home=home.path) as client:
            found = client.call("Towpath.DescribeHeldUpWork", {})["HeldUp"]
    except ClientError as error:
        yield Check(name="work", state=WARNING, detail=f"the server does not tell what is held up: {error}")
        return
    if not found:
        yield Check(name="work", state=OK, detail="nothing is held up")
    for each in found:
        yield Check(name="work", state=WRONG, detail=f"{each['ResourceArn']}: {each['Reason']}")
