"""Connections to PostgreSQL, each with our codecs and session settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from baylight.errors import TransientError

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]
else:
    Connection = Any
    Pool = Any

SESSION = {
    "application_name": "baylight",
    "timezone": "UTC",
    # While a V2 database is migrated, our tables lie in baylight_next; at all other times there is no such schema.
    "search_path": "baylight_next, public",
    "jit": "off",
    # Batches look up rows by key. The planner, which does not know how few they are, would read whole tables at the
    # default, which is the price of a rotating disk.
    "random_page_cost": "1.1",
}

AWAY = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the connection ended while asyncpg was at work on it, or just before
    asyncpg.PostgresConnectionError,
    asyncpg.exceptions.OperatorInterventionError,
    asyncpg.exceptions.InsufficientResourcesError,  # connections, memory, disk
    asyncpg.exceptions.PostgresSystemError,  # its disk fails
    asyncpg.ReadOnlySQLTransactionError,  # a standby
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
)
"""What asyncpg raises while the database is away, restarting, full, read-only or does not let us in: the same work may
succeed later."""

RETRY = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError, asyncpg.LockNotAvailableError, *AWAY)
"""As AWAY, and the outcomes of a race that the next try will not meet."""


_BESIDE_V2 = "SELECT set_config('lock_timeout', '250ms', false) WHERE current_schema() = 'baylight_next'"
"""PostgreSQL ends one side of a deadlock after a second: beside a V2 application it must be ours, which tries again."""


async def open_pool(dsn: str, *, size: int = 10) -> Pool:
    """A pool of up to `size` connections. Raises TransientError `database_away` if the server cannot be reached."""
    try:
        return await asyncpg.create_pool(
            dsn, min_size=1, max_size=size, init=_begin, reset=_keep, server_settings=SESSION, command_timeout=60
        )
    except AWAY as error:
        raise TransientError("database_away", f"the database cannot be reached: {error}") from error


async def _begin(connection: Connection) -> None:
    await prepare(connection)
    await connection.execute(_BESIDE_V2)


async def _keep(_: Connection) -> None:
    """Nothing to undo: settings are made for a transaction alone. Saves a round trip for each use of a connection."""


async def prepare(connection: Connection) -> None:
    """json and jsonb travel as Python values."""
    await connection.set_type_codec(
        "json",
        schema="pg_catalog",
        encoder=lambda value: msgspec.json.encode(value).decode(),
        decoder=msgspec.json.decode,
    )
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: b"\x01" + msgspec.json.encode(value),
        decoder=lambda raw: msgspec.json.decode(raw[1:]),
        format="binary",
    )
