"""Memory of our sessions at brokers, in the database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from baylight.control import broker_sessions, losses
from baylight.errors import TransientError
from baylight.store.connect import RETRY
from baylight.store.pool import Pool


class StoredSession:
    """Port BrokerSession. `pool`: called when the database is open. `broker`: name of the connection."""

    def __init__(self, pool: Callable[[], Pool], broker: str, client_id: str, network_server: str) -> None:
        self._pool = pool
        self._broker, self._client_id = broker, client_id
        self._network_server = network_server

    async def filters(self) -> frozenset[str]:
        with _transient():
            async with self._pool().acquire() as connection:
                return await broker_sessions.filters(connection, self._broker, self._client_id)

    async def keep(self, filters: frozenset[str]) -> None:
        with _transient():
            async with self._pool().acquire() as connection:
                await broker_sessions.keep(connection, self._broker, self._client_id, filters)

    async def lost(self, since: datetime) -> str:
        with _transient():
            async with self._pool().acquire() as connection, connection.transaction():
                return await losses.make_good(connection, since, self._network_server)


@contextmanager
def _transient() -> Iterator[None]:
    try:
        yield
    except RETRY as error:
        raise TransientError("session_not_stored", f"the broker's session is not stored: {error}") from error
