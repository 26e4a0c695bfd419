"""The reference agrees with the code."""

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
    assert set(_first_column("Outcomes of uplinks")) == set(re.findall(r"'(\w+)'", check))


def test_the_page_lists_every_metric_and_no_other() -> None:
    source = generated.ROOT / "src" / "baylight"
    made = (source / "api" / "metrics.py").read_text(encoding="utf-8")
    counters = re.findall(r'CounterMetricFamily\(\s*"(\w+)"', made)
    gauges = re.findall(r'(?:GaugeMetricFamily|_gauge)\(\s*"(\w+)"', made)
    page = (generated.REFERENCE / "metrics.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert sorted(listed) == sorted([*(f"{name}_total" for name in counters), *gauges])


async def test_the_data_model_lists_every_table_and_no_other(pool: Pool) -> None:
    text = (generated.ROOT / "docs" / "explanation" / "data-model.md").read_text(encoding="utf-8")
    page = text.partition("## Names of V2")[0]
    listed = [name for row in re.findall(r"^\| (`.+?`) \|", page, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)]
    rows = await pool.fetch(
        """
        SELECT t.tablename FROM pg_tables AS t
        INNER JOIN pg_class AS c ON c.oid = format('%I.%I', t.schemaname, t.tablename)::regclass
        WHERE t.schemaname = current_schema() AND NOT c.relispartition
        """
    )
    assert sorted(listed) == sorted(row["tablename"] for row in rows)


def _section(heading: str) -> str:
    text = STATUSES.read_text(encoding="utf-8")
    return text.split(f"## {heading}\n")[1].split("\n## ")[0]


def _first_column(heading: str) -> list[str]:
    return re.findall(r"^\| `(\w+)` \|", _section(heading), re.MULTILINE)
