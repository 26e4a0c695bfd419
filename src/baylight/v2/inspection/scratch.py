"""Scratch copy of V2's tables, on which all statements of the migration can run as they are.

A connection of this module writes each name of a schema as that of a scratch schema, and back in what it returns. So
the code that runs on it is the code of the migration. All happens in one transaction, which is rolled back. V2's own
tables are only read. The customer's triggers are copied and disabled.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar, cast

import asyncpg

from baylight.store.pool import Connection
from baylight.store.query import Query
from baylight.v2.schema import ARCHIVE, LEGACY_TABLES, NEXT, OWN

_PREFIX = "v2_rehearsal_"
_SCHEMAS = {"public": "public", NEXT: "next", OWN: "own", ARCHIVE: "archive"}
_REAL = {short: name for name, short in _SCHEMAS.items()}
_QUOTED = r'"[^"\n]*(?:""[^"\n]*)*"'
_THERE = re.compile(rf"(?P<quoted>{_QUOTED})|\b(?P<schema>{'|'.join(_SCHEMAS)})\b")
_BACK = re.compile(rf"{_PREFIX}({'|'.join(_REAL)})")
MAX_S = 10
"""Seconds that one statement may last, such as the copy of the sample."""
_SAMPLED_SPACES = 50
_AT_COMMIT = (
    "SELECT set_config('baylight.v2_sync', '', true), set_config('baylight.v2_bulk', '', true);"
    " RESET lock_timeout; RESET check_function_bodies; RESET enable_nestloop; RESET work_mem"
)
"""Effect of a commit on settings that are made with SET LOCAL. The transactions of the rehearsal are savepoints."""

T = TypeVar("T")

COPY = Query("v2.scratch.copy", str)
SAMPLE = Query("v2.scratch.sample", str)


def there(text: str) -> str:
    """Return SQL with the names of the scratch schemas. Quoted names stay, since they are none of ours."""
    return _THERE.sub(lambda match: match["quoted"] or _PREFIX + _SCHEMAS[match["schema"]], text)


def _argument_there(value: str) -> str:
    """Return an argument. It may be the name of a schema, or begin with one."""
    schema, dot, name = value.partition(".")
    return f"{_PREFIX}{_SCHEMAS[schema]}{dot}{name}" if schema in _SCHEMAS else value


def back(text: str) -> str:
    """Return the text with the real names."""
    return _BACK.sub(lambda match: _REAL[match[1]], text)


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    return [_mapped(part, change) for part in value] if isinstance(value, list) else value


class _Scratch:
    """Connection to the scratch schemas. Outside of a transaction each statement has a savepoint of its own."""

    def __init__(self, real: Connection, turn: asyncio.Lock) -> None:
        self._real = real
        self._turn = turn
        self._depth = 0

    async def _run(self, work: Callable[[], Any]) -> Any:
        async with self._turn:
            if self._depth:
                return await work()
            async with self._real.transaction():
                return await work()

    async def execute(self, sql: str, *arguments: Any) -> Any:
        sql = re.sub(r"\bINDEX CONCURRENTLY\b", "INDEX", there(sql))
        return await self._run(lambda: self._real.execute(sql, *self._arguments(arguments)))

    async def executemany(self, sql: str, rows: Iterable[Sequence[object]]) -> Any:
        mapped = [self._arguments(row) for row in rows]
        return await self._run(lambda: self._real.executemany(there(sql), mapped))

    async def fetch(self, sql: str, *arguments: Any) -> Any:
        rows = await self._run(lambda: self._real.fetch(there(sql), *self._arguments(arguments)))
        return [tuple(_mapped(value, back) for value in row) for row in rows]

    async def fetchrow(self, sql: str, *arguments: Any) -> Any:
        row = await self._run(lambda: self._real.fetchrow(there(sql), *self._arguments(arguments)))
        return row and tuple(_mapped(value, back) for value in row)

    async def fetchval(self, sql: str, *arguments: Any) -> Any:
        row = await self.fetchrow(sql, *arguments)
        return row and row[0]

    @asynccontextmanager
    async def transaction(self, **_: object) -> AsyncIterator[None]:
        async with self._turn:
            inner = self._real.transaction()
            await inner.start()
        self._depth += 1
        try:
            yield
        except BaseException:
            self._depth -= 1
            async with self._turn:
                await inner.rollback()
            raise
        self._depth -= 1
        async with self._turn:
            await inner.commit()
            if not self._depth:
                await self._real.execute(_AT_COMMIT)

    def is_closed(self) -> bool:
        return self._real.is_closed()

    @staticmethod
    def _arguments(values: Iterable[object]) -> list[Any]:
        return [_mapped(value, _argument_there) for value in values]


@asynccontextmanager
async def scratch(real: Connection) -> AsyncIterator[tuple[Connection, Connection]]:
    """Copy V2's tables and a sample of their rows. Yield two connections to the copy; at the end all is rolled back."""
    transaction = real.transaction()
    await transaction.start()
    try:
        await real.execute(f"SET LOCAL statement_timeout = '{MAX_S}s'; SET LOCAL lock_timeout = '2s'")
        await real.execute("SET LOCAL search_path = pg_catalog; SET LOCAL check_function_bodies = off")
        for statement in await COPY.all(real, tables=list(LEGACY_TABLES)):
            await real.execute(statement)
        for statement in await SAMPLE.all(real, tables=list(LEGACY_TABLES), spaces=_SAMPLED_SPACES):
            with contextlib.suppress(asyncpg.QueryCanceledError):  # no index for the search: it goes without these rows
                async with real.transaction():
                    await real.execute(statement)
        await real.execute("RESET check_function_bodies; RESET lock_timeout")
        await real.execute(there(f"SET LOCAL search_path = {NEXT}, public") + ", public")
        turn = asyncio.Lock()
        first, second = _Scratch(real, turn), _Scratch(real, turn)
        yield cast(Connection, first), cast(Connection, second)
    finally:
        if not real.is_closed():
            await transaction.rollback()
