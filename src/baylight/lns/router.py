"""Several network servers behind one port. Each downlink goes to the server that its device is reached through."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from baylight.domain.downlink import DeviceFacts, Downlink, QueueItem
from baylight.domain.ids import DevEui
from baylight.errors import BaylightError, PermanentError, TransientError
from baylight.lns.tts.applications import TtsApplications
from baylight.ports import NetworkServer


class Router:
    """Port NetworkServer. `servers`: by the `network_server` of a device.

    `answered` is called after each downlink with the error or None, and the name of the server, or of its connection if
    it has several.
    """

    def __init__(
        self,
        servers: Mapping[str, NetworkServer],
        answered: Callable[[str, BaylightError | None], None] = lambda name, error: None,
    ) -> None:
        self._servers = servers
        self._answered = answered

    async def enqueue(self, downlink: Downlink) -> str:
        server = self._servers.get(downlink.network_server)
        if server is None:
            raise PermanentError(
                "network_server_not_set",
                f"display {downlink.dev_eui} is reached through {downlink.network_server}, which is not set up: "
                f"set BAYLIGHT_{downlink.network_server.upper()}_…, or move the device",
                dev_eui=downlink.dev_eui,
            )
        service = server.service(downlink) if isinstance(server, TtsApplications) else downlink.network_server
        try:
            item = await server.enqueue(downlink)
        except BaylightError as error:
            reported = error
            if error.code == "bad_api_key":
                # No device is at fault, and all of them work again with a new key.
                reported = TransientError("network_server_key_refused", error.message)
            self._answered(service, reported)
            if reported is error:
                raise
            raise reported from error
        self._answered(service, None)
        return item

    async def queue(self, dev_eui: DevEui) -> list[QueueItem] | None:
        """Return the items of all servers for the device. A server that does not know the device has none."""
        found: list[QueueItem] | None = None
        for server in self._servers.values():
            try:
                items = await server.queue(dev_eui)
            except PermanentError as error:
                if error.code not in ("device_not_known", "downlink_refused"):
                    raise
                continue
            if items is not None:
                found = (found or []) + items
        return found

    async def device(self, dev_eui: DevEui) -> DeviceFacts | None:
        """Return what the first server that knows the device says about it; None if none of them can report it.

        Raises PermanentError `device_not_known` if a server can report devices and none knows this one.
        """
        not_known: PermanentError | None = None
        for server in self._servers.values():
            try:
                if facts := await server.device(dev_eui):
                    return facts
            except PermanentError as error:
                if error.code != "device_not_known":
                    raise
                not_known = error
        if not_known is not None:
            raise not_known
        return None

    async def ping(self) -> None:
        for server in self._servers.values():
            await server.ping()
