"""Signatures of the chunks of a streamed body, each over the one before it.

Source: Amazon S3 API Reference, "Signature Calculations for the Authorization Header: Transferring Payload in Multiple
Chunks" and "… With Trailing Headers".
"""

import hashlib
import hmac

#: What x-amz-content-sha256 says where each chunk is signed.
SIGNED_CHUNKS = frozenset({"STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"})
_EMPTY = hashlib.sha256(b"").hexdigest()


class ChunkSignatures:
    """Verifies the chunks of one body, in their order."""

    def __init__(self, signing_key: bytes, stamp: str, scope: str, *, seed: str) -> None:
        """`seed` is the signature of the request itself, which the first chunk's is made over."""
        self._key = signing_key
        self._about = f"{stamp}\n{scope}"
        self._last = seed

    def is_chunk(self, sha256: str, signature: str) -> bool:
        """Return whether a chunk whose bytes have this SHA-256 was signed so, as the next one."""
        return self._follows(f"AWS4-HMAC-SHA256-PAYLOAD\n{self._about}\n{self._last}\n{_EMPTY}\n{sha256}", signature)

    def are_trailers(self, lines: bytes, signature: str) -> bool:
        """Return whether trailing headers (`name:value\\n` each) were signed so, behind the last chunk."""
        digest = hashlib.sha256(lines).hexdigest()
        return self._follows(f"AWS4-HMAC-SHA256-TRAILER\n{self._about}\n{self._last}\n{digest}", signature)

    def _follows(self, text: str, signature: str) -> bool:
        expected = hmac.new(self._key, text.encode("latin-1"), hashlib.sha256).hexdigest()
        right = hmac.compare_digest(expected.encode(), signature.encode("latin-1", "replace"))
        if right:
            self._last = expected
        return right
