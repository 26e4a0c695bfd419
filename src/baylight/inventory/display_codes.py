"""Codes of displays: how a person writes them, how they are stored, which light a person sees."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from baylight.codecs.all import display_driver
from baylight.codecs.registry import DisplayDriver
from baylight.codecs.ts013.calls import PREFIX
from baylight.domain.downlink import MAX_PAYLOAD_BYTES
from baylight.domain.lights import Light, distinguishable, name, parse_light
from baylight.domain.state import State
from baylight.errors import InputError

_HEX = re.compile(r"([0-9a-f]{2})+")


@dataclass(frozen=True, slots=True)
class CodeLight:
    """A code (hex) and the light that a person sees: `rgb` as `#rrggbb`, `colour` in words; both None if unknown."""

    code: str
    rgb: str | None
    colour: str | None


def describe_code(codec: str, code: str) -> CodeLight:
    """Return the light of a code on displays with a codec."""
    driver = display_driver(codec)
    light = light_of(driver, code) if driver else None
    return CodeLight(code, light.rgb if light else None, name(light) if light else None)


def light_of(driver: DisplayDriver, code: str) -> Light | None:
    """Return the light of a code (hex), or None if the driver does not know the code."""
    try:
        return driver.describe(bytes.fromhex(code))
    except (InputError, ValueError):
        return None


def find_driver(codec: str) -> DisplayDriver | None:
    """Return the driver of a codec, or None for a JavaScript codec. Raises InputError `no_driver`."""
    driver = display_driver(codec)
    if driver is None and not codec.startswith(PREFIX):
        raise InputError("no_driver", f"there is no display driver {codec!r}", codec=codec)
    return driver


def check_codes(codec: str, codes: Mapping[str, str], type_codes: Mapping[str, str]) -> dict[str, str]:
    """Return the codes by state, as lower-case hex.

    A code is hex, or a light in words as `domain.lights.parse_light` reads it (`orange`, `#ff9900`,
    `red, flashing 500/500`), which the display's driver encodes. A display with a JavaScript codec accepts only
    `type_codes`, the codes of its type: nothing is known about others.
    Raises InputError `no_driver`, `bad_state`, and `bad_display_code`, which names the state and what to change.
    """
    driver = find_driver(codec)
    checked: dict[str, str] = {}
    for state, text in codes.items():
        if state not in State.__members__:
            raise InputError("bad_state", f"{state!r} is no state: one of {', '.join(State)}", state=state)
        try:
            checked[state] = parse_code(driver, text, type_codes).hex()
        except InputError as error:
            raise InputError(
                "bad_display_code", f"{state}: {error.message}", **{**error.facts, "state": state}
            ) from error
    return checked


def parse_code(driver: DisplayDriver | None, text: str, type_codes: Mapping[str, str]) -> bytes:
    """Return the code for hex digits or for a light in words.

    `driver` None: a JavaScript codec; only hex digits of `type_codes` are accepted. Raises InputError
    `bad_display_code`, and others for text that is neither, or that shows no light on the display.
    """
    given = text.strip().lower()
    if driver is None:
        if not _HEX.fullmatch(given) or len(given) > 2 * MAX_PAYLOAD_BYTES or given not in type_codes.values():
            known = ", ".join(f"{state} {code}" for state, code in type_codes.items())
            raise InputError("bad_display_code", f"{text!r} is not a code of this display's type: {known}")
        return bytes.fromhex(given)
    if _HEX.fullmatch(given):
        code = bytes.fromhex(given)
    else:
        try:
            code = driver.encode(parse_light(given))
        except InputError as error:
            raise InputError(error.code, f"{error.message}; or the code itself in hex digits", **error.facts) from error
    driver.check(code)
    return code


def similar_lights(codec: str, codes: Mapping[str, str]) -> list[str]:
    """Return a warning for each two states whose lights look alike to a person on displays with a codec."""
    return [warning for _, warning in _alike(codec, codes)]


def alike_free(codec: str, codes: Mapping[str, str]) -> list[str]:
    """Return a warning for each state whose light looks like that of FREE to a person on displays with a codec."""
    return [warning for states, warning in _alike(codec, codes) if State.FREE in states]


def refuse_alike(codec: str, codes: Mapping[str, str], *, allowed: bool) -> bool:
    """Refuse codes with which the light of another state looks like FREE, unless a person has `allowed` it.

    Return True if such lights are allowed here. Raises InputError `lights_alike`.
    """
    alike = alike_free(codec, codes)
    if alike and not allowed:
        raise InputError(
            "lights_alike",
            f"{'; '.join(alike)}: a driver cannot tell such a space from a free one. Give the state another code; "
            "if you accept it, say so with --allow-alike (API: allow_alike)",
            alike=alike,
        )
    return bool(alike)


def _alike(codec: str, codes: Mapping[str, str]) -> list[tuple[tuple[str, str], str]]:
    """Return each two states that look alike, with a warning. Codes without a known light are alike if equal."""
    driver = display_driver(codec)
    lights = {state: light_of(driver, code) if driver else None for state, code in codes.items()}
    found = []
    for state, other in combinations(codes, 2):
        light, other_light = lights[state], lights[other]
        if light is None or other_light is None:
            if codes[state].lower() == codes[other].lower():
                found.append(((state, other), f"{state} has the code of {other}: they look alike"))
        elif not distinguishable(light, other_light):
            warning = f"{state} ({name(light)}) looks like {other} ({name(other_light)}) on this display"
            found.append(((state, other), warning))
    return found
