from __future__ import annotations

from itertools import product
from pathlib import Path

from baylight.domain.lifecycle import LIFECYCLE, drawing
from baylight.store.pool import Pool

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "lifecycle.md"


def test_the_page_draws_the_table_of_the_code() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text.partition("```mermaid\n")[2].partition("\n```")[0] == drawing()


def test_every_state_can_be_reached_and_none_leads_nowhere() -> None:
    reached = {"orphan"}
    while more := {after for before in reached for after in LIFECYCLE[before]} - reached:
        reached |= more
    assert reached == LIFECYCLE.keys()
    assert all(LIFECYCLE.values())


async def test_the_trigger_allows_the_steps_of_the_code_and_no_other(any_pool: Pool) -> None:
    allowed = {
        (before, after)
        for before, after in product(LIFECYCLE, repeat=2)
        if await any_pool.fetchval("SELECT lifecycle_may_step($1, $2)", before, after)
    }
    assert allowed == {(before, after) for before, then in LIFECYCLE.items() for after in then}
