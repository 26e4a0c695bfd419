"""What a person would call a light."""

from __future__ import annotations

import colorsys

from baylight.domain.display import Light

# Upper end of each hue in degrees. What a lamp shows as orange has far less green than an orange on a screen.
_HUES = ((10, "red"), (28, "orange"), (75, "yellow"), (165, "green"), (200, "cyan"), (258, "blue"), (306, "purple"))
_HUES_END = ((345, "pink"), (361, "red"))


def colour_name(light: Light) -> str:
    """`green`, `dim green`, `flashing blue`, `off` …"""
    hue, saturation, value = colorsys.rgb_to_hsv(light.red / 255, light.green / 255, light.blue / 255)
    if value < 0.02:
        return "off"
    degrees = hue * 360
    colour = next(name for end, name in _HUES + _HUES_END if degrees < end) if saturation >= 0.2 else "white"
    words = ["flashing"] if light.off_ms else []
    words += ["dim"] if value < 0.35 else []
    return " ".join([*words, colour])
