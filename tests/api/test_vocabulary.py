"""One vocabulary in the HTTP API, in the events and in the CSV files: what is the same has the same name."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest

from baylight.api.hub import EVENTS
from baylight.bulk.kinds import SHEETS
from baylight.insight.live import LiveActuation, LiveSpace
from tests.support.site import Site

REPLACED = {
    r"current_state(_at)?|state_since": "state, state_at",
    r"(.*_)?(deveui|eui)(?<!dev_eui)": "dev_eui, sensor_dev_eui, display_dev_eui",
    r"fport|port": "f_port",
    r"fcnt|f_count|frame_counter": "f_cnt",
    r"rssi|snr": "rssi_dbm, snr_db",
    r"gateway": "gateway_id",
    r"battery|battery_percent": "battery_pct, battery_v",
    r"gps_latitude|gps_longitude|lat|lon|lng": "latitude, longitude",
    r"profile|device_profile": "device_type",
    r"told|heard": "a name ending in _at",  # `since` is a word of conditions and marks
}
"""Names that the house does not use, as patterns of a whole name, with the names in their place."""
SAME = {
    LiveSpace: ("Space", {"deleted", "conditions"}),
    LiveActuation: ("Actuation", set()),
}
"""Schema of the HTTP API for the same thing as a row of an event, and fields that only the event has."""
FILES = {
    "locations": {"Location", "NewLocation", "Space"},  # metadata is that of a space
    "spaces": {"Space"},
    "device-types": {"DeviceTypeRow"},
    "devices": {"Sensor", "Display"},
    "assignments": {"Served", "Space"},
}
"""Schemas of the HTTP API for the same things as a CSV file."""
ONLY_IN_FILES = {"devices": {"role"}}


@pytest.fixture
def schemas(site: Site) -> dict[str, dict[str, Any]]:
    """Fields of each schema of the HTTP API."""
    components = site.app.openapi()["components"]["schemas"]
    return {name: schema["properties"] for name, schema in components.items() if "properties" in schema}


def fields(row: Any) -> set[str]:
    return {field.name for field in dataclasses.fields(row)}


async def test_no_name_is_a_replaced_word(schemas: dict[str, dict[str, Any]], site: Site) -> None:
    names = {(schema, name) for schema, properties in schemas.items() for name in properties}
    names |= {(f"event {event}", name) for event, row in EVENTS.items() for name in fields(row)}
    names |= {(f"file {kind}", column.name) for kind, sheet in SHEETS.items() for column in sheet.columns}
    for path, operations in site.app.openapi()["paths"].items():
        for operation in operations.values():
            names |= {(path, parameter["name"]) for parameter in operation.get("parameters", ())}
    wrong = [
        f"{place}: {name!r}, say {better}"
        for place, name in sorted(names)
        for pattern, better in REPLACED.items()
        if re.fullmatch(pattern, name)
    ]
    assert not wrong, "\n".join(wrong)


async def test_a_dev_eui_is_not_named_as_the_device(schemas: dict[str, dict[str, Any]]) -> None:
    wrong = [
        f"{schema}.{name}: say {name}_dev_eui"
        for schema, properties in schemas.items()
        for name in ("sensor", "display")
        if "string"
        in [option.get("type") for option in (properties.get(name, {}), *_options(properties.get(name, {})))]
    ]
    assert not wrong, "\n".join(wrong)


def _options(field: dict[str, Any]) -> list[dict[str, Any]]:
    options: list[dict[str, Any]] = field.get("anyOf", [])
    return options


@pytest.mark.parametrize("row", SAME, ids=lambda row: row.__name__)
async def test_an_event_names_its_fields_as_the_api_does(row: Any, schemas: dict[str, dict[str, Any]]) -> None:
    schema, only_here = SAME[row]
    assert fields(row) - only_here <= schemas[schema].keys()


@pytest.mark.parametrize("kind", SHEETS)
async def test_a_file_names_its_columns_as_the_api_does(kind: str, schemas: dict[str, dict[str, Any]]) -> None:
    known = {name for schema in FILES[kind] for name in schemas[schema]} | ONLY_IN_FILES.get(kind, set())
    assert {column.name for column in SHEETS[kind].columns} <= known
