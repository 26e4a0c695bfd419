"""The OpenAPI document: what the framework derives from the routes, with words for people and programs.

`words.toml` describes each property and parameter. States and statuses, which services check, become enums here.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from enum import StrEnum
from importlib import resources
from types import MappingProxyType
from typing import Any, get_args

from fastapi import FastAPI

from baylight.domain.assignment import Role, SharedRule
from baylight.domain.downlink import NETWORK_SERVERS, ActuationStatus, SyncStatus, TriggerType
from baylight.domain.lifecycle import LIFECYCLE
from baylight.domain.state import Occupancy, State
from baylight.inventory.locations import KINDS
from baylight.schedule.reservations import STATUSES

SERVER = "../.."
"""The place below which the paths are, relative to this document: right also behind a proxy with a prefix."""
_JSON, _PROBLEM = "application/json", "application/problem+json"
_SCHEMAS = "#/components/schemas/"

Words = type[StrEnum] | tuple[str, ...]
ENUMS: Mapping[str, tuple[str, Words]] = MappingProxyType(
    {
        "category": ("Role", get_args(Role)),
        "decided": ("State", State),
        "default_state": ("State", State),
        "desired_state": ("State", State),
        "display_state": ("State", State),
        "lifecycle_state": ("LifecycleState", tuple(LIFECYCLE)),
        "network_server": ("NetworkServer", NETWORK_SERVERS),
        "new_state": ("State", State),
        "occupancy": ("Occupancy", Occupancy),
        "previous_state": ("State", State),
        "role": ("Role", get_args(Role)),
        "sensor_state": ("Occupancy", Occupancy),
        "shared_rule": ("SharedRule", SharedRule),
        "state": ("State", State),
        "sync_status": ("SyncStatus", SyncStatus),
        "trigger_type": ("TriggerType", TriggerType),
        "Actuation.status": ("ActuationStatus", ActuationStatus),
        "DeviceTest.kind": ("DeviceTestKind", ("pattern", "pair")),
        "DeviceTest.result": ("DeviceTestResult", ("running", "passed", "failed")),
        "LifecycleStep.state": ("LifecycleState", tuple(LIFECYCLE)),
        "LightThen.proof": ("Proved", ("reported", "acknowledged", "transmitted")),
        "Location.kind": ("LocationKind", KINDS),
        "Reservation.status": ("ReservationStatus", STATUSES),
        "Signal.verdict": ("Verdict", ("good", "weak", "bad", "unknown")),
    }
)
"""Name and words of each enum, by property, or by schema and property."""


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the document of an application. It is made once."""
    if app.openapi_schema is None:
        document = app.openapi()
        schemas = document["components"]["schemas"]
        described = words()
        for name, schema in list(schemas.items()):
            for field, property_ in schema.get("properties", {}).items():
                enum = ENUMS.get(f"{name}.{field}") or ENUMS.get(field)
                if enum and _name(property_, enum[0]):
                    schemas.setdefault(enum[0], {"type": "string", "title": enum[0], "enum": [*enum[1]]})
                special = described["schemas"].get(name, {}).get(field)
                property_.setdefault("description", special or described["properties"].get(field))
        for operation in operations(document):
            for parameter in operation.get("parameters", ()):
                parameter.setdefault("description", described["parameters"].get(parameter["name"]))
            content = operation["responses"]["default"]["content"]
            content[_PROBLEM] = content.pop(_JSON)
            operation["responses"]["4XX"] = operation["responses"]["default"]
            operation.setdefault("security", [])
        document["servers"] = [{"url": SERVER, "description": "this server"}]
    return app.openapi_schema or {}


def words() -> dict[str, Any]:
    """Return the descriptions: of properties, of properties by schema, and of parameters."""
    return tomllib.loads(resources.files("baylight.api").joinpath("words.toml").read_text("utf-8"))


def operations(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield each operation of a document."""
    for path in document["paths"].values():
        yield from path.values()


def _name(property_: dict[str, Any], name: str) -> bool:
    """Replace plain strings, and lists of the same words, by a reference. Return whether there was one."""
    for option in (property_, *property_.get("anyOf", ())):
        if option.get("type") != "string" or "format" in option:
            continue
        for key in ("type", "enum", "maxLength"):
            option.pop(key, None)
        option["$ref"] = _SCHEMAS + name
        return True
    return False
