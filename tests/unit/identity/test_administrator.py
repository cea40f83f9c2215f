"""What the first start makes, and what a start of a later release brings up to date."""

from pathlib import Path

import pytest

from towpath.identity import ROLE, make_administrator
from towpath.identity.keys import _OF_EARLIER_RELEASES
from towpath.store import SqliteStore, SqlTransaction


def document(store: SqliteStore) -> str:
    role = store.read(lambda transaction: transaction.resources.find(ROLE.noun, "towpath-administrator"))
    assert role is not None
    return str(role.spec["AssumeRolePolicyDocument"])


def test_user_key_and_role_are_made_once_and_the_role_is_trusted_by_sagemaker(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db")
    first = store.write(lambda transaction: make_administrator(transaction, "admin"))
    assert store.write(lambda transaction: make_administrator(transaction, "admin")) == first
    assert "sagemaker.amazonaws.com" in document(store)
    store.close()


@pytest.mark.parametrize("text", [_OF_EARLIER_RELEASES, '{"Statement":[]}'])
def test_the_role_of_an_earlier_release_is_renewed_unless_somebody_has_changed_it(tmp_path: Path, text: str) -> None:
    store = SqliteStore(tmp_path / "store.db")

    def make_older(transaction: SqlTransaction) -> None:
        make_administrator(transaction, "admin")
        role = transaction.resources.find(ROLE.noun, "towpath-administrator")
        assert role is not None
        transaction.resources.replace(role, spec={**role.spec, "AssumeRolePolicyDocument": text})

    store.write(make_older)
    store.write(lambda transaction: make_administrator(transaction, "admin"))
    assert (document(store) == text) == (text != _OF_EARLIER_RELEASES)
    store.close()
