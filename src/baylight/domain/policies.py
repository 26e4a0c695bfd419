"""The operator's choices, made once from the settings."""

from __future__ import annotations

from dataclasses import dataclass, field

from baylight.domain.actuation import LoopPolicy
from baylight.domain.state import Policy


@dataclass(frozen=True, slots=True)
class Policies:
    """`decision`: what a space is. `loop`: how long a display may take to show it."""

    decision: Policy = field(default_factory=Policy)
    loop: LoopPolicy = field(default_factory=LoopPolicy)
