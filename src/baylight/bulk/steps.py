"""Statements of an import and an export, with a time limit for large files."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TypeVar

from baylight.store.pool import Connection
from baylight.store.query import Query, Statement

Row = TypeVar("Row")
TIMEOUT_S = 3600
PAGE = 1000
"""Rows that are in memory at the same time."""
PAGE_CHARS = 1_000_000
"""Characters after which no further row comes into memory."""
SMALL_PAGE = 50
"""Rows that are in memory at the same time if each may be large."""


class Step(Statement):
    """SQL of an import: one statement, or several without parameters.

    `texts` replace the places `{name}` in SQL that all kinds share, once, when the step is made.
    """

    def __init__(self, name: str, **texts: str) -> None:
        super().__init__(name)
        for place, text in texts.items():
            self.sql = self.sql.replace(f"{{{place}}}", text)

    async def run(self, connection: Connection, **parameters: object) -> int:
        """Run the SQL; return how many rows its last statement wrote."""
        status = await connection.execute(self.sql, *self._arguments(parameters), timeout=TIMEOUT_S)
        count = status.rpartition(" ")[2]
        return int(count) if count.isdigit() else 0


class Pages(Query[Row]):
    """A query whose rows are read by a cursor."""

    async def pages(self, connection: Connection) -> AsyncIterator[list[Row]]:
        """Yield all rows, SMALL_PAGE at a time. Needs an open transaction."""
        cursor = await connection.cursor(self.sql, timeout=TIMEOUT_S)
        while records := await cursor.fetch(SMALL_PAGE, timeout=TIMEOUT_S):
            build = self._builder(records[0])
            yield [build(record) for record in records]
