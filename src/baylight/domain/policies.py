"""Policies of the operator, made once from the settings."""

from __future__ import annotations

from dataclasses import dataclass, field

from baylight.domain.display_loop.actuation import LoopPolicy
from baylight.domain.state import Policy


@dataclass(frozen=True, slots=True)
class Policies:
    """`decision`: rules for the state of a space. `loop`: time limits of the closed loop of a display."""

    decision: Policy = field(default_factory=Policy)
    loop: LoopPolicy = field(default_factory=LoopPolicy)
