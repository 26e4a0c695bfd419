"""Downlinks to The Things Stack v3, by its MQTT or by its HTTP API."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import msgspec

from baylight.domain.address import is_level
from baylight.domain.downlink import Downlink
from baylight.domain.ids import DevEui
from baylight.errors import PermanentError, shorten
from baylight.lns.tts.events import OURS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class TtsDownlinks:
    """Port NetworkServer. `publish`: an MQTT client's, or `TtsApi.publish`, which accepts the same topics.

    `application`: as The Things Stack's MQTT names it, `<application>@<tenant>`. A downlink replaces all that wait for
    its device, because only the newest command of a display counts. So `enqueue` is idempotent. The queue item id is
    our correlation id, which all messages about the downlink carry.
    """

    def __init__(self, publish: Callable[[str, bytes], Awaitable[object]], application: str) -> None:
        self._publish = publish
        self._application = application

    @property
    def application(self) -> str:
        """Id of the application, without its tenant."""
        return self._application.partition("@")[0]

    async def enqueue(self, downlink: Downlink) -> str:
        item = f"{OURS}{downlink.dev_eui}:{downlink.id}:{(downlink.expires_at - _EPOCH) // timedelta(microseconds=1)}"
        command = {
            "downlinks": [
                {
                    "f_port": downlink.f_port,
                    "frm_payload": base64.b64encode(downlink.data).decode(),
                    "confirmed": downlink.confirmed,
                    "priority": "NORMAL",
                    "correlation_ids": [item],
                }
            ]
        }
        topic = f"v3/{self._application}/devices/{self._device_id(downlink)}/down/replace"
        await self._publish(topic, msgspec.json.encode(command))
        return item

    def _device_id(self, downlink: Downlink) -> str:
        """Return the device id that uplinks carried, else the one that The Things Stack's console suggests."""
        application, _, device_id = (downlink.application_id or "").partition("/")
        if application and application != self.application:
            raise PermanentError(
                "other_application",
                f"display {downlink.dev_eui} is {downlink.application_id} at The Things Stack, but downlinks go to the "
                f"application {self._application}: move it there, or set up that application",
                dev_eui=downlink.dev_eui,
            )
        if not device_id:
            return f"eui-{downlink.dev_eui}"
        if not is_level(device_id):
            raise PermanentError(
                "bad_application_id",
                f"the device id {shorten(device_id)!a} of display {downlink.dev_eui} cannot be part of a topic: "
                f"`baylight device add {downlink.dev_eui} --application <application>/<device id>` replaces it",
                dev_eui=downlink.dev_eui,
            )
        return device_id

    async def queue(self, dev_eui: DevEui) -> None:
        return None

    async def device(self, dev_eui: DevEui) -> None:
        return None

    async def ping(self) -> None:
        """Do nothing: no request is without effect. The consumer reports whether the broker is reachable."""
