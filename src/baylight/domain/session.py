"""LoRaWAN session of a device, and the network server through which downlinks reach it."""

from __future__ import annotations

import msgspec

from baylight.domain.events import Join, Uplink


class Session(msgspec.Struct, gc=False):
    """Session of a device as far as it is stored. `dev_addr`, `last_f_cnt`: of its newest uplink."""

    network_server: str
    application_id: str | None
    dev_addr: str | None
    last_f_cnt: int | None

    def route(self, event: Uplink | Join) -> bool:
        """Choose the network server for downlinks: the one of the last join, else the one of the first uplink.

        Return True if the choice changed.
        """
        first = self.application_id is None or self.last_f_cnt is None
        if not event.application_id or not (
            isinstance(event, Join) or first or event.network_server == self.network_server
        ):
            return False
        before = (self.network_server, self.application_id)
        self.network_server, self.application_id = event.network_server, event.application_id
        return before != (self.network_server, self.application_id)

    def frames_ahead(self, uplink: Uplink) -> int | None:
        """Return how far the frame counter lies beyond the newest stored one of the same session.

        None: another session. Above 0, the frame is new. Else it may be stored already, or be a copy of a stored frame.
        """
        if self.last_f_cnt is None or uplink.f_cnt is None or uplink.dev_addr != self.dev_addr:
            return None
        return uplink.f_cnt - self.last_f_cnt
