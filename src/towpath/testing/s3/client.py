"""A client of an S3 front door in process."""

from collections.abc import Callable, Mapping
from xml.etree import ElementTree

from towpath.gateway.services.s3 import S3Request, S3Response
from towpath.kernel.principals import Caller


class S3:
    """Sends requests to a front door in process, as a client whose signature was accepted."""

    def __init__(self, handle: Callable[[S3Request], S3Response]) -> None:
        self._handle = handle

    def __call__(
        self,
        method: str,
        bucket: str | None = None,
        key: str | None = None,
        *,
        body: bytes | list[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        **query: str | int,
    ) -> "Answer":
        """Return the answer, its body read to the end. Underscores in names of parameters stand for hyphens."""
        chunks = [body] if isinstance(body, bytes) else list(body or [])
        given = {"content-length": str(sum(map(len, chunks))), **(headers or {})}
        response = self._handle(
            S3Request(
                method=method,
                bucket=bucket,
                key=key,
                query=[(name.replace("_", "-"), str(value)) for name, value in query.items()],
                headers=given,
                body=iter(chunks),
                caller=Caller("tester", "request-1"),
            )
        )
        content = response.body if isinstance(response.body, bytes) else b"".join(response.body)
        return Answer(response.status, dict(response.headers), content)


class Answer:
    """An answer read to its end."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def version(self) -> str:
        """The version that the answer is about."""
        return self.headers["x-amz-version-id"]

    @property
    def code(self) -> str:
        """The code of an error."""
        return self.text("Code")

    def text(self, name: str) -> str:
        """Return the text of the first element of that name, empty when there is none."""
        return next(iter(self.texts(name)), "")

    def texts(self, name: str) -> list[str]:
        """Return the texts of all elements of that name."""
        root = ElementTree.fromstring(self.body)
        return [element.text or "" for element in root.iter() if element.tag.rpartition("}")[2] == name]
