"""Commands to the simulated ChirpStack by MQTT: `command/down`."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from baylight.lab.sim.events import new_id
from baylight.lab.sim.network import Item

_SNAKE = {"devEui": "dev_eui", "fPort": "f_port", "expiresAt": "expires_at"}


def parse_command(topic: str, payload: bytes) -> tuple[str, str, Item]:
    """Return application id, DevEUI and item of a `command/down` message.

    Raises ValueError where ChirpStack refuses the message: devEui other than the topic's (case included), fPort 0
    (after a cast to 8 bits), a null, a bad id or base64. Both base64 alphabets are accepted, padded or not, and both
    spellings of keys.
    """
    _, application_id, _, dev_eui, _, command = topic.split("/")
    if command != "down":
        raise ValueError(f"unknown command {command}")
    body = json.loads(payload)
    if not isinstance(body, dict):
        raise ValueError("not an object")

    def value(key: str, default: object) -> Any:
        found = body.get(key, body.get(_SNAKE.get(key, key), default))
        if found is None:
            raise ValueError(f"{key} is null")
        return found

    if value("devEui", "") != dev_eui:
        raise ValueError("devEui does not match the topic")
    data = value("data", "").rstrip("=").replace("+", "-").replace("/", "_")
    expires_at = value("expiresAt", "")
    item = Item(
        id=str(UUID(value("id", ""))) if value("id", "") else new_id(),
        f_port=cast_f_port(int(value("fPort", 0))),
        # `object` wins over `data`; without a codec it makes an empty payload.
        data=b"" if body.get("object") else urlsafe_b64decode(data + "=" * (-len(data) % 4)),
        confirmed=bool(value("confirmed", False)),
        expires_at=datetime.fromisoformat(expires_at).astimezone(UTC) if expires_at else None,
    )
    return application_id, dev_eui, item


def cast_f_port(number: int) -> int:
    """Return the FPort that ChirpStack makes of a number. Raises ValueError for 0 and 256."""
    cast_to_8_bits = number & 0xFF
    if cast_to_8_bits == 0:
        raise ValueError("FPort must be between 1 - 255")
    return cast_to_8_bits
