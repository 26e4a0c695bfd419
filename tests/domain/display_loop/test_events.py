"""The table of events and the code say the same."""

from __future__ import annotations

import inspect
import re
from types import ModuleType

import pytest

from baylight.domain.conditions import ConditionKind
from baylight.domain.display_loop import decisions, due, news, sending, uplinks
from baylight.domain.display_loop.events import EVENTS

NO_EVENTS = {"resend", "hold", "recover", "has_uplink_since_join", "replay"}
"""Public functions that events use."""


def _functions(module: ModuleType) -> set[str]:
    return {
        name
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_")
    }


@pytest.mark.parametrize("module", [decisions, due, news, sending, uplinks])
def test_each_event_of_the_code_is_in_the_table(module: ModuleType) -> None:
    listed = {event.apply.__name__ for event in EVENTS.values() if event.apply.__module__ == module.__name__}
    assert listed == _functions(module) - NO_EVENTS


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_begins_the_conditions_of_its_row_and_no_other(name: str) -> None:
    event = EVENTS[name]
    source = inspect.getsource(event.apply)
    begun = {ConditionKind(kind.lower()) for kind in re.findall(r"display\.begin\(_K\.(\w+)", source)}
    begun |= {ConditionKind.DISPLAY_UNDELIVERABLE} if "display.undeliverable(" in source else set()
    begun |= {ConditionKind.DISPLAY_WRONG} if "display.wrong(" in source else set()
    if event.apply is uplinks.joined:
        begun |= {ConditionKind.DISPLAY_WAITS_FOR_UPLINK}  # through _session_lost
    if event.apply is decisions.desire:
        begun |= {ConditionKind.DISPLAY_MISCONFIGURED}  # through settle
    assert begun == set(event.begins)
