"""Connections of the migration, and locks for which other sessions wait at most some ms."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import NamedTuple

import asyncpg

from baylight.errors import InputError, TransientError
from baylight.store.beside import SEARCH_PATH
from baylight.store.connect import AWAY, connect, database_away
from baylight.store.pool import Connection
from baylight.store.query import Query
from baylight.v2.sentences import sentence

_LOCK = 0x6261796C7632  # "baylv2"
_SETTINGS = {
    "application_name": "baylight v2",
    "timezone": "UTC",
    "search_path": SEARCH_PATH,
    "jit": "off",
    "statement_timeout": "0",
    "lock_timeout": "50ms",
    "synchronous_commit": "off",  # a crash may lose the last batches, and with them the note of how far they came
    "idle_in_transaction_session_timeout": "60s",
    "row_security": "off",  # rows that a policy would hide are an error, not a loss
    "client_connection_check_interval": "1s",  # the server's side of a killed run ends, and releases its locks
}
NOWAIT_TRIES = 30
_MAX_TRIES_OF_TWO = 5
_SILENT_ROUNDS = 5
MAX_LOCK_WAIT_MS = 20
"""Milliseconds that the migration waits for a lock on a table of V2, after NOWAIT has failed. Other sessions may queue
behind it."""

BUSY = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError, asyncpg.QueryCanceledError)
"""Errors after which the same work succeeds later, because another session was first."""


class Holder(NamedTuple):
    """Session that holds a lock. `age`: age of its transaction."""

    pid: int
    role: str | None
    state: str | None
    query: str | None
    age: timedelta | None


TRY_TO_BE_ALONE = Query("v2.session.try_to_be_alone", bool)
LET_OTHERS_IN = Query("v2.session.let_others_in", bool)
HOLDERS = Query("v2.session.holders", Holder)


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[Connection]:
    """Open a connection with the settings of the migration.

    Raises as `connect`, TransientError `database_away` for a connection that is lost later and `busy` for a lock that
    another session holds, and InputError `database_refuses` for any other error of PostgreSQL, with what to do.
    """
    connection = await connect(dsn, _SETTINGS)
    try:
        yield connection
    except AWAY as error:
        raise database_away(
            f"the connection was lost ({error}). What is done is recorded: run the same command again"
        ) from error
    except BUSY as error:
        raise TransientError("busy", f"another session was first ({error}): run the same command again") from error
    except asyncpg.PostgresError as error:
        raise InputError("database_refuses", sentence(error), sqlstate=error.sqlstate) from error
    finally:
        with contextlib.suppress(*AWAY):
            await connection.close(timeout=5)


@asynccontextmanager
async def alone(connection: Connection, on_wait: Callable[[], None] | None = None) -> AsyncIterator[None]:
    """Keep other runs out: a second one waits for the first. It asks repeatedly, so that it holds no snapshot."""
    reported = False
    while not await TRY_TO_BE_ALONE.one(connection, key=_LOCK):
        if not reported and on_wait:
            on_wait()
        reported = True
        await asyncio.sleep(random.uniform(0.1, 0.3))
    try:
        yield
    finally:
        with contextlib.suppress(*AWAY):  # a lost connection has lost the lock too
            await LET_OTHERS_IN.one(connection, key=_LOCK)


async def with_short_lock(
    connection: Connection,
    tables: Sequence[str],
    mode: str,
    work: Callable[[], Awaitable[None]],
    *,
    patience_s: float,
    log: Callable[[str], None],
    first: tuple[Sequence[str], Callable[[], Awaitable[None]]] | None = None,
) -> int:
    """Run `work` in one transaction that holds the tables in this lock mode; return how many tries the lock needed.

    The lock is acquired only if it is free at once. After 30 tries `log` receives the sessions in the way, and each try
    waits, 20 ms at most. SHARE UPDATE EXCLUSIVE comes first: V2 does not notice it, and it makes an autovacuum of the
    table give way.
    `first`: tables of Baylight's that are locked before, and what can be done while V2's are still free.
    Raises TransientError `locked` with the sessions in the way when `patience_s` is over.
    """
    give_up = time.monotonic() + patience_s
    tries = rounds = 0
    while True:
        try:
            async with connection.transaction():
                await connection.execute("SET LOCAL synchronous_commit = on")
                for names, part in ((first,) if first else ()) + ((tables, work),):
                    if names:
                        tries += await _lock(connection, names, mode, give_up, log, give_way=first is not None)
                    await part()
            return max(tries, 1)
        except BUSY:
            rounds += 1
            if rounds == _SILENT_ROUNDS:
                log(_in_the_way(tables, await _holders(connection, tables)))
            if time.monotonic() > give_up:
                holders = await _holders(connection, tables)
                raise TransientError(
                    "locked",
                    f"no lock on {', '.join(tables)} in {patience_s:g} s; in the way: {holders}",
                    tables=list(tables),
                ) from None
            await asyncio.sleep(random.uniform(0.05, 0.2))


async def _lock(
    connection: Connection,
    tables: Sequence[str],
    mode: str,
    give_up: float,
    log: Callable[[str], None],
    *,
    give_way: bool,
) -> int:
    """Return how many tries were needed.

    `give_way`: raise LockNotAvailableError soon, so that what is locked already is not held for long.
    """
    names = ", ".join(tables)
    await connection.execute("SET LOCAL lock_timeout = '1500ms'")  # autovacuum gives way after deadlock_timeout, 1 s
    await connection.execute(f"LOCK TABLE {names} IN SHARE UPDATE EXCLUSIVE MODE")
    await connection.execute(f"SET LOCAL lock_timeout = '{MAX_LOCK_WAIT_MS}ms'")
    tries = 0
    while True:
        tries += 1
        wait = "" if tries > NOWAIT_TRIES or give_way else "NOWAIT"
        try:
            async with connection.transaction():  # a savepoint: the weak lock stays, so autovacuum does not come back
                await connection.execute(f"LOCK TABLE {names} IN {mode} MODE {wait}")
            return tries
        except asyncpg.LockNotAvailableError:
            if time.monotonic() > give_up or (give_way and tries == _MAX_TRIES_OF_TWO):
                raise
            if tries == NOWAIT_TRIES:
                log(_in_the_way(tables, await _holders(connection, tables)))
            await asyncio.sleep(random.uniform(0.5, 1.0) * min(0.02 * 1.1 ** min(tries, 40), 0.5))


def _in_the_way(tables: Sequence[str], holders: str) -> str:
    return f"  waiting for {', '.join(tables)}; in the way: {holders}"


async def _holders(connection: Connection, tables: Sequence[str]) -> str:
    rows = await HOLDERS.all(connection, tables=list(tables))
    return "; ".join(f"pid {r.pid} ({r.role}, {r.state}, {r.age}): {r.query}" for r in rows) or "no session"
