"""Two of doctor's checks that need codecs: lights that look like FREE, and mappings that no example proves."""

from __future__ import annotations

from typing import Any, NamedTuple

from baylight.codecs.ts013.calls import Function
from baylight.codecs.ts013.display_mapping import parse_mapping
from baylight.codecs.ts013.examples import Example, parse_examples
from baylight.codecs.ts013.sensor_mapping import OccupancyMapping
from baylight.domain.state import Occupancy
from baylight.inventory.display_codes import alike_free
from baylight.store.pool import Connection
from baylight.store.query import Query


class _Codes(NamedTuple):
    """Codes of displays of one codec: `allowed`: a person accepted them; `dev_euis`: some of the displays."""

    codec: str
    codes: dict[str, str]
    allowed: bool
    dev_euis: list[str]
    displays: int


class _Active(NamedTuple):
    name: str
    version: int
    mapping: dict[str, Any]
    examples: list[dict[str, Any]]


CODES = Query("insight.codec_checks.codes", _Codes)
ACTIVE = Query("insight.codec_checks.active", _Active)


async def lights_alike(connection: Connection) -> list[str]:
    """Return the displays on which the light of another state looks like that of FREE, also where that is allowed."""
    found = []
    for row in await CODES.all(connection):
        if alike := alike_free(row.codec, row.codes):
            more = f" and {row.displays - len(row.dev_euis)} more" if row.displays > len(row.dev_euis) else ""
            by_choice = ", allowed by an operator" if row.allowed else ""
            found.append(f"{', '.join(row.dev_euis)}{more}: {'; '.join(alike)}{by_choice}")
    return found


async def mappings_not_proven(connection: Connection) -> list[str]:
    """Return the active sensor codecs of which no example maps to OCCUPIED, or none to FREE."""
    found = []
    for row in await ACTIVE.all(connection):
        mapping = parse_mapping(row.mapping)
        if isinstance(mapping, OccupancyMapping):
            proven = {_expected(example, mapping) for example in parse_examples(row.examples)}
            if missing := [occupancy for occupancy in Occupancy if occupancy not in proven]:
                found.append(f"{row.name} version {row.version}: no example maps to {' or '.join(missing)}")
    return found


def _expected(example: Example, mapping: OccupancyMapping) -> Occupancy | None:
    """Return what an example that passes maps to."""
    if example.function is not Function.DECODE_UPLINK:
        return None
    if example.has_occupancy:
        return example.occupancy
    warnings = tuple(str(warning) for warning in example.output.get("warnings") or ())
    return mapping.occupancy(example.f_port, example.output.get("data"), warnings)
