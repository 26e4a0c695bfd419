"""What a display shows, in terms of what a person sees."""

from __future__ import annotations

from dataclasses import dataclass


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
        """`#rrggbb`, lower case."""
        return f"#{self.red:02x}{self.green:02x}{self.blue:02x}"
