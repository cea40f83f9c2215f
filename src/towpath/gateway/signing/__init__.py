"""Who is calling: signatures of version 4 and 2, bearer tokens, and the keys behind them."""

from towpath.gateway.signing.chunks import SIGNED_CHUNKS, ChunkSignatures
from towpath.gateway.signing.keys import KeyRing, Keys, bearer_token, identify_token
from towpath.gateway.signing.model import Reason, Refused, Signature
from towpath.gateway.signing.v4 import UNSIGNED_PAYLOAD, Verified, signature_of, verify

__all__ = [
    "SIGNED_CHUNKS",
    "UNSIGNED_PAYLOAD",
    "ChunkSignatures",
    "KeyRing",
    "Keys",
    "Reason",
    "Refused",
    "Signature",
    "Verified",
    "bearer_token",
    "identify_token",
    "signature_of",
    "verify",
]
