"""Several applications of The Things Stack behind one port. Each downlink goes to the application of its device."""

from __future__ import annotations

from collections.abc import Mapping

from baylight.domain.address import application_of
from baylight.domain.downlink import DeviceFacts, Downlink, QueueItem
from baylight.domain.ids import DevEui
from baylight.errors import InputError, PermanentError
from baylight.lns.tts.downlinks import TtsDownlinks


class TtsApplications:
    """Port NetworkServer. `connections`: by the name that conditions have for each; at least one."""

    def __init__(self, connections: Mapping[str, TtsDownlinks]) -> None:
        """Compare the applications. Raises InputError `tts_application_twice`."""
        self.connections = connections
        self._names: dict[str, str] = {}
        for name, connection in connections.items():
            other = self._names.setdefault(connection.application, name)
            if other != name:
                raise InputError(
                    "tts_application_twice",
                    f"the connections {other} and {name} have one application, {connection.application}: remove one, "
                    "because a device's address names its application alone",
                )

    def service(self, downlink: Downlink) -> str:
        """Return the name of the connection that a downlink goes by.

        A single connection gets all downlinks; it refuses those of other applications. Raises PermanentError
        `application_not_known`, `other_application`.
        """
        if len(self.connections) == 1:
            return next(iter(self.connections))
        application = application_of(downlink.application_id)
        if not application:
            raise PermanentError(
                "application_not_known",
                f"the application of display {downlink.dev_eui} is not known, and {len(self.connections)} are set up: "
                f"wait for its first uplink, or `baylight device add {downlink.dev_eui} --application "
                "<application>/<device id>`",
                dev_eui=downlink.dev_eui,
            )
        name = self._names.get(application)
        if name is None:
            raise PermanentError(
                "other_application",
                f"display {downlink.dev_eui} is {downlink.application_id} at The Things Stack, but downlinks go to the "
                f"applications {', '.join(sorted(self._names))}: move it there, or set up that application",
                dev_eui=downlink.dev_eui,
            )
        return name

    async def enqueue(self, downlink: Downlink) -> str:
        return await self.connections[self.service(downlink)].enqueue(downlink)

    async def queue(self, dev_eui: DevEui) -> list[QueueItem] | None:
        return None

    async def device(self, dev_eui: DevEui) -> DeviceFacts | None:
        return None

    async def ping(self) -> None:
        """Do nothing. See `TtsDownlinks.ping`."""
