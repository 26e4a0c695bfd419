"""Findings about V2's rows: what Baylight's schema cannot hold as it is, and lights that look wrong."""

from __future__ import annotations

from typing import NamedTuple

from baylight.codecs.all import display_driver
from baylight.codecs.catalogue import DeviceType, load_catalogue
from baylight.codecs.registry import DisplayDriver
from baylight.domain.lights import name
from baylight.inventory.display_codes import alike_free
from baylight.store.pool import Connection
from baylight.store.query import Query
from baylight.v2.choices import PROPOSED_CODES, RESOLUTIONS, Choices
from baylight.v2.inspection.finding import Finding

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
    "ids_run_out": "ids of state_changes that leave no room for new ones",
    "closed_by_hand": "spaces in MAINTENANCE: they stay closed at the switch until a person opens them, or open",
    "reserved_by_hand": "spaces that are RESERVED without a reservation: they stay so until a person ends it, or not",
    "untyped": "sensors whose EUI does not show their type: give their prefixes in [types.sensor]",
}


class Found(NamedTuple):
    """Example of a finding (ids, detail). `total`: number of all examples."""

    id: str
    detail: str
    total: int


FINDINGS = {
    "bad_eui": Query("v2.rows.bad_eui", Found),
    "contested_sensor": Query("v2.rows.contested_sensor", Found),
    "both_roles": Query("v2.rows.both_roles", Found),
    "shared_display": Query("v2.rows.shared_display", Found),
    "deleted_space": Query("v2.rows.deleted_space", Found),
    "half_position": Query("v2.rows.half_position", Found),
    "overlap": Query("v2.rows.overlap", Found),
    "empty_name": Query("v2.rows.empty_name", Found),
    "strange_state": Query("v2.rows.strange_state", Found),
    "strange_history": Query("v2.rows.strange_history", Found),
    "closed_by_hand": Query("v2.rows.closed_by_hand", Found),
    "reserved_by_hand": Query("v2.rows.reserved_by_hand", Found),
    "untyped": Query("v2.rows.untyped", Found),
    "ids_run_out": Query("v2.rows.ids_run_out", Found),
}
COUNT_DISPLAYS = Query("v2.rows.count_displays", int)


async def findings_of_rows(connection: Connection) -> list[Finding]:
    """Return what V2's rows show."""
    findings: list[Finding] = []
    for kind, query in FINDINGS.items():
        if rows := await query.all(connection):
            choice = kind if kind in RESOLUTIONS else None
            proposed = RESOLUTIONS[kind][0] if kind in RESOLUTIONS else None
            examples = [(row.id, row.detail) for row in rows]
            blocks = kind in ("strange_state", "ids_run_out")
            findings.append(Finding(kind, _MEANING[kind], rows[0].total, examples, choice, proposed, blocks))
    if displays := await COUNT_DISPLAYS.one(connection):
        findings += wrong_colours(PROPOSED_CODES, displays)
    return findings


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
    return [Finding("wrong_colour", meaning, displays, examples)]


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
    return [Finding("lights_alike", meaning, displays, examples)]


def _codes_of(kind: DeviceType) -> dict[str, str]:
    codes = kind.default_config.get("display_codes", {})
    assert isinstance(codes, dict)
    return codes


def _colour(driver: DisplayDriver, code: str) -> str:
    light = driver.describe(bytes.fromhex(code))
    return f"{name(light)} ({light.rgb})"
