"""Changes of the operator's own device types, and their end. Shipped types can only be enabled and disabled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from baylight.access.change import Change
from baylight.codecs.ts013.calls import PREFIX
from baylight.domain.downlink import TriggerType
from baylight.errors import ConflictError, InputError, TransientError
from baylight.inventory import device_types
from baylight.inventory.device_types import DeviceTypeRow
from baylight.js_codecs.types import MadeConfig, NewDeviceType, encode_config
from baylight.ports import CodecEngine
from baylight.store.query import Query, Statement


@dataclass(frozen=True, slots=True)
class DeviceTypeChange:
    """Values to change; None leaves a value as it is. The last four are those of a display's codec."""

    manufacturer: str | None = None
    model: str | None = None
    uplink_interval_s: int | None = None
    silent_after_intervals: int | None = None
    dev_eui_prefixes: Sequence[str] | None = None
    enabled: bool | None = None
    states: Mapping[str, Any] | None = None
    f_port: int | None = None
    confirmed_downlinks: bool | None = None
    allow_alike: bool | None = None

    @property
    def of_display(self) -> bool:
        return any(v is not None for v in (self.states, self.f_port, self.confirmed_downlinks, self.allow_alike))

    @property
    def of_shipped(self) -> bool:
        """Flag: a shipped type can be changed so."""
        return all(value is None for name, value in asdict(self).items() if name != "enabled")


@dataclass(frozen=True, slots=True)
class Devices:
    """Number of devices of a type: those in the registry, and those that are decommissioned."""

    live: int
    decommissioned: int


COUNT = Query("js_codecs.type_changes.count", Devices)
UPDATE = Statement("js_codecs.type_changes.update")
DELETE = Statement("js_codecs.type_changes.delete")
NAME_SENSORS = Statement("js_codecs.type_changes.name_sensors")
NAME_DISPLAYS = Statement("js_codecs.type_changes.name_displays")
SERVED = Query("js_codecs.type_changes.served", UUID)
SET_CONFIG = Statement("js_codecs.type_changes.set_config")


async def change_device_type(
    change: Change, code: str, wanted: DeviceTypeChange, engine: CodecEngine | None = None
) -> DeviceTypeRow:
    """Change a device type; return it. Idempotent. `engine`: needed for what the codec of a display makes.

    Its devices get another maker and model, and their spaces are decided by another interval at once. What displays are
    sent changes only while none of the type is in the registry; decommissioned ones get it. Raises NotFoundError
    `unknown_device_type`; InputError `nothing_given`, `bad_device_type`, `not_a_codec_type`, and what
    `create_display_type` raises; ConflictError `shipped_type`, `type_in_use`.
    """
    if wanted == DeviceTypeChange():
        raise InputError("nothing_given", "name what to change")
    before = await device_types.get_device_type(change.connection, code)
    _refuse_shipped(before, wanted)
    made = await _make_config(change, engine, before, wanted) if wanted.of_display else None
    async with change.transaction():
        before = await device_types.lock_device_type(change.connection, code)
        await change.locked()
        _refuse_shipped(before, wanted)
        await _store(change, before, wanted, made)
    return await device_types.get_device_type(change.connection, code)


async def delete_device_type(change: Change, code: str) -> None:
    """Delete a device type that no device has.

    Raises NotFoundError `unknown_device_type`; ConflictError `shipped_type`, `type_in_use`.
    """
    async with change.transaction():
        found = await device_types.lock_device_type(change.connection, code)
        await change.locked()
        if found.shipped:
            raise ConflictError(
                "shipped_type",
                f"{code} ships with Baylight; it takes no new devices after `baylight type change {code} --disabled`",
                device_type=code,
            )
        devices = await COUNT.one(change.connection, code=code)
        if total := devices.live + devices.decommissioned:
            raise ConflictError(
                "type_in_use",
                f"{_have(total, found)}, {devices.decommissioned} decommissioned, and their history needs it. "
                f"Correct it with `baylight type change {code}`, or add --disabled to keep new devices away from it",
                device_type=code,
                devices=total,
            )
        await DELETE.run(change.connection, code=code)
        await change.record("device_type.delete", "device_type", code, before=_recorded(found))


async def _make_config(
    change: Change, engine: CodecEngine | None, kind: DeviceTypeRow, wanted: DeviceTypeChange
) -> MadeConfig:
    old = kind.default_config
    states = old.get("display_states") if wanted.states is None else wanted.states
    if kind.category != "display" or not kind.codec.startswith(PREFIX) or states is None:
        raise InputError(
            "not_a_codec_type",
            f"{kind.code} has no codes that a JavaScript codec makes: states, FPort and confirmation belong to those",
            device_type=kind.code,
        )
    if engine is None:
        raise TransientError("no_engine", "this process runs no JavaScript codecs")
    confirmed = old.get("confirmed_downlinks", False)
    return await encode_config(
        change,
        engine,
        kind.codec.removeprefix(PREFIX),
        states,
        wanted.f_port,
        confirmed if wanted.confirmed_downlinks is None else wanted.confirmed_downlinks,
        old.get("allow_alike", False) and wanted.states is None if wanted.allow_alike is None else wanted.allow_alike,
        default_f_port=old.get("f_port", 1),
    )


async def _store(change: Change, before: DeviceTypeRow, wanted: DeviceTypeChange, made: MadeConfig | None) -> None:
    given = {name: value for name, value in asdict(wanted).items() if value is not None}
    new = NewDeviceType(
        before.code,
        given.get("manufacturer", before.manufacturer),
        given.get("model", before.model),
        given.get("uplink_interval_s", before.uplink_interval_s),
        given.get("silent_after_intervals", before.silent_after_intervals),
        [prefix.lower() for prefix in given.get("dev_eui_prefixes", before.dev_eui_prefixes)],
    )
    after = {**asdict(new), "enabled": given.get("enabled", before.enabled), "default_config": before.default_config}
    if made is not None:
        await made.check(change)
        after["default_config"] = made.config
        await _configure_displays(change, before, made)
    if after == _recorded(before):
        return
    await UPDATE.run(change.connection, **after)
    names = {"code": before.code, "manufacturer": new.manufacturer, "model": new.model}
    await (NAME_SENSORS if before.category == "sensor" else NAME_DISPLAYS).run(change.connection, **names)
    changed = {name for name, value in _recorded(before).items() if after[name] != value}
    await change.record(
        "device_type.change",
        "device_type",
        before.code,
        before={name: value for name, value in _recorded(before).items() if name in changed},
        after={name: value for name, value in after.items() if name in changed},
    )
    if changed & {"uplink_interval_s", "silent_after_intervals"}:
        spaces = await SERVED.all(change.connection, code=before.code)
        await change.redecide(spaces, TriggerType.ASSIGNMENT)


async def _configure_displays(change: Change, kind: DeviceTypeRow, made: MadeConfig) -> None:
    """Give the configuration to decommissioned displays of the type. Raises ConflictError `type_in_use` for others."""
    if made.config == kind.default_config:
        return
    devices = await COUNT.one(change.connection, code=kind.code)
    if devices.live:
        raise ConflictError(
            "type_in_use",
            f"{_have(devices.live, kind)} and its codes. First `baylight space unassign` and `baylight device retire` "
            "each of them, and add them again after the change",
            device_type=kind.code,
            devices=devices.live,
        )
    await SET_CONFIG.run(
        change.connection,
        code=kind.code,
        display_codes=made.config["display_codes"],
        alike_allowed=made.config.get("allow_alike", False),
        f_port=made.config["f_port"],
        confirmed_downlinks=made.config["confirmed_downlinks"],
    )


def _refuse_shipped(kind: DeviceTypeRow, wanted: DeviceTypeChange) -> None:
    if kind.shipped and not wanted.of_shipped:
        raise ConflictError(
            "shipped_type",
            f"{kind.code} ships with Baylight: only whether it is enabled can change",
            device_type=kind.code,
        )


def _recorded(kind: DeviceTypeRow) -> dict[str, Any]:
    names = "code manufacturer model uplink_interval_s silent_after_intervals dev_eui_prefixes enabled default_config"
    return {name: getattr(kind, name) for name in names.split()}


def _have(count: int, kind: DeviceTypeRow) -> str:
    return f"{count} {kind.category}{' has' if count == 1 else 's have'} the type {kind.code}"
