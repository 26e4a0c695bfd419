"""Codes of displays: what people write, what is stored, what a person sees."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from baylight.codecs.all import display_driver
from baylight.codecs.registry import DisplayDriver
from baylight.codecs.ts013 import PREFIX
from baylight.domain.display import distinguishable, name, parse_light
from baylight.domain.state import State
from baylight.errors import InputError

LONGEST_CODE = 242
_HEX = re.compile(r"([0-9a-f]{2})+")


@dataclass(frozen=True, slots=True)
class Shown:
    """A code and what a person sees: `rgb` as `#rrggbb`, `colour` in words; both None if nobody can tell."""

    code: str
    rgb: str | None
    colour: str | None


def shown(codec: str, code: str) -> Shown:
    """What a person sees for a code of a display of that codec."""
    driver = display_driver(codec)
    try:
        light = driver.describe(bytes.fromhex(code)) if driver else None
    except (InputError, ValueError):
        light = None
    return Shown(code, light.rgb if light else None, name(light) if light else None)


def check_codes(codec: str, codes: Mapping[str, str], of_type: Mapping[str, str]) -> dict[str, str]:
    """State -> lower-case hex. A code is hex, or a light as `domain.display.parse_light` reads it (`orange`,
    `#ff9900`, `red, flashing 500/500`), which the display's driver encodes.

    A display with a JavaScript codec takes no codes but those `of_type`: what others do nobody can tell.
    Raises InputError `bad_display_code` that names the state and what to change.
    """
    driver = display_driver(codec)
    if driver is None and not codec.startswith(PREFIX):
        raise InputError("no_driver", f"there is no display driver {codec!r} to check display codes with", codec=codec)
    checked: dict[str, str] = {}
    for state, text in codes.items():
        if state not in State.__members__:
            raise InputError("bad_state", f"{state!r} is no state: one of {', '.join(State)}", state=state)
        try:
            checked[state] = parse_code(driver, text).hex() if driver else _of_type(text, of_type)
        except InputError as error:
            raise InputError(
                "bad_display_code", f"{state}: {error.message}", **{**error.facts, "state": state}
            ) from error
    return checked


def _of_type(text: str, of_type: Mapping[str, str]) -> str:
    code = text.strip().lower()
    if not _HEX.fullmatch(code) or len(code) > 2 * LONGEST_CODE or code not in of_type.values():
        known = ", ".join(f"{state} {its}" for state, its in of_type.items())
        raise InputError("bad_display_code", f"{text!r} is no code of this display's type: {known}")
    return code


def parse_code(driver: DisplayDriver, text: str) -> bytes:
    """The code for hex digits or a light. Raises InputError for what is neither, or shows no light on that display."""
    given = text.strip().lower()
    if _HEX.fullmatch(given):
        code = bytes.fromhex(given)
    else:
        try:
            code = driver.encode(parse_light(given))
        except InputError as error:
            raise InputError(error.code, f"{error.message}; or the code itself in hex digits", **error.facts) from error
    driver.check(code)
    return code


def mistakable(codec: str, codes: Mapping[str, str]) -> list[str]:
    """Warnings: states whose lights a person cannot tell from each other on that display."""
    driver = display_driver(codec)
    if driver is None:
        return [
            f"{one} has the code of {other}: they look alike"
            for n, one in enumerate(codes)
            for other in list(codes)[n + 1 :]
            if codes[one] == codes[other]
        ]
    seen = []
    for state, code in codes.items():
        try:
            seen.append((state, driver.describe(bytes.fromhex(code))))
        except (InputError, ValueError):
            continue
    return [
        f"{one} ({name(light)}) cannot be told from {other} ({name(other_light)}) on this display"
        for n, (one, light) in enumerate(seen)
        for other, other_light in seen[n + 1 :]
        if not distinguishable(light, other_light)
    ]
