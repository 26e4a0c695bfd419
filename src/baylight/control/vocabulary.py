"""Stored words and numbers as the values that they stand for. A look into a dict, where an Enum's own is a call of
Python code, and there are several for each uplink."""

from __future__ import annotations

from datetime import timedelta
from functools import cache

from baylight.domain.assignment import SharedRule
from baylight.domain.downlink import ActuationStatus, SyncStatus, TriggerType
from baylight.domain.state import Occupancy, State

STATES = {state.value: state for state in State}
OCCUPANCIES: dict[str | None, Occupancy | None] = {None: None, **{said.value: said for said in Occupancy}}
STATUSES = {status.value: status for status in ActuationStatus}
SYNC_STATUSES = {status.value: status for status in SyncStatus}
TRIGGERS = {trigger.value: trigger for trigger in TriggerType}
SHARED_RULES = {rule.value: rule for rule in SharedRule}


@cache
def span(seconds: int) -> timedelta:
    """Of a device type: there are few."""
    return timedelta(seconds=seconds)
