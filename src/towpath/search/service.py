"""The operations Search and GetSearchSuggestions."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec

from towpath.kernel import generic
from towpath.kernel.errors import Invalid
from towpath.kernel.kinds import Kind
from towpath.kernel.operations import Operation, Request
from towpath.kernel.paging import token_of, values_of
from towpath.kernel.ports import Filter, Page, Query, Transaction
from towpath.kernel.resource import Document, Resource, view
from towpath.kernel.shapes import project
from towpath.search.evaluation import Predicate, SortKey, best, compiled, names_in, sort_key
from towpath.search.model import Expression, Joined, Operator
from towpath.search.model import Filter as Condition
from towpath.search.ports import Shapes
from towpath.search.properties import narrowed, own_names, searched, static_names, type_of
from towpath.search.records import SEARCHABLE, ShownBy

PAGE = 100  #: resources read at a time
#: Resources looked at for one answer where the order lets a search go on later from there; the answer may hold fewer
#: results than asked for then, and a token.
MOST_LOOKED_AT = 5_000
_SAMPLED = 200  #: latest resources whose own property names are suggested
_MOST_SUGGESTIONS = 100
_COLUMNS = {"CreationTime": "created_at", "LastModifiedTime": "modified_at"}
_BOUNDS = {
    Operator.GREATER: ">",
    Operator.GREATER_OR_EQUAL: ">=",
    Operator.LESS: "<",
    Operator.LESS_OR_EQUAL: "<=",
}


class Search:
    """Searches the kinds that are kept here."""

    def __init__(self, kinds: Mapping[str, Kind], shapes: Shapes, shown_by: Mapping[str, ShownBy]) -> None:
        """Take the kinds by noun, and for some of them what shows their documents instead of their view."""
        self._kinds = kinds
        self._shapes = shapes
        self._shown_by = shown_by

    def operations(self) -> list[Operation]:
        """Return the operations of searching."""
        return [
            Operation(name="Search", function=self.search, writes=False),
            Operation(name="GetSearchSuggestions", function=self.suggestions, writes=False),
        ]

    def search(self, transaction: Transaction, request: Request) -> Document:
        """Carry out Search.

        Raises:
            Invalid: the type is not kept here, or the expression cannot be evaluated on it.
        """
        asked = request.input
        subject = self._subject(asked["Resource"])
        if asked.get("CrossAccountFilterOption") == "CrossAccount":
            return {"Results": []}  # a home is one account, and nobody shares resources with it
        expression = _expression(asked)
        known = partial(type_of, subject.shape)
        matches: Predicate = (lambda _: True) if expression is None else compiled(expression, known)
        sort_by = asked.get("SortBy") or "LastModifiedTime"
        if "SortBy" in asked and known(sort_by) is None:
            raise Invalid(f"SortBy {sort_by!r} is not a property of the type {asked['Resource']}")
        names = frozenset({sort_by, *(() if expression is None else names_in(expression))})
        wide = Looking(
            transaction=transaction,
            subject=subject,
            names=names,
            matches=matches,
            filters=_narrowed(expression, subject.kind),
            tagged=any(name.lower().startswith("tags.") for name in names),
            descending=asked.get("SortOrder", "Descending") == "Descending",
            limit=int(asked.get("MaxResults") or 10),
            token=asked.get("NextToken"),
        )
        column = "name" if sort_by == subject.kind.name_member else _COLUMNS.get(sort_by)
        found, token = wide.by_column(column) if column is not None else wide.by_property(sort_by)
        results = [{subject.member: wide.shown(resource)} for resource in found]
        answer: Document = {"Results": results}
        if token is not None:
            answer["NextToken"] = token
        return answer

    def suggestions(self, transaction: Transaction, request: Request) -> Document:
        """Carry out GetSearchSuggestions: the names that begin as the hint does."""
        asked = request.input
        subject = self._subject(asked["Resource"])
        query = (asked.get("SuggestionQuery") or {}).get("PropertyNameQuery") or {}
        hint = query.get("PropertyNameHint", "").lower()
        names = set(static_names(subject.shape))
        latest = transaction.resources.query(
            Query(kind=subject.kind.noun, sort_by="modified_at", limit=min(_SAMPLED, PAGE))
        )
        for resource in latest.items:
            record = {**subject.record(transaction, resource), "Tags": tags_of(transaction, resource)}
            names.update(own_names(searched(record)))
        found = sorted(name for name in names if name.lower().startswith(hint))[:_MOST_SUGGESTIONS]
        return {"PropertyNameSuggestions": [{"PropertyName": name} for name in found]}

    def _subject(self, resource_type: str) -> "Subject":
        searchable = SEARCHABLE.get(resource_type)
        kind = None if searchable is None else self._kinds.get(searchable.noun)
        if searchable is None or kind is None:
            kept = ", ".join(sorted(name for name, found in SEARCHABLE.items() if found.noun in self._kinds))
            raise Invalid(f"Resources of the type {resource_type!r} are not kept here; these can be searched: {kept}")
        output: Any = self._shapes.output("Search")
        shape = output.members["Results"].member.members[searchable.member]
        shown: ShownBy = self._shown_by.get(kind.noun) or (lambda _, resource: generic.document(kind, resource))
        return Subject(kind=kind, member=searchable.member, shape=shape, shown=shown)


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What is searched."""

    kind: Kind
    member: str
    shape: Any  #: of the records, a `botocore.model.Shape`
    shown: ShownBy

    def record(self, transaction: Transaction, resource: Resource) -> Document:
        """Return a resource as the results show it, without its tags."""
        found: Document = project(self.shown(transaction, resource), self.shape)
        return found

    def part(self, transaction: Transaction, resource: Resource, names: frozenset[str]) -> Document:
        """Return as much of a record as the properties of these names are read from."""
        found: Document = project(narrowed(self.shown(transaction, resource), self.shape, names), self.shape)
        return found


def tags_of(transaction: Transaction, resource: Resource) -> list[Document]:
    """Return the tags of a resource as documents carry them."""
    return [{"Key": key, "Value": value} for key, value in sorted(transaction.resources.tags(resource.uid).items())]


class Looking(msgspec.Struct, frozen=True, kw_only=True):
    """One look through the resources of a kind, page by page: no more are in memory than a page and the results.

    Of what is looked at, only the properties that are asked about are made ready; only results are shown whole.
    """

    transaction: Any
    subject: Subject
    names: frozenset[str]  #: of all properties that are asked about
    matches: Predicate
    filters: tuple[Filter, ...]
    tagged: bool  #: what is asked depends on tags
    descending: bool
    limit: int
    token: str | None

    def shown(self, resource: Resource) -> Document:
        """Return a record of the results, with its tags."""
        return self._with_tags(resource, self.subject.record(self.transaction, resource))

    def by_column(self, column: str) -> tuple[list[Resource], str | None]:
        """Return a page of results in the order of a column of the store, which can go on where the last one ended."""
        found: list[Resource] = []
        looked_at, token = 0, self.token
        while True:
            page = self._page(column, token, PAGE)
            for position, resource in enumerate(page.items, start=1):
                if self._match(resource) is None:
                    continue
                found.append(resource)
                if len(found) == self.limit:
                    # The token of a page is that of its last item: the page that ends with this one tells it.
                    whole = position == len(page.items)
                    return found, page.token if whole else self._page(column, token, position).token
            looked_at += len(page.items)
            if page.token is None or looked_at >= MOST_LOOKED_AT:
                return found, page.token
            token = page.token

    def by_property(self, name: str) -> tuple[list[Resource], str | None]:
        """Return a page of results in the order of any property: all resources are looked at, the best are kept."""
        after = None if self.token is None else _position(self.token)
        chosen = best(self._keyed(name, after), self.limit + 1, descending=self.descending)
        found = [resource for _, resource in chosen[: self.limit]]
        return found, None if len(chosen) <= self.limit else token_of(chosen[self.limit - 1][0])

    def _keyed(self, name: str, after: SortKey | None) -> Iterator[tuple[SortKey, Resource]]:
        token = None
        while True:
            page = self._page("created_at", token, PAGE)
            for resource in page.items:
                properties = self._match(resource)
                if properties is None:
                    continue
                key = sort_key(properties, name, resource.uid, descending=self.descending)
                if after is None or (key < after if self.descending else key > after):
                    yield key, resource
            token = page.token
            if token is None:
                return

    def _page(self, column: str, token: str | None, limit: int) -> Page:
        page: Page = self.transaction.resources.query(
            Query(
                kind=self.subject.kind.noun,
                filters=self.filters,
                sort_by=column,
                descending=self.descending,
                limit=limit,
                token=token,
            )
        )
        return page

    def _match(self, resource: Resource) -> Document | None:
        """Return the properties that are asked about of a resource that matches."""
        record = self.subject.part(self.transaction, resource, self.names)
        if self.tagged:
            record = self._with_tags(resource, record)
        properties = searched(record)
        return properties if self.matches(properties) else None

    def _with_tags(self, resource: Resource, record: Document) -> Document:
        return record if "Tags" in record else {**record, "Tags": tags_of(self.transaction, resource)}


def _expression(asked: Document) -> Expression | None:
    """Return what a request searches for; its visibility conditions are filters that always have to hold.

    Source: Amazon SageMaker API Reference, "VisibilityConditions".
    """
    given = asked.get("SearchExpression")
    expression = None if given is None else view(Expression, given)
    conditions = asked.get("VisibilityConditions")
    if not conditions:
        return expression
    filters = tuple(Condition(name=item.get("Key", ""), value=item.get("Value")) for item in conditions)
    return Expression(filters=filters, sub_expressions=() if expression is None else (expression,))


def _narrowed(expression: Expression | None, kind: Kind) -> tuple[Filter, ...]:
    """Return conditions that the store can check and that every match satisfies, so that fewer resources are read."""
    if expression is None or expression.operator is not Joined.AND:
        return ()
    found = []
    for condition in expression.filters:
        value = condition.value or ""
        if condition.operator is Operator.EQUALS and condition.name == kind.status_member:
            found.append(Filter("status", "=", value))
        elif condition.name == kind.name_member and condition.operator in {Operator.EQUALS, Operator.CONTAINS}:
            found.append(Filter("name", "=" if condition.operator is Operator.EQUALS else "contains", value))
        elif condition.name == "CreationTime" and condition.operator in _BOUNDS:
            at = _time(value)
            if at is not None:
                found.append(Filter("created_at", _BOUNDS[condition.operator], at))
    return tuple(found)


def _time(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _position(token: str) -> SortKey:
    known, kind, number, text, uid = values_of(token, 5)
    if (
        isinstance(known, int)
        and isinstance(kind, int)
        and isinstance(number, int | float)
        and isinstance(text, str)
        and isinstance(uid, str)
    ):
        return known, kind, float(number), text, uid
    raise Invalid(f"NextToken {token!r} is not one that this search gave out")
