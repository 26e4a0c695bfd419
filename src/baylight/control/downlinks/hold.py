"""Hold: how many commands may wait in the network server behind a gateway that acknowledges nothing.

Commands that no gateway can send slow down the others: the network server tries a limited number of devices a second.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from baylight.control.gateways import SILENT_AFTER
from baylight.store.pool import Connection
from baylight.store.query import Query

MAX_WAITING = 20
"""Commands that may wait behind a gateway from the first that waits too long until the gateway counts as silent."""
PROBE_INTERVAL = timedelta(seconds=30)
"""A silent gateway is tried with one command each interval."""
REFRESH = timedelta(seconds=1)


class _Unacked(NamedTuple):
    gateway_id: str
    unacked_since: datetime
    waiting: int


UNACKED = Query("control.hold.unacked", _Unacked)


@dataclass(slots=True)
class Hold:
    """Number of commands that may be sent behind each gateway that owes acknowledgements; others are free."""

    _left: dict[str, int] = field(default_factory=dict)
    _probed_at: dict[str, datetime] = field(default_factory=dict)
    _read_at: datetime | None = None

    async def refresh(self, connection: Connection, now: datetime) -> set[str]:
        """Read which gateways owe acknowledgements, at most once a REFRESH. Return those that no longer do."""
        if self._read_at is not None and self._read_at <= now < self._read_at + REFRESH:
            return set()
        self._read_at = now
        before = set(self._left)
        self._left = {g.gateway_id: self._allowed(g, now) for g in await UNACKED.all(connection)}
        self._probed_at = {id: at for id, at in self._probed_at.items() if id in self._left}
        return before - set(self._left)

    def _allowed(self, gateway: _Unacked, now: datetime) -> int:
        if now - gateway.unacked_since < SILENT_AFTER:
            return max(0, MAX_WAITING - gateway.waiting)
        probed_at = self._probed_at.get(gateway.gateway_id)
        return 1 if probed_at is None or now - probed_at >= PROBE_INTERVAL else 0

    @property
    def held(self) -> list[str]:
        """Return the gateways behind which nothing may be sent now."""
        return [gateway_id for gateway_id, left in self._left.items() if left <= 0]

    def take(self, gateway_id: str | None, now: datetime) -> bool:
        """Count a command behind a gateway. Return False if it must wait."""
        left = self._left.get(gateway_id or "")
        if gateway_id is None or left is None:
            return True
        if left <= 0:
            return False
        self._left[gateway_id] = left - 1
        self._probed_at[gateway_id] = now
        return True
