"""`towpath deploy` and `towpath invoke`."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from towpath.cli.console import busy, is_terminal, note, say, say_as_it_is, show_json
from towpath.cli.options import EXAMPLE_VERSION, HomeOption, JsonOption, connect
from towpath.cli.server import folder
from towpath.home import HomeFolder
from towpath.sdk.errors import ClientError, DefinitionError, ModelError, NotFound, RequestFailed
from towpath.sdk.known import nothing_called
from towpath.sdk.registry import ModelVersion


@contextmanager
def waiting_for_endpoint(text: str, home: HomeFolder) -> Iterator[None]:
    """Show that an endpoint is waited for; on Ctrl-C say that it goes on without us."""
    try:
        with busy(text):
            yield
    except KeyboardInterrupt:
        note(f"\nNot waited for any longer: what the endpoint has begun goes on. See it: towpath ps{home.option}")
        raise


def deploy(
    version: Annotated[str, typer.Argument(metavar="GROUP/VERSION", help=EXAMPLE_VERSION)],
    endpoint: Annotated[str | None, typer.Option("--endpoint", "-e", help="Default: the group's name.")] = None,
    wait: Annotated[bool, typer.Option("--wait/--detach", help="Return when it answers, or at once.")] = True,
    timeout_s: Annotated[float, typer.Option("--timeout", help="Seconds to wait for it.")] = 600.0,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Put an approved model version behind an endpoint.

    An existing endpoint is switched without a gap.

    Example: towpath deploy reviews/3 --endpoint reviews
    """
    client = connect(home)
    with waiting_for_endpoint(f"Waiting until the endpoint answers with {version}", folder(home)):
        done = client.deploy(version, endpoint=endpoint, wait=wait, timeout_s=timeout_s)
    if as_json:
        show_json(
            {
                "EndpointName": done.endpoint,
                "EndpointStatus": done.status,
                "EndpointConfigName": done.config,
                "ModelPackageArn": done.version.arn,
            }
        )
        return
    say(f"Endpoint {done.endpoint} is {done.status} with {done.version.name}")
    say_as_it_is(f"Try it: towpath invoke {done.endpoint} {how_to_send(done.version)}")


def how_to_send(version: ModelVersion) -> str:
    """Return the options with which a model is sent what its version says that it takes, and who says so.

    Versions say application/json where their author named nothing, so that it may not be what the model takes.
    """
    takes = (version.described.get("InferenceSpecification") or {}).get("SupportedContentTypes") or ()
    if not takes:
        return "--json '…', --text '…' or --file FILE, whichever its model takes"
    plain = [str(each).partition(";")[0].strip().lower() for each in takes]
    options = dict.fromkeys(_OPTIONS.get(each, f"--file FILE --content-type {shlex.quote(each)}") for each in plain)
    said = f"{version.name} says that it takes {', '.join(dict.fromkeys(plain))}"
    return f"{' or '.join(options)}   ({said}; other content by --json, --text, --file)"


def invoke(
    endpoint: Annotated[str, typer.Argument(metavar="ENDPOINT", help="Its name, see `towpath ps`.")],
    json_text: Annotated[str | None, typer.Option("--json", "-j", metavar="JSON", help="JSON to send.")] = None,
    text: Annotated[str | None, typer.Option("--text", metavar="TEXT", help="Plain text to send.")] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="File to send.")] = None,
    content_type: Annotated[str | None, typer.Option("--content-type", help="Of what is sent.")] = None,
    accept: Annotated[str, typer.Option("--accept", help="Content type of the answer.")] = "application/json",
    home: HomeOption = None,
) -> None:
    """Ask the model behind an endpoint and print its answer.

    What to send may come from standard input.

    Example: towpath invoke reviews --json '{"text": "Love this dress!"}'
    """
    body, kind = _body(json_text, text, file)
    client = connect(home)
    try:
        answer = client.invoke(endpoint, body, content_type=content_type or kind, accept=accept)
    except ModelError as fault:
        raise ClientError(f"{fault.message}\nIts log: towpath logs {endpoint}") from fault
    except RequestFailed as refused:
        known = [str(each["EndpointName"]) for each in client.pages("SageMaker.ListEndpoints", "Endpoints")]
        if endpoint in known:
            raise
        missing = NotFound(refused.code, refused.message, status=refused.status)
        make = "make one: towpath deploy GROUP/VERSION"
        raise nothing_called("endpoint", endpoint, known, missing, make=make) from refused
    if is_terminal() and answer.content_type.startswith("application/json"):
        show_json(answer.json())
        return
    sys.stdout.buffer.write(answer.body)
    if is_terminal() or not answer.body.endswith(b"\n"):
        sys.stdout.buffer.write(b"\n")
    sys.stdout.buffer.flush()


def _body(json_text: str | None, text: str | None, file: Path | None) -> tuple[bytes, str]:
    """Return what to send and its content type."""
    if sum(given is not None for given in (json_text, text, file)) > 1:
        raise typer.BadParameter("give one of --json, --text and --file")
    if json_text is not None:
        try:
            json.loads(json_text)
        except ValueError as fault:
            raise typer.BadParameter(f"not JSON: {fault}", param_hint="'--json'") from fault
        return json_text.encode(), "application/json"
    if text is not None:
        return text.encode(), "text/plain"
    if file is not None:
        try:
            content = file.read_bytes()
        except OSError as fault:
            raise DefinitionError(f"{file} cannot be read: {fault.strerror}") from fault
        return content, _TYPES.get(file.suffix.lower(), "application/octet-stream")
    if sys.stdin.isatty():
        raise typer.BadParameter(_NOTHING_TO_SEND)
    piped = sys.stdin.buffer.read()
    if not piped:  # as where there is no standard input; who means an empty body says --text ""
        raise typer.BadParameter(f"standard input is empty; {_NOTHING_TO_SEND}")
    return piped, "application/json"


_NOTHING_TO_SEND = "give --json, --text or --file, or send something into standard input"
#: Content type -> what sends it.
_OPTIONS = {
    "application/json": "--json '…'",
    "text/plain": "--text '…'",
    "text/csv": "--file FILE.csv",
}
_TYPES = {".json": "application/json", ".csv": "text/csv", ".txt": "text/plain"}
