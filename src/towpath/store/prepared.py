"""Statements that are compiled once, for what the engine runs with every turn.

SQLAlchemy builds and keys a statement anew for each execution, which costs several times what SQLite needs to run it. A
prepared statement keeps the SQL and the order of its parameters; values and rows pass unconverted, which is right for
the plain columns of `tables` (text, numbers, bytes) and not for Boolean ones.
"""

from typing import Any

from sqlalchemy import Connection, CursorResult
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ClauseElement


class Prepared:
    """One statement with `bindparam`s, to be run on connections of any dialect."""

    def __init__(self, statement: Executable) -> None:
        assert isinstance(statement, ClauseElement)
        self._statement = statement
        self._compiled: dict[str, tuple[str, tuple[str, ...] | None, dict[str, Any]]] = {}

    def __call__(self, connection: Connection, **values: Any) -> CursorResult[Any]:
        """Run the statement with these values for its parameters and return the result."""
        sql, order, constants = self._for(connection)
        if constants:
            values = {**constants, **values}
        parameters: Any = values if order is None else tuple([values[name] for name in order])
        return connection.exec_driver_sql(sql, parameters)

    def _for(self, connection: Connection) -> tuple[str, tuple[str, ...] | None, dict[str, Any]]:
        name = connection.dialect.name
        found = self._compiled.get(name)
        if found is None:
            compiled = self._statement.compile(dialect=connection.dialect)
            assert isinstance(compiled, SQLCompiler)
            order = compiled.positiontup
            constants = {key: bound.effective_value for key, bound in compiled.binds.items() if not bound.required}
            found = self._compiled[name] = (str(compiled), None if order is None else tuple(order), constants)
        return found
