"""Published messages that wait for the broker's answer, and what its answers mean."""

from __future__ import annotations

import asyncio

from baylight.errors import BaylightError, PermanentError, TransientError
from baylight.lns.mqtt.reasons import in_words

NO_SUBSCRIBER = 0x10
FIRST_ERROR = 0x80
NOT_AUTHORIZED = 0x87
_PERMANENT = {0x90: "the topic is not valid", 0x95: "the message is too large", 0x99: "the payload is not valid"}
"""Reason codes of a PUBACK (MQTT 5, 3.4.2.1) after which the same message is refused again."""


class Outgoing:
    """Replacement of gmqtt's store of unacknowledged messages. It reports PUBACKs, and sends no message again."""

    is_empty = True
    latest: asyncio.Future[int]
    """Reason code of the PUBACK of the newest message."""

    def __init__(self) -> None:
        self._waiting: dict[int, asyncio.Future[int]] = {}

    def push_message(self, mid: int, raw_package: bytes) -> None:
        self.latest = self._waiting[mid] = asyncio.get_running_loop().create_future()

    def answered(self, packet: bytes) -> None:
        """Read a PUBACK. Without a reason code it means success."""
        waiting = self._waiting.pop(int.from_bytes(packet[:2]), None)
        if waiting is not None and not waiting.done():
            waiting.set_result(packet[2] if len(packet) > 2 else 0)

    def remove_message_by_mid(self, mid: int) -> None:
        """Do nothing. gmqtt calls this at a PUBACK, which `answered` has read."""

    def fail(self, error: Exception) -> None:
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(error)
                waiting.exception()  # a publisher that gave up does not fetch it, and asyncio would log that

    def clear(self) -> None:
        """Do nothing. gmqtt calls this for a session that the broker does not know, before a message was sent."""

    async def wait_empty(self) -> None:
        """Do nothing. gmqtt calls this before a message was sent."""


def refusal(reason: int, topic: str, user: str | None) -> BaylightError:
    """Return the error for the reason code of a PUBACK from FIRST_ERROR on."""
    if reason == NOT_AUTHORIZED:
        return PermanentError(
            "broker_forbids_publishing",
            f"the MQTT broker does not let user {user or '(none)'} publish to {topic} (not authorized, {reason:#x}): "
            "give the user the right to write this topic",
            topic=topic,
        )
    if reason in _PERMANENT:
        return PermanentError(
            "broker_refuses_message", f"the MQTT broker refuses {topic}: {_PERMANENT[reason]} ({reason:#x})"
        )
    return TransientError("broker_busy", f"the MQTT broker refuses {topic} for now: {in_words(reason)}")
