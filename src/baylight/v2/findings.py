"""Findings that stand in the way of a migration. They are read in one snapshot, which is safe on a database at work."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import NamedTuple

from baylight.codecs.all import display_driver
from baylight.codecs.catalogue import DeviceType, load_catalogue
from baylight.codecs.registry import DisplayDriver
from baylight.domain.lights import name
from baylight.errors import InputError
from baylight.inventory.display_codes import alike_free
from baylight.store.pool import Connection
from baylight.store.query import Query
from baylight.v2.choices import PROPOSED_CODES, RESOLUTIONS, Choices, proposed_types, render
from baylight.v2.contract import role_of_v2
from baylight.v2.schema import LEGACY_TABLES, V2_COLUMNS, migrations

_MEANING = {
    "bad_eui": "EUIs that are empty, short or not hex: kept in V2's table, the space gets no such device",
    "contested_sensor": "one sensor on several live spaces (V2 distinguishes EUIs by case): one space gets it",
    "both_roles": "one EUI as sensor of one space and display of another",
    "shared_display": "one display on several live spaces: becomes a shared display",
    "deleted_space": "deleted spaces that hold devices: they release them",
    "half_position": "half a GPS position: the space is carried over without one",
    "overlap": "active reservations that overlap: the one that was created first is carried over",
    "empty_name": "empty names of building, floor or zone: carried over as no name",
    "strange_state": "states that V2 itself does not know: correct them in V2 first",
    "strange_history": "states in the history that V2 itself does not know: carried over as they are",
    "closed_by_hand": "spaces in MAINTENANCE: they stay closed at the switch until a person opens them, or open",
    "reserved_by_hand": "spaces that are RESERVED without a reservation: they stay so until a person ends it, or not",
    "untyped": "sensors whose EUI does not show their type: give their prefixes in [types.sensor]",
    "name_taken": "other things in this database that the contract stage would meet",
}
_US_PER_ROW = {
    "contested": ("spaces", 2.5),
    "spaces": ("spaces", 55.0),
    "reservations": ("reservations", 40.0),
    "state_changes": ("state_changes", 6.0),
    "api_keys": ("api_keys", 1000.0),
    "indexes": ("spaces", 4.0),
    "assignments": ("spaces", 32.0),
    "foreign keys": ("spaces", 2.0),
    "verify": ("spaces", 9.0),
    "catch_up": ("spaces", 5.0),
    "redecide": ("spaces", 2.5),
}
"""Steps whose time grows with the rows of a table of V2's: µs per row, on two cores with a live load beside."""


class Found(NamedTuple):
    """Example of a finding (ids, detail). `total`: number of all examples."""

    id: str
    detail: str
    total: int


@dataclass(frozen=True, slots=True)
class Size:
    """Size of a table of V2."""

    table: str
    rows: int
    bytes: int


FINDINGS = {
    "bad_eui": Query("v2.findings.bad_eui", Found),
    "contested_sensor": Query("v2.findings.contested_sensor", Found),
    "both_roles": Query("v2.findings.both_roles", Found),
    "shared_display": Query("v2.findings.shared_display", Found),
    "deleted_space": Query("v2.findings.deleted_space", Found),
    "half_position": Query("v2.findings.half_position", Found),
    "overlap": Query("v2.findings.overlap", Found),
    "empty_name": Query("v2.findings.empty_name", Found),
    "strange_state": Query("v2.findings.strange_state", Found),
    "strange_history": Query("v2.findings.strange_history", Found),
    "closed_by_hand": Query("v2.findings.closed_by_hand", Found),
    "reserved_by_hand": Query("v2.findings.reserved_by_hand", Found),
    "untyped": Query("v2.findings.untyped", Found),
}
NAME_TAKEN = Query("v2.findings.name_taken", Found)
SIZES = Query("v2.findings.sizes", Size)
COUNT_DISPLAYS = Query("v2.findings.count_displays", int)
COLUMNS = Query("v2.findings.columns", str)


@dataclass(frozen=True, slots=True)
class Finding:
    """Finding that stands in the way. `choice`: the key in [resolve], or None where there is nothing to choose.

    `examples`: at most 20 pairs of ids and detail.
    """

    kind: str
    meaning: str
    count: int
    examples: list[tuple[str, str]]
    choice: str | None
    proposed: str | None


@dataclass(frozen=True, slots=True)
class Report:
    """Report of all findings. `proposal`: text of a choices file.

    `seconds`: estimated time by step. A step without an estimate needs less than 1 s.
    """

    findings: list[Finding]
    sizes: list[Size]
    seconds: dict[str, float]
    proposal: str

    def warnings(self) -> list[str]:
        """Return the findings that need no choice, but that a person must see again before the migration."""
        alike = [f for f in self.findings if f.kind == "lights_alike"]
        return [f"{f.kind}: {f.meaning}: {type_}: {detail}" for f in alike for type_, detail in f.examples]


async def is_v2(connection: Connection) -> None:
    """Check that this is a V2 database. Raises InputError `not_v2` that names the missing columns."""
    found = set(await COLUMNS.all(connection))
    needed = {f"{table}.{column}" for table, columns in V2_COLUMNS.items() for column in columns.split()}
    if missing := sorted(needed - found):
        raise InputError("not_v2", f"this is no V2 database: it lacks {', '.join(missing[:10])}", missing=missing)


def _needed_names() -> list[str]:
    text = "\n".join(migrations().values())
    return sorted({*re.findall(r"^CREATE TABLE (\w+)", text, re.MULTILINE), "schema_migrations"} - set(LEGACY_TABLES))


async def inspect(connection: Connection) -> Report:
    """Return all findings that stand in the way. Raises InputError `not_v2`."""
    await is_v2(connection)
    findings: list[Finding] = []
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        found = {kind: await query.all(connection) for kind, query in FINDINGS.items()}
        found["name_taken"] = await NAME_TAKEN.all(connection, names=_needed_names())
        sizes = await SIZES.all(connection)
        displays = await COUNT_DISPLAYS.one(connection)
        role = await role_of_v2(connection)
    for kind, rows in found.items():
        if rows:
            choice = kind if kind in RESOLUTIONS else None
            proposed = RESOLUTIONS[kind][0] if kind in RESOLUTIONS else None
            examples = [(row.id, row.detail) for row in rows]
            findings.append(Finding(kind, _MEANING[kind], rows[0].total, examples, choice, proposed))
    if displays:
        findings += wrong_colours(PROPOSED_CODES, displays)
    rows_of = {size.table: size.rows for size in sizes}
    seconds = {step: rows_of[table] * each / 1e6 for step, (table, each) in _US_PER_ROW.items()}
    return Report(findings, sizes, seconds, render([f.kind for f in findings], role, proposed_types()))


def wrong_colours(codes: dict[str, str], displays: int) -> list[Finding]:
    """Return the codes that make a display show another colour than the catalogue's for that state."""
    kind = next(k for k in load_catalogue() if k.code == "kuando_busylight")
    driver = display_driver(kind.codec)
    right = kind.default_config["display_codes"]
    assert driver is not None
    assert isinstance(right, dict)
    examples = [
        (state, f"{code} shows {_colour(driver, code)}, {right[state]} would show {_colour(driver, right[state])}")
        for state, code in codes.items()
        if code.lower() != right[state]
    ]
    if not examples:
        return []
    meaning = "codes whose colour is not the state's (the device reads red, BLUE, green): `baylight v2 colours --fix`"
    return [Finding("wrong_colour", meaning, displays, examples, None, None)]


def alike_lights(choices: Choices, displays: int) -> list[Finding]:
    """Return the states of V2's displays whose light looks like that of FREE. The displays keep their codes."""
    wanted = set(choices.types["display"].values())
    examples = [
        (kind.code, warning)
        for kind in load_catalogue()
        if kind.code in wanted
        for warning in alike_free(kind.codec, {**_codes_of(kind), **choices.display_codes})
    ]
    if not examples or not displays:
        return []
    meaning = "states whose light looks like FREE: kept, and shown by doctor; better correct [display_codes]"
    return [Finding("lights_alike", meaning, displays, examples, None, None)]


def _codes_of(kind: DeviceType) -> dict[str, str]:
    codes = kind.default_config.get("display_codes", {})
    assert isinstance(codes, dict)
    return codes


def _colour(driver: DisplayDriver, code: str) -> str:
    light = driver.describe(bytes.fromhex(code))
    return f"{name(light)} ({light.rgb})"


async def check_choices(connection: Connection, choices: Choices) -> Report:
    """Return the report if the operator has decided on every finding.

    Raises InputError `not_v2`, `needs_choices` with the undecided findings, or `strange_state`.
    """
    report = await inspect(connection)
    alike = alike_lights(choices, await COUNT_DISPLAYS.one(connection))
    report = replace(report, findings=[*report.findings, *alike])
    open_ = [f for f in report.findings if f.choice and f.choice not in choices.resolve]
    if open_:
        raise InputError(
            "needs_choices",
            "decide on these in a choices file (`baylight v2 inspect --write-choices FILE` proposes one): "
            + "; ".join(f"{f.choice} ({f.count})" for f in open_),
            findings=[f.kind for f in open_],
        )
    if any(f.kind == "strange_state" for f in report.findings):
        raise InputError("strange_state", "spaces have states that V2 does not know: correct them in V2 first")
    return report
