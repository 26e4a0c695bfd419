"""Sources of events of a process."""

from __future__ import annotations

from collections.abc import Callable

from baylight.app.refusals import Refusals
from baylight.app.sessions import StoredSession
from baylight.lns.mqtt.consumer import NoConditions
from baylight.ports import Conditions
from baylight.store.pool import Pool


class Sources:
    """Sources of a process by name, each with its conditions and the count of its refused messages.

    `conditions`: returns those of a service. `pool` is called when the database is open; None: the process remembers no
    sessions.
    """

    def __init__(
        self, conditions: Callable[[str], Conditions] | None = None, pool: Callable[[], Pool] | None = None
    ) -> None:
        self.conditions = conditions or (lambda service: NoConditions())
        self._pool = pool
        self.refusals: dict[str, Refusals] = {}

    def refusals_of(self, source: str) -> Refusals:
        """Return the count of a source."""
        return self.refusals.setdefault(source, Refusals(self.conditions(source)))

    def session(self, broker: str, client_id: str, network_server: str) -> StoredSession | None:
        """Return the memory of our session at a broker."""
        return StoredSession(self._pool, broker, client_id, network_server) if self._pool else None
