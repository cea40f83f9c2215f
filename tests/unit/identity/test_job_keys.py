"""The keys that jobs have of their own: how long they, and what is made with them, are good."""

from datetime import timedelta
from pathlib import Path

import pytest

from towpath.identity.job_keys import ACCESS_KEY, begin_session
from towpath.identity.sessions import assume_role
from towpath.kernel.operations import Request
from towpath.kernel.principals import Caller
from towpath.store import SqliteStore, SqlTransaction

ROLE = "arn:aws:iam::000000000000:role/any"


def assumed(transaction: SqlTransaction, caller: Caller) -> tuple[float, str]:
    asked = {"RoleArn": ROLE, "RoleSessionName": "on", "DurationSeconds": 43_200}
    answer = assume_role(transaction, Request(operation="AssumeRole", input=asked, caller=caller))
    return answer["Credentials"]["Expiration"], answer["Credentials"]["AccessKeyId"]


@pytest.mark.parametrize("times", [1, 2])
def test_a_session_that_a_job_begins_ends_with_the_keys_of_the_job(tmp_path: Path, times: int) -> None:
    store = SqliteStore(tmp_path / "store.db")

    def chained(transaction: SqlTransaction) -> tuple[float, float]:
        name = begin_session(transaction, "train", timedelta(minutes=10))[ACCESS_KEY]
        job = transaction.keys.find(name)
        assert job is not None
        assert job.expires_at is not None
        expires = 0.0
        for _ in range(times):
            expires, name = assumed(transaction, Caller(job.principal, "r", name))
        return expires, job.expires_at.timestamp()

    expires, ends = store.write(chained)
    store.close()
    assert expires <= ends


def test_a_session_of_a_user_lasts_as_long_as_was_asked_for(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db")
    lasts = store.write(lambda transaction: assumed(transaction, Caller("ada"))[0] - transaction.now.timestamp())
    store.close()
    assert lasts == pytest.approx(43_200)
