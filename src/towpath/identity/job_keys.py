"""Keys of jobs that ask for them: a session each, with the rights that whoever may write such a job has at least."""

import secrets
from collections.abc import Mapping
from datetime import timedelta

from towpath.identity.keys import key_name
from towpath.identity.ports import Transaction
from towpath.identity.users import JOBS
from towpath.kernel.principals import AccessKey

_ROLE = "towpath-jobs"
_KEPT_EXPIRED = timedelta(days=1)
#: Beyond the time that the job may run: it may be stopped a little late, and downloads inputs before it runs.
_MARGIN = timedelta(hours=1)

#: What a request names in a variable as `{{secrets.NAME}}`.
ACCESS_KEY, SECRET_KEY, SESSION_TOKEN = "towpath.access-key", "towpath.secret-key", "towpath.session-token"


def begin_session(transaction: Transaction, job: str, lasts: timedelta) -> Mapping[str, str]:
    """Add keys for a job to those that are good; return them by the names of secrets.

    Args:
        job: its name, under which what is done with the keys is recorded.
        lasts: how long it may run.
    """
    now = transaction.now
    transaction.keys.remove_expired(now - _KEPT_EXPIRED)
    key = AccessKey(
        access_key=key_name("TPSA"),
        secret_key=secrets.token_urlsafe(30),
        principal=f"{_ROLE}/{job}",
        arn=f"arn:aws:sts::{transaction.home.account}:assumed-role/{_ROLE}/{job}",
        session_token=f"{JOBS}.{secrets.token_urlsafe(96)}",
        created_at=now,
        expires_at=now + lasts + _MARGIN,
    )
    transaction.keys.add(key)
    return {ACCESS_KEY: key.access_key, SECRET_KEY: key.secret_key, SESSION_TOKEN: key.session_token}
