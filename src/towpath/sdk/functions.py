"""Functions: Python code that is called by name, by the operations of AWS Lambda."""

from __future__ import annotations

import base64
import io
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from towpath.sdk.errors import Conflict, DefinitionError, FunctionFailed, NotFound
from towpath.sdk.expressions import Document
from towpath.sdk.known import nothing_called
from towpath.sdk.logs import LogLine, group_lines

if TYPE_CHECKING:
    from towpath.sdk.client import Client

HANDLER = "handler"  #: name of the function in a file, where none is given
_PATH = "/2015-03-31/functions"
_ROLE = "arn:aws:iam::000000000000:role/towpath"  #: a label here
_EARLIEST = (1980, 1, 1, 0, 0, 0)  #: time of a file in an archive: the same file gives the same bytes


@dataclass(frozen=True, kw_only=True)
class Function:
    """A function."""

    name: str
    arn: str
    handler: str  #: MODULE.FUNCTION
    runtime: str
    timeout_s: int
    memory_mb: int
    changed_at: str  #: ISO 8601
    code_sha256: str  #: base64


class Functions:
    """The functions of a server."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def create(
        self,
        name: str,
        source: str | Path,
        *,
        timeout_s: int | None = None,
        memory_mb: int | None = None,
        environment: Mapping[str, str] | None = None,
        runtime: str | None = None,
    ) -> Function:
        """Make a function, or change the one of that name: its code, and what is given beside it.

        Args:
            source: `FILE.py[:FUNCTION]`, or `FILE.zip:MODULE.FUNCTION` for more than one file.
            timeout_s: that one call may take, 1 to 900; 3 where nothing is said of a new one.
            memory_mb: that one call may use, 128 to 10240; 128 where nothing is said of a new one.
            environment: variables.
            runtime: `python3.11`, for example; that of this Python where nothing is said of a new one.
        Raises:
            DefinitionError: there is no such file, or it names no handler.
            RequestFailed: the server refuses it.
        """
        archive, handler = packed(source)
        code = base64.b64encode(archive).decode()
        told: Document = {
            "Handler": handler,
            **({} if timeout_s is None else {"Timeout": timeout_s}),
            **({} if memory_mb is None else {"MemorySize": memory_mb}),
            **({} if environment is None else {"Environment": {"Variables": dict(environment)}}),
        }
        own = runtime or f"python{sys.version_info.major}.{sys.version_info.minor}"
        try:
            made = self._client.send_json(
                "POST", _PATH, {"FunctionName": name, "Role": _ROLE, "Runtime": own, "Code": {"ZipFile": code}, **told}
            )
        except Conflict:
            asked = {**told, **({} if runtime is None else {"Runtime": runtime})}
            self._client.send_json("PUT", f"{_PATH}/{quote(name, safe='')}/configuration", asked)
            made = self._client.send_json("PUT", f"{_PATH}/{quote(name, safe='')}/code", {"ZipFile": code})
        return _function(made)

    def ls(self) -> list[Function]:
        """Return all functions, by name."""
        found: list[Function] = []
        marker = ""
        while True:
            page = self._client.get_json(f"{_PATH}?Marker={quote(marker, safe='')}" if marker else _PATH)
            found += [_function(each) for each in page["Functions"]]
            marker = page.get("NextMarker") or ""
            if not marker:
                return found

    def find(self, name: str) -> Function:
        """Return a function.

        Raises:
            NotFound: there is none of that name.
        """
        try:
            return _function(self._client.get_json(f"{_PATH}/{quote(name, safe='')}/configuration"))
        except NotFound as missing:
            raise self._none(name, missing) from missing

    def _none(self, name: str, missing: NotFound) -> NotFound:
        known = (each.name for each in self.ls())
        return nothing_called("function", name, known, missing, make="make one: towpath functions create NAME FILE.py")

    def invoke(self, name: str, payload: Any = None) -> Any:
        """Call a function, wait for it, and return what it returns.

        Args:
            payload: what JSON has a word for; an empty object where nothing is given.
        Raises:
            FunctionFailed: it raised an exception, ran out of time or memory, or could not be imported.
            NotFound: there is no such function.
        """
        asked = json.dumps({} if payload is None else payload).encode()
        try:
            answer = self._client.send("POST", self._calls(name), asked)
        except NotFound as missing:
            raise self._none(name, missing) from missing
        told = json.loads(answer.body)
        if "x-amz-function-error" in answer.headers:
            raise FunctionFailed(name, told)
        return told

    def start(self, name: str, payload: Any = None) -> None:
        """Have a function called, and wait for nothing. It is tried up to three times until it succeeds."""
        body = json.dumps({} if payload is None else payload).encode()
        self._client.send("POST", self._calls(name), body, headers={"X-Amz-Invocation-Type": "Event"})

    def logs(self, name: str, *, calls: int = 10) -> Iterator[LogLine]:
        """Yield what the last calls of a function have printed, the oldest of them first."""
        return group_lines(self._client, f"/aws/lambda/{name}", newest=calls)

    def delete(self, name: str) -> None:
        """Remove a function. Calls that were begun go on.

        Raises:
            NotFound: there is none of that name.
        """
        self._client.send("DELETE", f"{_PATH}/{quote(name, safe='')}", None)

    @staticmethod
    def _calls(name: str) -> str:
        return f"{_PATH}/{quote(name, safe='')}/invocations"


def packed(source: str | Path) -> tuple[bytes, str]:
    """Return (archive, handler) of a source: `FILE.py[:FUNCTION]` or `FILE.zip:MODULE.FUNCTION`.

    Raises:
        DefinitionError: there is no such file, or it names no handler.
    """
    name, colon, function = str(source).rpartition(":")
    path = Path(name if colon else str(source))
    function = function if colon else ""
    if not path.is_file():
        raise DefinitionError(f"there is no file {path}; expected FILE.py[:FUNCTION] or FILE.zip:MODULE.FUNCTION")
    if path.suffix == ".zip":
        if "." not in function:
            raise DefinitionError(f"{path} holds many files: name its handler, {path}:MODULE.FUNCTION")
        return path.read_bytes(), function
    if path.suffix != ".py" or not path.stem.isidentifier():
        raise DefinitionError(f"{path} is no Python module; expected FILE.py[:FUNCTION] or FILE.zip:MODULE.FUNCTION")
    import zipfile  # for what few calls need

    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(path.name, _EARLIEST), path.read_bytes())
    return stream.getvalue(), f"{path.stem}.{function or HANDLER}"


def _function(told: Document) -> Function:
    return Function(
        name=told["FunctionName"],
        arn=told["FunctionArn"],
        handler=told["Handler"],
        runtime=told["Runtime"],
        timeout_s=told["Timeout"],
        memory_mb=told["MemorySize"],
        changed_at=told["LastModified"],
        code_sha256=told["CodeSha256"],
    )
