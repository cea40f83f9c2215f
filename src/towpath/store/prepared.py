"""Statements that are compiled once, and run by the driver itself, for what the engine does with every turn.

SQLAlchemy builds and keys a statement anew for each execution and wraps its result, which takes twenty times as long
as SQLite needs to run it (`docs/benchmarks.md`). A prepared statement keeps the SQL and the order of its parameters;
values and rows pass unconverted, which is right for the plain columns of `tables` (text, numbers, bytes) and not for
Boolean ones.
"""

from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ClauseElement


class Found:
    """What a statement returned: rows whose columns are attributes, or how many rows it touched."""

    __slots__ = ("_rows", "rowcount")

    def __init__(self, rows: list[Any], rowcount: int) -> None:
        self._rows = rows
        self.rowcount = rowcount  #: rows written; of a statement that reads it says nothing

    def all(self) -> list[Any]:
        """Return the rows in their order."""
        return self._rows

    def one_or_none(self) -> Any | None:
        """Return the only row, None when there is none.

        Raises:
            LookupError: there are several.
        """
        if len(self._rows) > 1:
            raise LookupError(f"{len(self._rows)} rows where one at most was expected")
        return self._rows[0] if self._rows else None

    def scalar(self) -> Any | None:
        """Return the first column of the only row, None when there is no row."""
        row = self.one_or_none()
        return None if row is None else row[0]


class _Compiled:
    """A statement in the words of one dialect."""

    def __init__(self, statement: ClauseElement, connection: Connection) -> None:
        compiled = statement.compile(dialect=connection.dialect)
        assert isinstance(compiled, SQLCompiler)
        self.sql = str(compiled)
        self.order = None if compiled.positiontup is None else tuple(compiled.positiontup)
        self.constants = {key: bound.effective_value for key, bound in compiled.binds.items() if not bound.required}
        self._in_order = None if self.order is None or len(self.order) < 2 else itemgetter(*self.order)
        self.row: Callable[..., Any] | None = None  #: makes a row of its columns; known when there was a first one

    def parameters(self, values: Mapping[str, Any]) -> Any:
        if self.constants:
            values = {**self.constants, **values}
        if self._in_order is not None:
            return self._in_order(values)
        return values if self.order is None else [values[name] for name in self.order]


class Prepared:
    """One statement with `bindparam`s, to be run on connections of any dialect."""

    def __init__(self, statement: Executable) -> None:
        assert isinstance(statement, ClauseElement)
        self._statement = statement
        self._compiled: dict[str, _Compiled] = {}

    def __call__(self, connection: Connection, **values: Any) -> Found:
        """Run the statement with these values for its parameters and return what it found.

        Raises:
            DBAPIError: as SQLAlchemy does for any statement.
        """
        compiled = self._for(connection)
        return self._run(connection, compiled, compiled.parameters(values), many=False)

    def many(self, connection: Connection, rows: Iterable[Mapping[str, Any]]) -> int:
        """Run a statement that writes once for each of the given values of its parameters; return the rows written.

        The values are taken one after the other, so that those of a hundred thousand rows need not be there at once.
        Whatever yields them must not use the connection.
        """
        compiled = self._for(connection)
        return self._run(connection, compiled, map(compiled.parameters, rows), many=True).rowcount

    def _run(self, connection: Connection, compiled: _Compiled, parameters: Any, *, many: bool) -> Found:
        driver = connection.connection.dbapi_connection  # inside of a transaction, which `SqliteStore` has begun
        assert driver is not None, "it is given back when the transaction has ended"
        cursor = driver.cursor()
        try:
            if many:
                cursor.executemany(compiled.sql, parameters)
            else:
                cursor.execute(compiled.sql, parameters)
            if cursor.description is None:
                return Found([], cursor.rowcount)
            if compiled.row is None:
                row: Any = namedtuple("Row", [column[0] for column in cursor.description])  # type: ignore[misc]
                compiled.row = row._make
            return Found([compiled.row(row) for row in cursor.fetchall()], cursor.rowcount)
        except connection.dialect.loaded_dbapi.Error as error:
            base = connection.dialect.loaded_dbapi.Error
            told = DBAPIError.instance(compiled.sql, None, error, base, dialect=connection.dialect)
            raise told from error
        finally:
            cursor.close()

    def _for(self, connection: Connection) -> _Compiled:
        name = connection.dialect.name
        found = self._compiled.get(name)
        if found is None:
            found = self._compiled[name] = _Compiled(self._statement, connection)
        return found


def is_undone(connection: Connection) -> bool:
    """Return whether the database has undone the transaction of a connection by itself."""
    return not connection.connection.dbapi_connection.in_transaction  # type: ignore[union-attr]


#: Part of a transaction. Where parts nest, each statement means the innermost one.
SAVEPOINT = Prepared(text("SAVEPOINT part"))
ROLL_BACK = Prepared(text("ROLLBACK TO SAVEPOINT part"))
RELEASE = Prepared(text("RELEASE SAVEPOINT part"))
