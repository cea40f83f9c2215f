"""Reads all that a query finds, however many pages that are."""

from collections.abc import Iterator

from msgspec.structs import replace

from towpath.kernel.ports import Page, Query, Store, Transaction
from towpath.kernel.resource import Resource


def every(store: Store, query: Query) -> Iterator[Resource]:
    """Yield what a query finds. Each page is a snapshot of its own: no transaction stays open between two of them."""
    page = _page(store, query)
    yield from page.items
    while page.token is not None:
        page = _page(store, replace(query, token=page.token))
        yield from page.items


def every_in(transaction: Transaction, query: Query) -> Iterator[Resource]:
    """Yield what a query finds, read page by page inside a transaction."""
    page = transaction.resources.query(query)
    yield from page.items
    while page.token is not None:
        page = transaction.resources.query(replace(query, token=page.token))
        yield from page.items


def _page(store: Store, query: Query) -> Page:
    return store.read(lambda transaction: transaction.resources.query(query))
