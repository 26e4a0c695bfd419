"""Each route of the API has a summary that names its act."""

from __future__ import annotations

import re

import pytest

from tests.docs.generated import Route, api_routes

VERBS = frozenset(
    re.findall(
        r"\w+",
        """
        Activate Add Assign Cancel Change Check Claim Clear Close Count Create Deactivate Decode Delete Disable Enable
        Encode End Explain Export Find Fix Get Ignore Import Install List Make Measure Move Open Read Receive Record
        Register Remove Rename Replace Reserve Retire Revoke Run Send Set Share Show Start Stop Stream Swap Test
        Unassign Undo Update
        """,
    )
)
"""Imperatives that begin a summary. A new verb belongs here if no verb of the list fits."""
ROUTES = api_routes()


def wrong(route: Route) -> str | None:
    """Say what is wrong with the summary of a route; None: nothing."""
    if not route.summary:
        return "it has no summary"
    if route.summary.split()[0] not in VERBS:
        return f"its summary does not begin with a verb: {route.summary!r}"
    if route.summary.endswith(".") or "\n" in route.summary or len(route.summary) > 120:
        return f"its summary is no short sentence without a full stop: {route.summary!r}"
    if route.text and (not route.text[0].isupper() and not route.text[0].isdigit() and route.text[0] != "`"):
        return f"its description does not begin a sentence: {route.text!r}"
    if route.text and not route.text.endswith("."):
        return f"its description does not end a sentence: {route.text!r}"
    return None


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_a_route_has_a_summary_that_begins_with_a_verb(route: Route) -> None:
    assert wrong(route) is None, f"{route.name}: {wrong(route)}"


@pytest.mark.parametrize("summary", ["", "The newest first", "Idempotent", "Of a device", "get key", "List keys."])
def test_another_summary_is_refused(summary: str) -> None:
    assert wrong(Route("GET", "/keys", "get_key", "admin", summary, ""))


def test_each_operation_has_its_own_name() -> None:
    names = [route.name for route in ROUTES]
    assert sorted(names) == sorted(set(names))
