"""Watch over the services that a process uses: it asks network servers and the database on a timer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from baylight.app.service_conditions import Key, ServiceConditions
from baylight.control import conditions as stored
from baylight.domain.conditions import ConditionKind
from baylight.domain.downlink import NETWORK_SERVERS
from baylight.errors import BaylightError, PermanentError
from baylight.insight import services
from baylight.lns.chirpstack.downlinks import ChirpStackGrpc
from baylight.lns.chirpstack.key import KEY_REFUSED
from baylight.lns.tts.applications import TtsApplications
from baylight.log import logger
from baylight.ports import NetworkServer
from baylight.store.connect import RETRY, connect
from baylight.store.pool import Connection

log = logger("services")

ASK_S = 10.0
"""Seconds between two questions to a network server that answers."""
ASK_AGAIN_S = 2.0
"""Seconds between two questions to a network server that is away, or that refuses the key."""
LOOK_S = 0.5
"""Seconds between two looks at the parts of this process."""
DATABASE_S = 1.0
"""Seconds between two uses of the database."""
DEADLINE_S = 3.5
"""Seconds that the database has for its answer. With the pauses, readiness follows within 5 s."""
_K = ConditionKind
_CAUSES = (_K.NETWORK_SERVER_AWAY, _K.NETWORK_SERVER_KEY_REFUSED, _K.NETWORK_SERVER_NOT_SET)
"""Conditions of a network server that keep commands from all its displays."""


@dataclass(slots=True)
class ServiceWatch:
    """Observer of the services. `run` it as a task; `answered` is the Router's listener.

    `parts` returns the state of the parts of this process: the reason why one does not work, or None.
    """

    dsn: str
    servers: Mapping[str, NetworkServer]
    conditions: ServiceConditions
    parts: Callable[[], Mapping[Key, str | None]]
    others: Collection[Key] = ()
    """Further conditions whose beginning and end this process sees."""
    database: str | None = None
    """Reason why the database does not serve; None while it does."""
    _asked: dict[str, ChirpStackGrpc] = field(init=False)
    _doubted: dict[str, asyncio.Event] = field(init=False)
    _restored: bool = False

    def __post_init__(self) -> None:
        # By MQTT there is no answer, so the others cannot be asked.
        self._asked = {name: server for name, server in self.servers.items() if isinstance(server, ChirpStackGrpc)}
        self._doubted = {name: asyncio.Event() for name in self._asked}

    async def run(self) -> None:
        """Watch until cancelled."""
        connection = await self._use_database(None)  # before the first question: it restores what lasted
        async with asyncio.TaskGroup() as group:
            group.create_task(self._use_database_again_and_again(connection))
            group.create_task(self._look_again_and_again())
            for name in self._asked:
                group.create_task(self._ask_again_and_again(name))

    def answered(self, name: str, error: BaylightError | None) -> None:
        """Record how a network server answered a downlink: None if it accepted it."""
        if error is None:
            self.conditions.end(_K.NETWORK_SERVER_AWAY, name)
            self.conditions.end(_K.NETWORK_SERVER_KEY_REFUSED, name)
        elif error.code == KEY_REFUSED:
            self.conditions.begin(_K.NETWORK_SERVER_KEY_REFUSED, name, error.message)
            self.conditions.end(_K.NETWORK_SERVER_AWAY, name)
        elif isinstance(error, PermanentError):
            self.conditions.end(_K.NETWORK_SERVER_AWAY, name)
        elif name in self._doubted:
            self._doubted[name].set()  # one slow answer is no absence: ask
        elif not error.code.startswith("broker_"):  # the broker has conditions of its own
            self.conditions.begin(_K.NETWORK_SERVER_AWAY, name, error.message)

    async def _ask_again_and_again(self, name: str) -> None:
        server, doubted = self._asked[name], self._doubted[name]
        while True:
            doubted.clear()
            try:
                await server.ping()
            except BaylightError as error:
                if error.code == KEY_REFUSED:
                    self.answered(name, error)
                else:
                    self.conditions.begin(_K.NETWORK_SERVER_AWAY, name, error.message)
            except Exception as error:
                # An error must not end the watch.
                log.error("network_server_not_asked", service=name, error=repr(error), exc_info=True)
            else:
                self.answered(name, None)
            wrong = any(c.subject_id == name for c in self.conditions.open())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(doubted.wait(), ASK_AGAIN_S if wrong else ASK_S)

    async def _look_again_and_again(self) -> None:
        while True:
            for (kind, service), reason in self.parts().items():
                self.conditions.set(kind, service, reason)
            await asyncio.sleep(LOOK_S)

    async def _use_database_again_and_again(self, connection: Connection | None) -> None:
        try:
            while True:
                await asyncio.sleep(DATABASE_S)
                connection = await self._use_database(connection)
        finally:
            if connection is not None:
                connection.terminate()

    async def _use_database(self, connection: Connection | None) -> Connection | None:
        """Read and store what the watch needs, with a connection of its own. Return it; None after a failure.

        A pool would not do: a database that hangs holds its connections.
        """
        try:
            async with asyncio.timeout(DEADLINE_S):
                connection = connection or await connect(self.dsn)
                await self._use(connection)
        except (BaylightError, *RETRY) as error:
            self.database = str(error) or f"the database does not answer within {DEADLINE_S} s"
        except Exception as error:
            # An error must not end the watch. The parts that use the same database report it.
            log.error("services_not_stored", error=repr(error), exc_info=True)
        else:
            self.database = None
            return connection
        if connection is not None:
            connection.terminate()
        return None

    async def _use(self, connection: Connection) -> None:
        if not self._restored:
            await self.conditions.restore(connection, self._watched())
            self._restored = True
        for name, server in self._asked.items():
            server.reported.update(await services.list_reported_displays(connection, name))
        displays = await services.count_displays(connection)
        for name in NETWORK_SERVERS:
            count = 0 if name in self.servers else displays.get(name, 0)
            reason = f"{count} displays are reached through {name}" if count else None
            self.conditions.set(_K.NETWORK_SERVER_NOT_SET, name, reason)
        await self.conditions.save(connection)
        if any(c.kind in _CAUSES for c in self.conditions.open()):
            await stored.give_causes(connection, _CAUSES)

    def _services(self) -> list[str]:
        """Return the name of each network server, or of each of its connections."""
        return [
            service
            for name, server in self.servers.items()
            for service in (server.connections if isinstance(server, TtsApplications) else [name])
        ]

    def _watched(self) -> set[Key]:
        """Return the conditions whose beginning and end this process sees."""
        of_servers = (_K.NETWORK_SERVER_AWAY, _K.NETWORK_SERVER_KEY_REFUSED)
        return {
            *((kind, name) for name in self._services() for kind in of_servers),
            *((_K.NETWORK_SERVER_NOT_SET, name) for name in NETWORK_SERVERS),
            *self.parts(),
            *self.others,
        }
