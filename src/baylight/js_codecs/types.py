"""Device types of the operator's own, whose devices use a JavaScript codec."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from baylight.access.change import Change
from baylight.codecs.ts013.calls import PREFIX
from baylight.codecs.ts013.display_mapping import DisplayMapping
from baylight.domain.bounded_json import check_json
from baylight.domain.downlink import MAX_F_PORT
from baylight.errors import ConflictError, InputError
from baylight.inventory import device_types
from baylight.inventory.device_types import (
    MAX_SILENT_AFTER_INTERVALS,
    MAX_SILENT_AFTER_S,
    MAX_UPLINK_INTERVAL_S,
    DeviceTypeRow,
)
from baylight.inventory.display_codes import refuse_alike
from baylight.js_codecs import versions
from baylight.js_codecs.display_codes import make_codes, refuse_alike_reports
from baylight.ports import CodecEngine
from baylight.store.query import Statement

DEFAULT_SILENT_AFTER_INTERVALS = 3
MAX_NAME_LENGTH = 100
"""Characters of a manufacturer's or a model's name."""
_CODE = re.compile(r"[a-z0-9_]{1,50}\Z")
_PREFIX = re.compile(r"[0-9a-f]{2,16}\Z")

INSERT = Statement("js_codecs.types.insert")


@dataclass(frozen=True, slots=True)
class NewDeviceType:
    """Device type to create.

    The readings of its devices count for `uplink_interval_s` x `silent_after_intervals`. Raises InputError
    `bad_device_type`.
    """

    code: str
    manufacturer: str
    model: str
    uplink_interval_s: int
    silent_after_intervals: int = DEFAULT_SILENT_AFTER_INTERVALS
    dev_eui_prefixes: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not _CODE.match(self.code) or not all(
            0 < len(n) <= MAX_NAME_LENGTH for n in (self.manufacturer, self.model)
        ):
            raise InputError("bad_device_type", "a type has a code of a-z, 0-9 and _ (50 at most), a maker and a model")
        if not 0 < self.uplink_interval_s <= MAX_UPLINK_INTERVAL_S:
            raise InputError("bad_device_type", "the uplink interval is at most 30 days")
        if not 0 < self.silent_after_intervals <= MAX_SILENT_AFTER_INTERVALS:
            raise InputError("bad_device_type", f"a device is silent after 1 to {MAX_SILENT_AFTER_INTERVALS} intervals")
        if self.uplink_interval_s * self.silent_after_intervals > MAX_SILENT_AFTER_S:
            raise InputError("bad_device_type", "a device is silent after at most 366 days")
        if not all(_PREFIX.match(prefix.lower()) for prefix in self.dev_eui_prefixes):
            raise InputError("bad_device_type", "a prefix of DevEUIs is 2 to 16 hex digits")


async def create_sensor_type(change: Change, name: str, new: NewDeviceType) -> DeviceTypeRow:
    """Create a sensor type whose devices decode by the active version of a codec; return it.

    Raises NotFoundError `unknown_codec`; ConflictError `type_exists`.
    """
    async with change.transaction():
        await versions.get_codec(change.connection, name)
        return await _insert(change, "sensor", PREFIX + name, new, {})


async def create_display_type(
    change: Change,
    engine: CodecEngine,
    name: str,
    new: NewDeviceType,
    *,
    states: Mapping[str, Any],
    f_port: int | None = None,
    confirmed_downlinks: bool = False,
    allow_alike: bool = False,
) -> DeviceTypeRow:
    """Create a display type whose codes the active version of a codec encodes; return it.

    `states`: the `data` of `encodeDownlink` by state; the codes are stored with the type. `f_port`: only if the codec
    names none. The displays report what they show if the codec's mapping has `states`; else the only proof is that a
    gateway sent the command. `allow_alike`: accept that the code of another state is that of FREE. Raises NotFoundError
    `unknown_codec`; InputError `bad_states`, `encode_failed`, `bad_f_port`, `lights_alike`; ConflictError `not_active`,
    `type_exists`.
    """
    made = await encode_config(change, engine, name, states, f_port, confirmed_downlinks, allow_alike)
    async with change.transaction():
        await made.check(change)
        return await _insert(change, "display", PREFIX + name, new, made.config)


@dataclass(frozen=True, slots=True)
class MadeConfig:
    """Configuration of a display type, and the version of the codec `name` that made it."""

    name: str
    version_id: UUID
    config: dict[str, Any]

    async def check(self, change: Change) -> None:
        """Check in a transaction that the version is still active. Raises ConflictError `not_active`."""
        await versions.LOCK_NAME.run(change.connection, name=self.name)
        found = await versions.get_codec(change.connection, self.name)
        if not found.active or found.id != self.version_id:
            raise ConflictError(
                "not_active",
                f"another version of {self.name} was activated in the meantime: try again",
                name=self.name,
            )


async def encode_config(
    change: Change,
    engine: CodecEngine,
    name: str,
    states: Mapping[str, Any],
    f_port: int | None,
    confirmed_downlinks: bool,
    allow_alike: bool,
    *,
    default_f_port: int = 1,
) -> MadeConfig:
    """Return the configuration of a display type by the active version of a codec. Nothing is stored.

    `default_f_port`: used if neither the codec nor `f_port` names one. Raises as `create_display_type`.
    """
    version = await versions.get_codec(change.connection, name)
    if not version.active:
        raise ConflictError("not_active", f"no version of the codec {name} is active: activate one first", name=name)
    check_json(states, "states")
    made = await make_codes(engine, version.script, states)
    alike = refuse_alike(PREFIX + name, made.by_state, allowed=allow_alike)
    refuse_alike_reports(version.mapped, allowed=allow_alike)
    port = made.f_port or f_port or default_f_port
    if not 1 <= port <= MAX_F_PORT or (f_port and made.f_port and f_port != made.f_port):
        raise InputError(
            "bad_f_port", f"an FPort is 1 to {MAX_F_PORT}, and the codec's own if it names one: {made.f_port}"
        )
    config = {
        "f_port": port,
        "confirmed_downlinks": confirmed_downlinks,
        "display_codes": made.by_state,
        "display_states": dict(states),
        "reports": isinstance(version.mapped, DisplayMapping),
    }
    if alike:
        config["allow_alike"] = True
    return MadeConfig(name, version.id, config)


async def _insert(
    change: Change, category: str, codec: str, new: NewDeviceType, config: Mapping[str, Any]
) -> DeviceTypeRow:
    inserted = await INSERT.run(
        change.connection,
        code=new.code,
        manufacturer=new.manufacturer,
        model=new.model,
        dev_eui_prefixes=[prefix.lower() for prefix in new.dev_eui_prefixes],
        uplink_interval_s=new.uplink_interval_s,
        silent_after_intervals=new.silent_after_intervals,
        category=category,
        codec=codec,
        default_config=dict(config),
    )
    if not inserted:
        raise ConflictError("type_exists", f"the device type {new.code} exists already", device_type=new.code)
    await change.record("device_type.create", "device_type", new.code, after={"codec": codec, **config})
    return await device_types.get_device_type(change.connection, new.code)
