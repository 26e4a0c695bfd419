"""Hold: how many commands may wait in the network server behind a gateway that acknowledges nothing.

Commands that no gateway can send slow down the others: the network server tries a limited number of devices a second.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from baylight.control.gateways import SILENT_AFTER
from baylight.store.pool import Connection
from baylight.store.query import Query

MAX_WAITING = 20
"""Commands that may wait behind a gateway until it acknowledges one of them."""
MAX_WAITING_UNKNOWN = 30
"""Commands that may wait for displays of which no uplink has come here, so that their gateways are not known."""
LATELY = timedelta(seconds=15)
"""A gateway that has acknowledged within this time may have any number of commands. `gateways.last_ack_at` is up to 5 s
old, and a command counts as late after 10 s."""
PROBE_INTERVAL = timedelta(seconds=30)
"""A silent gateway is tried with one command each interval."""
REFRESH = timedelta(seconds=1)


class _Unproven(NamedTuple):
    gateway_id: str
    unacked_since: datetime | None
    waiting: int


UNPROVEN = Query("control.hold.unproven", _Unproven)
SHORT_OF_AIRTIME = Query("control.hold.short_of_airtime", str)


@dataclass(slots=True)
class Hold:
    """Number of commands that may be sent behind each gateway that has acknowledged none lately; others are free.

    `short_of_airtime`: gateways behind which changes wait as long as their location says.
    """

    short_of_airtime: list[str] = field(default_factory=list)
    _left: dict[str, int] = field(default_factory=dict)
    _owing: set[str] = field(default_factory=set)
    _probed_at: dict[str, datetime] = field(default_factory=dict)
    _read_at: datetime | None = None

    async def refresh(self, connection: Connection, now: datetime) -> set[str]:
        """Read which gateways are not in order, at most once a REFRESH.

        Return those that owed acknowledgements, and no longer do.
        """
        if self._read_at is not None and self._read_at <= now < self._read_at + REFRESH:
            return set()
        self._read_at = now
        before = self._owing
        found = await UNPROVEN.all(connection, lately=now - LATELY)
        self.short_of_airtime = await SHORT_OF_AIRTIME.all(connection)
        self._left = {g.gateway_id: self._allowed(g, now) for g in found}
        self._owing = {g.gateway_id for g in found if g.unacked_since is not None}
        self._probed_at = {id: at for id, at in self._probed_at.items() if id in self._owing}
        return before - self._owing

    def _allowed(self, gateway: _Unproven, now: datetime) -> int:
        if gateway.unacked_since is None or now - gateway.unacked_since < SILENT_AFTER:
            return max(0, (MAX_WAITING if gateway.gateway_id else MAX_WAITING_UNKNOWN) - gateway.waiting)
        probed_at = self._probed_at.get(gateway.gateway_id)
        return 1 if probed_at is None or now - probed_at >= PROBE_INTERVAL else 0

    @property
    def held(self) -> list[str]:
        """Return the gateways behind which nothing may be sent now."""
        return [gateway_id for gateway_id, left in self._left.items() if left <= 0]

    def free(self, gateways: Mapping[UUID, str | None]) -> set[UUID]:
        """Return the displays to which a command may be sent now, of displays with their gateways.

        `gateways`: in the order in which displays are served. None: no gateway must acknowledge it soon.
        """
        left = dict(self._left)
        free = set()
        for display_id, gateway_id in gateways.items():
            if gateway_id in left:
                left[gateway_id] -= 1
            if gateway_id is None or left.get(gateway_id, 0) >= 0:
                free.add(display_id)
        return free

    def sent(self, gateway_id: str | None, now: datetime) -> None:
        """Count a command that is sent behind a gateway."""
        if gateway_id in self._left:
            self._left[gateway_id] -= 1
            self._probed_at[gateway_id] = now

    def not_accepted(self, gateway_id: str | None) -> None:
        """Give back the place of a command that the network server did not accept: it does not wait there."""
        if gateway_id in self._left:
            self._left[gateway_id] += 1
