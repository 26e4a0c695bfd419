"""What undoing `expand` leaves, and what `baylight db upgrade` does to a database of V2."""

from __future__ import annotations

import pytest

from baylight.errors import InputError
from baylight.store import migrate
from baylight.v2 import run
from tests.support.v2 import V2Database

EXTENSION = "SELECT count(*) FROM pg_extension WHERE extname = 'btree_gist'"


async def test_h11_the_extension_stays_where_something_else_needs_it_and_the_undo_says_so(v2: V2Database) -> None:
    await v2.apply("backfill")
    await v2.admin.execute(
        "CREATE TABLE shifts (who int, during tstzrange, EXCLUDE USING gist (who WITH =, during WITH &&))"
    )
    lines: list[str] = []
    await run.rollback(v2.dsn, to="start", log=lines.append, patience_s=20)
    assert any("btree_gist stays" in line and "other things" in line for line in lines), lines
    assert await v2.admin.fetchval(EXTENSION) == 1
    assert await v2.admin.fetchval("SELECT to_regnamespace('v2_migration')") is None
    await v2.apply("backfill")  # and all goes on
    await v2.rollback("start")


async def test_h11_the_extension_stays_where_it_is_not_ours(v2: V2Database) -> None:
    await v2.admin.execute("CREATE EXTENSION btree_gist")
    await v2.apply("expand")
    await v2.rollback("start")
    assert await v2.admin.fetchval(EXTENSION) == 1


async def test_h11_db_upgrade_refuses_a_database_of_v2_before_it_makes_anything(v2: V2Database) -> None:
    relations = "SELECT count(*) FROM pg_class"
    before = await v2.admin.fetchval(relations)
    with pytest.raises(InputError, match="baylight v2 inspect"):
        await migrate.upgrade(v2.dsn)
    assert await v2.admin.fetchval(relations) == before
    await v2.apply("expand")
    assert await migrate.upgrade(v2.dsn) == []  # the tables beside V2's may be upgraded
    await v2.apply("contract")
    assert await migrate.upgrade(v2.dsn) == []
