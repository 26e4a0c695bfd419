"""Policies that the settings choose."""

from __future__ import annotations

from datetime import timedelta

from baylight.domain.display_loop.actuation import LoopPolicy
from baylight.domain.policies import Policies
from baylight.domain.state import Policy
from baylight.settings import Settings


def policies_of(settings: Settings) -> Policies:
    """Return the policies of a process. Each part of the program receives this one value."""
    return Policies(
        decision=Policy(
            reserved_soon=timedelta(seconds=settings.reserved_soon_s),
            reserved_hides_occupied=settings.reserved_hides_occupied,
        ),
        loop=LoopPolicy(
            ttl=timedelta(seconds=settings.downlink_ttl_s),
            report_timeout=timedelta(seconds=settings.report_timeout_s),
        ),
    )
