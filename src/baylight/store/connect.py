"""Connections to PostgreSQL: their settings and codecs, and names for the errors that callers distinguish."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import asyncpg
import msgspec

from baylight.errors import InputError, TransientError
from baylight.settings import BAD_DATABASE_URL
from baylight.store import beside

SESSION = {
    "application_name": "baylight",
    "timezone": "UTC",
    "search_path": "public",
    "jit": "off",
    # Batches look up rows by key. The planner does not know the number of these keys. At the default, which is the cost
    # of a rotating disk, it would read whole tables.
    "random_page_cost": "1.1",
}

REFUSED = (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError)
"""The server refuses the user, or has no such database."""

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
    *REFUSED,
)
"""Errors of asyncpg while the database is away, restarting, full, read-only or does not let us in. The same work may
succeed later."""

RETRY = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError, asyncpg.LockNotAvailableError, *AWAY)
"""Errors after which the same work is tried again: those of AWAY, and those of a race between two transactions."""

BAD_VALUE = asyncpg.DataError
"""A value is out of range or has characters that cannot be stored."""
MISSING_SCHEMA = (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError)
FORBIDDEN = asyncpg.InsufficientPrivilegeError


async def connect(
    dsn: str, settings: Mapping[str, str] = SESSION, *, interactive: bool = False
) -> asyncpg.Connection[asyncpg.Record]:
    """Open a connection with our codecs.

    `interactive`: a person waits for the connection, at most 10 s, and must correct a refused user or an unknown
    database. Raises as `reaching` does.
    """
    mistakes = REFUSED if interactive else ()
    with reaching(mistakes):
        connection = await asyncpg.connect(dsn, server_settings=dict(settings), timeout=10 if interactive else 60)
        await install_codecs(connection)
        await connection.execute(beside.FIND_TABLES)
    return connection


@contextmanager
def reaching(mistakes: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Translate errors of a connection that cannot be opened.

    Raises InputError `bad_database` for `mistakes` and for an address that cannot be parsed, and TransientError
    `database_away` for the other errors of AWAY. asyncpg's message about an address may hold a part of its password.
    """
    try:
        yield
    except ValueError:
        raise InputError("bad_database", BAD_DATABASE_URL) from None
    except mistakes as error:
        raise InputError("bad_database", f"BAYLIGHT_DATABASE_URL: {error}") from error
    except AWAY as error:
        raise database_away(f"the database cannot be reached: {str(error) or 'no answer'}") from error


def database_away(message: str) -> TransientError:
    return TransientError("database_away", message)


_encode = msgspec.json.Encoder().encode
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def _microseconds(at: datetime) -> tuple[int]:
    since = at - _EPOCH
    return (since.days * 86_400_000_000 + since.seconds * 1_000_000 + since.microseconds,)


async def install_codecs(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Convert json and jsonb from and to Python values, and timestamptz in half the time of asyncpg's own codec.

    The codec of timestamptz does not know infinity, which no column contains.
    """
    await connection.set_type_codec(
        "timestamptz",
        schema="pg_catalog",
        encoder=_microseconds,
        decoder=lambda since: _EPOCH + since[0] * _MICROSECOND,
        format="tuple",
    )
    await connection.set_type_codec(
        "json",
        schema="pg_catalog",
        encoder=lambda value: _encode(value).decode(),
        decoder=msgspec.json.decode,
    )
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: b"\x01" + _encode(value),
        decoder=lambda raw: msgspec.json.decode(raw[1:]),
        format="binary",
    )
