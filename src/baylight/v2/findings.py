"""What stands in the way: read only, in one snapshot, safe on a database at work."""

from __future__ import annotations

import re
from dataclasses import dataclass

from baylight.codecs.all import display_driver
from baylight.codecs.catalogue import load_catalogue
from baylight.codecs.registry import DisplayDriver
from baylight.domain.display import name as colour
from baylight.errors import InputError
from baylight.store.pool import Connection
from baylight.store.query import queries
from baylight.v2.choices import PROPOSED_CODES, RESOLUTIONS, Choices, proposed_types, render
from baylight.v2.contract import role_of_v2
from baylight.v2.schema import LEGACY_TABLES, NEXT, OWN, migrations

_SHOWN = 20
_NEEDED = {
    "spaces": "id name code building floor zone gps_latitude gps_longitude sensor_eui display_eui state metadata"
    " created_at updated_at deleted_at",
    "reservations": "id space_id start_time end_time user_email user_phone status metadata created_at updated_at",
    "sensor_readings": "id device_eui space_id occupancy_state battery temperature rssi snr timestamp",
    "state_changes": "id space_id previous_state new_state source request_id metadata timestamp",
    "api_keys": "id key_hash key_name last_used_at is_active created_at is_admin",
}
_SAYS = {
    "bad_eui": "EUIs that are empty, short or not hex: kept in V2's table, the space gets no such device",
    "contested_sensor": "one sensor on several live spaces (V2 tells EUIs apart by case): one space gets it",
    "both_roles": "one EUI as sensor of one space and display of another",
    "shared_display": "one display on several live spaces: becomes a shared display",
    "deleted_space": "deleted spaces that hold devices: they let go of them",
    "half_position": "half a GPS position: carried over without one",
    "overlap": "active reservations that overlap: the one that was made first is carried over",
    "empty_name": "empty names of building, floor or zone: carried over as no name",
    "strange_state": "states that V2 itself does not know: correct them in V2 first",
    "strange_history": "states in the history that V2 itself does not know: carried over as they are",
    "untyped": "sensors whose EUI does not tell their type: give their prefixes in [types.sensor]",
    "name_taken": "other things in this database that the contract stage would meet",
}
_TAKES = {
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
"""Steps that take longer the more rows a table of V2's has: µs a row, on two cores with a live load beside."""

_IS_EUI = r"(length(\1) = 16 AND translate(\1, '0123456789abcdefABCDEF', '') = '')"
"""For is_eui(column) in the queries. A regular expression takes several times as long."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`choice`: the key in [resolve], or None where there is nothing to choose. At most 20 examples (ids, detail)."""

    kind: str
    says: str
    count: int
    examples: list[tuple[str, str]]
    choice: str | None
    proposed: str | None


@dataclass(frozen=True, slots=True)
class Size:
    table: str
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Report:
    """`proposal`: text of a choices file. `seconds`: about how long each step takes; those not named, less than one."""

    findings: list[Finding]
    sizes: list[Size]
    seconds: dict[str, float]
    proposal: str


async def is_v2(connection: Connection) -> None:
    """Raises InputError `not_v2` that names what is missing."""
    found = {row["name"] for row in await connection.fetch(queries("v2.inspect")["columns"])}
    needed = {f"{table}.{column}" for table, columns in _NEEDED.items() for column in columns.split()}
    if missing := sorted(needed - found):
        raise InputError("not_v2", f"this is no V2 database: it lacks {', '.join(missing[:10])}", missing=missing)


def _needed_names() -> list[str]:
    text = "\n".join(migrations().values())
    return sorted({*re.findall(r"^CREATE TABLE (\w+)", text, re.MULTILINE), "schema_migrations"} - set(LEGACY_TABLES))


async def inspect(connection: Connection) -> Report:
    """Raises InputError `not_v2`."""
    await is_v2(connection)
    sql = queries("v2.inspect")
    findings: list[Finding] = []
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        for kind, says in _SAYS.items():
            query = sql[kind].replace("{names}", "'{" + ",".join(_needed_names()) + "}'")
            query = re.sub(r"is_eui\((\w+)\)", _IS_EUI, query)
            rows = await connection.fetch(
                f"SELECT id, detail, count(*) OVER () AS total FROM ({query}) AS f LIMIT {_SHOWN}"
            )
            if kind == "name_taken":
                rows = [row for row in rows if not row["id"].startswith((f"{NEXT}.", f"{OWN}."))]
            if rows:
                choice = kind if kind in RESOLUTIONS else None
                proposed = RESOLUTIONS[kind][0] if kind in RESOLUTIONS else None
                examples = [(row["id"], row["detail"]) for row in rows]
                findings.append(Finding(kind, says, rows[0]["total"], examples, choice, proposed))
        sizes = [Size(r["name"], r["rows"], r["bytes"]) for r in await connection.fetch(sql["sizes"])]
        displays = await connection.fetchval("SELECT count(*) FROM public.spaces WHERE display_eui <> ''")
        role = await role_of_v2(connection)
    if displays:
        findings += wrong_colours(PROPOSED_CODES, displays)
    rows_of = {size.table: size.rows for size in sizes}
    seconds = {step: rows_of[table] * each / 1e6 for step, (table, each) in _TAKES.items()}
    return Report(findings, sizes, seconds, render([f.kind for f in findings], role, proposed_types()))


def wrong_colours(codes: dict[str, str], displays: int) -> list[Finding]:
    """Codes that make a display show another colour than the catalogue's for that state."""
    kind = next(k for k in load_catalogue() if k.code == "kuando_busylight")
    driver = display_driver(kind.codec)
    right = kind.default_config["display_codes"]
    assert driver is not None
    assert isinstance(right, dict)
    examples = [
        (state, f"{code} shows {_seen(driver, code)}, {right[state]} would show {_seen(driver, right[state])}")
        for state, code in codes.items()
        if code.lower() != right[state]
    ]
    if not examples:
        return []
    says = (
        "codes that do not show what their name says (the device reads red, BLUE, green): `baylight v2 colours --fix`"
    )
    return [Finding("wrong_colour", says, displays, examples, None, None)]


def _seen(driver: DisplayDriver, code: str) -> str:
    light = driver.describe(bytes.fromhex(code))
    return f"{colour(light)} ({light.rgb})"


async def check_choices(connection: Connection, choices: Choices) -> Report:
    """Raises InputError `needs_choices` with every finding that the operator has not decided on."""
    report = await inspect(connection)
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
