"""Conditions keep their `since` while they last, and end once."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from importlib import resources

from baylight.control import conditions
from baylight.domain.conditions import KINDS, Cause, Condition, ConditionKind
from baylight.store.pool import Connection

K = ConditionKind
AT = datetime(2026, 11, 28, 12, tzinfo=UTC)


async def test_a_condition_that_is_seen_again_keeps_its_since_and_renews_its_evidence(db: Connection) -> None:
    await conditions.begin(db, [Condition(K.GATEWAY_NO_ACK, "0016c001ff10a235", AT, "1 command")])
    again = Condition(K.GATEWAY_NO_ACK, "0016c001ff10a235", AT + timedelta(minutes=1), "2 commands")
    await conditions.begin(db, [again])
    assert await conditions.list_open(db) == [Condition(K.GATEWAY_NO_ACK, "0016c001ff10a235", AT, "2 commands")]


async def test_a_condition_that_comes_back_has_a_new_since(db: Connection) -> None:
    later = AT + timedelta(hours=1)
    cause = Cause(K.GATEWAY_NO_ACK, "0016c001ff10a235")
    await conditions.begin(db, [Condition(K.DISPLAY_UNDELIVERABLE, "lamp", AT, "first", cause)])
    for _ in range(2):
        await conditions.end(db, [(K.DISPLAY_UNDELIVERABLE, "lamp")], AT + timedelta(minutes=1))
    assert await conditions.list_open(db) == []
    await conditions.begin(db, [Condition(K.DISPLAY_UNDELIVERABLE, "lamp", later, "second", cause)])
    assert await conditions.list_open(db, subject_ids=["lamp"]) == [
        Condition(K.DISPLAY_UNDELIVERABLE, "lamp", later, "second", cause)
    ]
    assert await conditions.list_open(db, kinds=[K.DISPLAY_SILENT]) == []


def test_each_kind_has_its_row_in_the_table_and_in_the_schema() -> None:
    assert set(KINDS) == set(ConditionKind)
    sql = resources.files("baylight").joinpath("sql", "migrations", "0008_conditions.sql").read_text()
    listed = re.search(r"kind IN \((.*?)\)", sql, re.DOTALL)
    assert listed is not None
    assert re.findall(r"'(\w+)'", listed[1]) == [kind.value for kind in ConditionKind]
