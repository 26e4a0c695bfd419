"""Pool of connections to PostgreSQL, and statements over many rows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg

from baylight.errors import TransientError
from baylight.store import beside
from baylight.store.connect import SESSION, install_codecs, reaching

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]
else:
    Connection = Any
    Pool = Any


def array_literal(values: Iterable[object]) -> str:
    """EUIs or ids (None: NULL) as the text of an array, for a parameter `$1::text::uuid[]`: of a list, asyncpg asks
    each element three times whether it is a list as well."""
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


async def update_all(connection: Connection, sql: str, rows: Sequence[object], *others: object) -> None:
    """Run an UPDATE of all `rows`, its first argument. Raises RuntimeError if it changes another number of rows."""
    done = await connection.execute(sql, rows, *others)
    if done != f"UPDATE {len(rows)}":
        raise RuntimeError(f"{done} of {len(rows)} rows: {sql.strip().splitlines()[0]}")


async def open_pool(dsn: str, *, size: int = 10) -> Pool:
    """Open a pool of at most `size` connections. Raises as `reaching` does."""
    with reaching():
        return await asyncpg.create_pool(
            dsn, min_size=1, max_size=size, init=_begin, reset=_keep, server_settings=SESSION, command_timeout=60
        )


ACQUIRE_S = 5
"""Seconds that a request waits for a connection."""


@asynccontextmanager
async def acquire(pool: Pool) -> AsyncIterator[Connection]:
    """Use a connection of a pool. Raises TransientError `database_busy` if none is free within ACQUIRE_S."""
    try:
        connection = await pool.acquire(timeout=ACQUIRE_S)
    except TimeoutError as error:
        message = f"no connection to the database was free for {ACQUIRE_S} s: try again"
        raise TransientError("database_busy", message, retry_after_s=ACQUIRE_S) from error
    try:
        yield connection
    finally:
        await pool.release(connection)


async def _begin(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    await install_codecs(connection)
    await connection.execute(f"{beside.FIND_TABLES}; {beside.GIVE_WAY}")


async def _keep(_: Connection) -> None:
    """Reset nothing, since settings are made only for a transaction. This saves a round trip for each use."""
