"""The `device-types` file: the catalogue."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, NamedTuple

from baylight.bulk import cells
from baylight.bulk.sheets import Column, Sheet
from baylight.bulk.steps import Pages, Step
from baylight.codecs.all import display_driver, sensor_codec
from baylight.codecs.ts013.calls import PREFIX
from baylight.errors import InputError
from baylight.inventory.device_types import MAX_SILENT_AFTER_INTERVALS, MAX_SILENT_AFTER_S, MAX_UPLINK_INTERVAL_S
from baylight.inventory.display_codes import check_codes, refuse_alike
from baylight.store.pool import Connection


class ChangedType(NamedTuple):
    """A type that a file adds or changes. `active`: a version of its JavaScript codec is active."""

    line: int
    category: str
    codec: str
    default_config: dict[str, Any]
    active: bool
    silent_after_s: int | None


CHANGED_TYPES = Pages("bulk.device_types.changed_types", ChangedType)
ADD_ERRORS = Step("bulk.imports.add_errors")


async def _check_codecs(connection: Connection) -> None:
    async for page in CHANGED_TYPES.pages(connection):
        wrong = await asyncio.to_thread(_all_wrong, page)
        for line, column, code, message in wrong:
            await ADD_ERRORS.run(connection, lines=[line], column=column, code=code, message=message)


def _all_wrong(rows: list[ChangedType]) -> list[tuple[int, str, str, str]]:
    return [(row.line, *found) for row in rows for found in _wrong(row)]


def _wrong(row: ChangedType) -> Iterator[tuple[str, str, str]]:
    """Yield column, code and message of each value that a device of this type cannot use."""
    if row.silent_after_s is not None and row.silent_after_s > MAX_SILENT_AFTER_S:
        yield "silent_after_intervals", "bad_number", "a device is silent after at most 366 days: interval x number"
    scripted = row.codec.startswith(PREFIX)
    if scripted and not row.active:
        yield "codec", "unknown_codec", f"no version of the codec {row.codec} is active"
    elif not scripted and (sensor_codec if row.category == "sensor" else display_driver)(row.codec) is None:
        yield "codec", "unknown_codec", f"there is no codec {row.codec!r} for a {row.category}"
    elif row.category == "display":
        yield from _wrong_config(row.codec, row.default_config)


def _wrong_config(codec: str, config: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    f_port, confirmed = config.get("f_port", 1), config.get("confirmed_downlinks", False)
    if type(f_port) is not int or not 1 <= f_port <= 223 or type(confirmed) is not bool:
        yield "default_config", "bad_config", "f_port is 1 to 223, confirmed_downlinks is true or false"
    codes = config.get("display_codes", {})
    if not isinstance(codes, dict) or not all(isinstance(code, str) for code in codes.values()):
        yield "default_config", "bad_config", "display_codes is an object: state to hex"
        return
    try:
        if check_codes(codec, codes, codes) != codes:
            yield "default_config", "bad_display_code", "display_codes of a type are lower-case hex, no colours"
        refuse_alike(codec, codes, allowed=config.get("allow_alike") is True)
    except InputError as error:
        yield "default_config", "lights_alike" if error.code == "lights_alike" else "bad_display_code", error.message


SHEET = Sheet(
    kind="device-types",
    version=1,
    columns=(
        Column("code", cells.matching("[a-z0-9_]{1,50}", "a code of a-z, 0-9 and _ (max. 50)"), required=True),
        Column("category", cells.word("sensor", "display")),
        Column("manufacturer", cells.text(100), exact=True),
        Column("model", cells.text(100), exact=True),
        Column("codec", cells.codec),
        Column("dev_eui_prefixes", cells.prefixes, clearable=True),
        Column("uplink_interval_s", cells.integer(1, MAX_UPLINK_INTERVAL_S)),
        Column("silent_after_intervals", cells.integer(1, MAX_SILENT_AFTER_INTERVALS)),
        Column("default_config", cells.json_object),
        Column("capabilities", cells.json_object),
        Column("enabled", cells.boolean),
    ),
    key=("code",),
    object_type="device_type",
    named_by="code",
    stage=Step("bulk.device_types.stage"),
    stored=Step("bulk.device_types.stored"),
    set_defaults=Step("bulk.device_types.set_defaults"),
    check=Step("bulk.device_types.check"),
    inspect=_check_codecs,
    touch=Step("bulk.device_types.touch"),
    apply=Step("bulk.device_types.apply"),
    written=Step("bulk.device_types.analyze"),
)
