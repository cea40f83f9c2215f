"""Keeps the values of secrets out of what a job says, however its output is cut into pieces."""

import base64
import json
import re
import urllib.parse
from collections.abc import Iterable

MARK = b"***"
_LEAST = 4  #: shorter parts of a secret are no secret, and would make gaps everywhere


class Redactor:
    """Replaces secrets in a stream of bytes. One for each stream."""

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets for form in forms_of(secret)}
        # Longest first: of two that begin alike the longer one is replaced.
        self._forms = sorted(forms, key=lambda form: (-len(form), form))
        self._longest = max(map(len, forms), default=0)
        self._pattern = re.compile(b"|".join(map(re.escape, self._forms))) if forms else None
        self._held = b""  #: what may be the beginning of a secret

    def feed(self, data: bytes) -> bytes:
        """Take bytes and return those that can be shown, without secrets; the beginning of one is held back."""
        return self._shown(data, final=False)

    def end(self) -> bytes:
        """Return what was held back; a secret that was cut off is not shown either."""
        return self._shown(b"", final=True)

    def text(self, text: str) -> str:
        """Return a whole text without secrets. The stream is not touched."""
        if self._pattern is None:
            return text
        data = text.encode("utf-8", "surrogateescape")
        return _cut(self._pattern.sub(MARK, data), self._begun(data)).decode("utf-8", "surrogateescape")

    def _shown(self, data: bytes, *, final: bool) -> bytes:
        if self._pattern is None:
            return data
        data = self._held + data
        begun = self._begun(data)
        whole = len(data) - begun
        shown, position = b"", 0
        for found in self._pattern.finditer(data):
            # One that could still become a longer secret waits with the rest.
            if found.start() >= whole and not final:
                break
            shown += data[position : found.start()] + MARK
            position = found.end()
        if final:
            self._held = b""
            return shown + _cut(data[position:], self._begun(data[position:]))
        self._held = data[max(position, whole) :]
        return shown + data[position : max(position, whole)]

    def _begun(self, data: bytes) -> int:
        """Return how many bytes at the end may be the beginning of a secret that is not complete yet."""
        tail = data[-(self._longest - 1) :] if self._longest > 1 else b""
        most = 0
        for form in self._forms:
            at = tail.find(form[:1], max(0, len(tail) - len(form) + 1))
            while at >= 0 and len(tail) - at > most:
                if form.startswith(tail[at:]):
                    most = len(tail) - at
                    break
                at = tail.find(form[:1], at + 1)
        return most


def forms_of(secret: str) -> set[bytes]:
    """Return the ways in which a secret is commonly printed: itself, line by line, quoted, or encoded."""
    stripped = secret.strip()
    lines = [line.strip() for line in secret.splitlines()]
    texts = {secret, stripped, *lines}
    for text in (secret, stripped):
        texts |= {
            repr(text)[1:-1],
            json.dumps(text)[1:-1],
            json.dumps(text, ensure_ascii=False)[1:-1],
            urllib.parse.quote(text),
            urllib.parse.quote(text, safe=""),
            urllib.parse.quote_plus(text),
            base64.b64encode(text.encode()).decode(),
            base64.urlsafe_b64encode(text.encode()).decode(),
        }
    return {text.encode("utf-8", "surrogateescape") for text in texts if len(text) >= _LEAST}


def _cut(data: bytes, begun: int) -> bytes:
    """Return the end of a stream without the beginning of a secret that it was cut off in."""
    return data if begun < _LEAST else data[: len(data) - begun] + MARK
