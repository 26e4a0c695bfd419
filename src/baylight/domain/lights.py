"""Lights of displays, in terms of what a person sees."""

from __future__ import annotations

import colorsys
import re
from dataclasses import dataclass

from baylight.errors import InputError, shorten


@dataclass(frozen=True, slots=True)
class Light:
    """A colour as a person sees it: `red`, `green`, `blue` 0-255 each, steady or flashing.

    `on_ms`, `off_ms`: the flash's two halves; `off_ms` 0 = steady.
    """

    red: int
    green: int
    blue: int
    on_ms: int = 0
    off_ms: int = 0

    @property
    def rgb(self) -> str:
        """Colour as `#rrggbb`, lower case."""
        return f"#{self.red:02x}{self.green:02x}{self.blue:02x}"


COLOURS = {
    "off": Light(0, 0, 0),
    "red": Light(255, 0, 0),
    "orange": Light(255, 50, 0),
    "yellow": Light(255, 255, 0),
    "green": Light(0, 255, 0),
    "dim green": Light(0, 53, 0),
    "cyan": Light(0, 255, 255),
    "blue": Light(0, 0, 255),
    "purple": Light(255, 0, 255),
    "pink": Light(255, 0, 100),
    "white": Light(255, 255, 255),
}
"""Lights of LEDs. They look yellower than paint: a lamp shows (255, 165, 0), orange on a screen, as yellow."""

_HUES = ((6, "red"), (20, "orange"), (75, "yellow"), (160, "green"), (200, "cyan"), (255, "blue"), (310, "purple"))
"""Upper ends in degrees; pink until 345, then red again. From lamps that people looked at in the field."""
_DIM_BELOW = 96
_WHITE_BELOW_SATURATION = 0.25
_MIN_FLASH_MS = 50
"""Shortest darkness that a person notices."""
_FLASH = re.compile(r"flashing(?:\s+(\d{1,6})\s*/\s*(\d{1,6})(?:\s*ms)?)?\Z")
_HEX = re.compile(r"#[0-9a-f]{6}\Z")


def name(light: Light) -> str:
    """Return what a person would call the light: `red`, `dim green`, `flashing blue`, `off`."""
    colour = _colour(light)
    if colour == "off":
        return colour
    dim = "dim " if max(light.red, light.green, light.blue) < _DIM_BELOW else ""
    return f"{'flashing ' if _flashes(light) else ''}{dim}{colour}"


def parse_light(text: str) -> Light:
    """Return the light that a text names, by a colour's name or `#rrggbb`.

    A light flashes if it is written as `flashing red`, `red, flashing` (1 s on, 1 s off) or `red, flashing 500/250`
    (ms on / off). Raises InputError `bad_light`.
    """
    words = " ".join(text.lower().split())
    on_ms = off_ms = 0
    if words.startswith("flashing "):
        words, on_ms, off_ms = words.removeprefix("flashing "), 1000, 1000
    elif "," in words:
        words, _, rhythm = (part.strip() for part in words.partition(","))
        match = _FLASH.match(rhythm)
        if match is None:
            raise _bad_light(text)
        on_ms, off_ms = int(match[1] or 1000), int(match[2] or 1000)
        if on_ms == 0 or off_ms == 0:
            raise _bad_light(text)
    if _HEX.match(words):
        red, green, blue = bytes.fromhex(words[1:])
    elif words in COLOURS:
        known = COLOURS[words]
        red, green, blue = known.red, known.green, known.blue
    else:
        raise _bad_light(text)
    return Light(red, green, blue, on_ms, off_ms)


def distinguishable(a: Light, b: Light) -> bool:
    """Return True if a driver can tell the two lights apart without seeing them side by side.

    They differ in colour, or one is steady and the other flashes. Brightness and rhythm do not count: a dim green still
    looks free.
    """
    colour_a, colour_b = _colour(a), _colour(b)
    if "off" in (colour_a, colour_b):
        return colour_a != colour_b
    if _flashes(a) != _flashes(b):
        return True
    if colour_a == colour_b or "white" in (colour_a, colour_b):
        return colour_a != colour_b
    apart = abs(_hue(a) - _hue(b))
    return min(apart, 360 - apart) >= 8  # less: both lie at the border of two names and look the same


def _colour(light: Light) -> str:
    brightest = max(light.red, light.green, light.blue)
    if brightest == 0:
        return "off"
    if (brightest - min(light.red, light.green, light.blue)) / brightest < _WHITE_BELOW_SATURATION:
        return "white"
    hue = _hue(light)
    if hue >= 345:
        return "red"
    return next((colour for end, colour in _HUES if hue < end), "pink")


def _hue(light: Light) -> float:
    """Return the hue in degrees: 0 = red, 120 = green, 240 = blue."""
    return colorsys.rgb_to_hsv(light.red / 255, light.green / 255, light.blue / 255)[0] * 360


def _flashes(light: Light) -> bool:
    return light.off_ms >= _MIN_FLASH_MS


def _bad_light(text: str) -> InputError:
    excerpt = shorten(text)
    return InputError(
        "bad_light",
        f"{excerpt!r} is not a light: write {', '.join(COLOURS)} or #rrggbb; for a flashing light add "
        "', flashing 500/500' (ms)",
        value=excerpt,
    )
