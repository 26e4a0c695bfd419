"""The reference says what the code says."""

from __future__ import annotations

import re

import pytest

from baylight.domain.downlink import ActuationStatus, SyncStatus, TriggerType
from baylight.domain.state import Reason, State
from baylight.store.pool import Pool
from tests.docs import generated

STATUSES = generated.REFERENCE / "states-and-statuses.md"


@pytest.mark.parametrize("name", generated.BLOCKS)
def test_a_page_holds_what_follows_from_the_code(name: str) -> None:
    _, made = generated.BLOCKS[name]
    assert generated.on_page(name) == made(), "run: python -m tests.docs.generated"


@pytest.mark.parametrize(
    ("heading", "words"),
    [
        ("States of a space", State),
        ("The decision", Reason),
        ("Sync statuses", SyncStatus),
        ("Actuation statuses", ActuationStatus),
    ],
)
def test_a_table_has_each_word_once_and_in_the_order_of_the_code(
    heading: str, words: type[State] | type[Reason] | type[SyncStatus] | type[ActuationStatus]
) -> None:
    assert _first_column(heading) == [word.value for word in words]


def test_the_trigger_types_are_those_of_the_code() -> None:
    assert re.findall(r"`(\w+)`", _section("Trigger types")) == [trigger.value for trigger in TriggerType]


async def test_the_outcomes_are_those_of_the_table(pool: Pool) -> None:
    check = await pool.fetchval("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'uplinks_outcome'")
    told = set(_first_column("Outcomes of uplinks"))
    assert told == set(re.findall(r"'(\w+)'", check))


def test_every_metric_is_told_and_no_other() -> None:
    source = generated.ROOT / "src" / "baylight"
    made = (source / "api" / "metrics.py").read_text(encoding="utf-8")
    counters = re.findall(r'CounterMetricFamily\(\s*"(\w+)"', made)
    gauges = re.findall(r'(?:GaugeMetricFamily|_gauge)\(\s*"(\w+)"', made)
    page = (generated.REFERENCE / "metrics.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert sorted(told) == sorted([*(f"{name}_total" for name in counters), *gauges])


def _section(heading: str) -> str:
    text = STATUSES.read_text(encoding="utf-8")
    return text.split(f"## {heading}\n")[1].split("\n## ")[0]


def _first_column(heading: str) -> list[str]:
    return re.findall(r"^\| `(\w+)` \|", _section(heading), re.MULTILINE)
