"""Device types of the operator's own, whose devices speak by a JavaScript codec."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from baylight.access.change import Change
from baylight.codecs.ts013 import PREFIX
from baylight.codecs.ts013_display import DisplayMapping
from baylight.errors import ConflictError, InputError
from baylight.inventory import device_types
from baylight.inventory.device_types import DeviceTypeRow
from baylight.js_codecs import versions
from baylight.js_codecs.display_codes import make_codes
from baylight.ports import CodecEngine
from baylight.store.query import queries

_TYPE = re.compile(r"[a-z0-9_]{1,50}\Z")
_PREFIX = re.compile(r"[0-9a-f]{2,16}\Z")
_Given = tuple[str, str, str, list[str], int, int]


async def create_sensor_type(
    change: Change,
    name: str,
    code: str,
    *,
    manufacturer: str,
    model: str,
    uplink_interval_s: int,
    silent_after_intervals: int = 3,
    dev_eui_prefixes: Sequence[str] = (),
) -> DeviceTypeRow:
    """A sensor type of the operator's own, whose devices decode by the codec's active version.

    A sensor of it is believed for `uplink_interval_s` x `silent_after_intervals` after its last reading.
    Raises NotFoundError `unknown_codec`; InputError `bad_device_type`; ConflictError `type_exists`.
    """
    given = _checked(code, manufacturer, model, uplink_interval_s, silent_after_intervals, dev_eui_prefixes)
    async with change.transaction():
        await versions.get_codec(change.connection, name)
        return await _insert(change, "sensor", PREFIX + name, given, {})


async def create_display_type(
    change: Change,
    engine: CodecEngine,
    name: str,
    code: str,
    *,
    states: Mapping[str, Any],
    manufacturer: str,
    model: str,
    uplink_interval_s: int,
    silent_after_intervals: int = 3,
    dev_eui_prefixes: Sequence[str] = (),
    f_port: int | None = None,
    confirmed_downlinks: bool = False,
) -> DeviceTypeRow:
    """A display type of the operator's own. `states`: state -> the `data` of which the codec's active version makes its
    code (`encodeDownlink`); the codes are kept with the type. `f_port`: unless the codec names one.

    Its displays report what they show if the codec's mapping has `states`; others prove no more than that a gateway
    sent the command. Raises NotFoundError `unknown_codec`; InputError `bad_device_type`, `bad_states`, `encode_failed`;
    ConflictError `not_active`, `type_exists`.
    """
    given = _checked(code, manufacturer, model, uplink_interval_s, silent_after_intervals, dev_eui_prefixes)
    version = await versions.get_codec(change.connection, name)
    if not version.active:
        raise ConflictError("not_active", f"no version of the codec {name} is active: its examples prove it", name=name)
    made = await make_codes(engine, version.script, states)
    port = made.f_port or f_port or 1
    if not 1 <= port <= 223 or (f_port and made.f_port and f_port != made.f_port):
        raise InputError("bad_f_port", f"an FPort is 1 to 223, and the codec's own if it names one: {made.f_port}")
    config = {
        "f_port": port,
        "confirmed_downlinks": confirmed_downlinks,
        "display_codes": made.by_state,
        "display_states": dict(states),
        "reports": isinstance(version.mapped, DisplayMapping),
    }
    async with change.transaction():
        await change.connection.execute(queries("js_codecs.versions")["lock_name"], name)
        if (await versions.get_codec(change.connection, name)).id != version.id:
            raise ConflictError(
                "not_active", f"another version of {name} was made active meanwhile: try again", name=name
            )
        return await _insert(change, "display", PREFIX + name, given, config)


def _checked(
    code: str,
    manufacturer: str,
    model: str,
    uplink_interval_s: int,
    silent_after_intervals: int,
    dev_eui_prefixes: Sequence[str],
) -> _Given:
    prefixes = [prefix.lower() for prefix in dev_eui_prefixes]
    if not _TYPE.match(code) or not 0 < len(manufacturer) <= 100 or not 0 < len(model) <= 100:
        raise InputError("bad_device_type", "a type has a code of a-z, 0-9 and _ (50 at most), a maker and a model")
    if not 0 < uplink_interval_s <= 30 * 86400 or not 0 < silent_after_intervals <= 1000:
        raise InputError("bad_device_type", "a type sends at least once in 30 days")
    if not all(_PREFIX.match(prefix) for prefix in prefixes):
        raise InputError("bad_device_type", "a prefix of DevEUIs is 2 to 16 hex digits")
    return code, manufacturer, model, prefixes, uplink_interval_s, silent_after_intervals


async def _insert(change: Change, category: str, codec: str, given: _Given, config: Mapping[str, Any]) -> DeviceTypeRow:
    code = given[0]
    if (
        await change.connection.fetchval(
            queries("js_codecs.versions")["add_type"], *given, category, codec, dict(config)
        )
        is None
    ):
        raise ConflictError("type_exists", f"the device type {code} exists already", device_type=code)
    await change.record("device_type.create", "device_type", code, after={"codec": codec, **config})
    return await device_types.get_device_type(change.connection, code)
