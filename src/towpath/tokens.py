"""Bearer tokens: what a client derives from its keys, and a server from those that it keeps. Standard library only."""

import hashlib
import hmac


def bearer_token(access_key: str, secret_key: str) -> str:
    """Return what stands behind `Authorization: Bearer`. It follows from the secret key and does not give it away."""
    proof = hmac.new(secret_key.encode(), b"towpath bearer token", hashlib.sha256).hexdigest()
    return f"{access_key}.{proof}"
