"""The table of names in the data-model page says what became of each name of V2 and of the proposal."""

from __future__ import annotations

import re
from pathlib import Path

from baylight.store.pool import Connection
from tests.support.servers import Server
from tests.support.v2 import V2Database, connect

ROOT = Path(__file__).parents[2]
PROPOSAL = (ROOT / "tests" / "v2" / "proposal.sql").read_text(encoding="utf-8")
PAGE = ROOT / "docs" / "explanation" / "data-model.md"
THINGS = """
WITH named AS (
    SELECT c.oid, c.relname, c.relkind FROM pg_class AS c
    WHERE c.relnamespace = 'public'::regnamespace AND NOT c.relispartition
      AND c.oid NOT IN (SELECT objid FROM pg_depend WHERE deptype = 'e')
)
SELECT n.relname || '.' || a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type,
       format('%s %s %s %s', format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid),
              a.attidentity) AS text
FROM named AS n INNER JOIN pg_attribute AS a ON a.attrelid = n.oid
LEFT JOIN pg_attrdef AS d ON d.adrelid = n.oid AND d.adnum = a.attnum
WHERE n.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT n.relname || '.' || k.conname, '', pg_get_constraintdef(k.oid)
FROM named AS n INNER JOIN pg_constraint AS k ON k.conrelid = n.oid WHERE k.contype NOT IN ('n', 'u')
UNION ALL
SELECT n.relname || '.' || k.conname, '', pg_get_constraintdef(k.oid)
FROM named AS n INNER JOIN pg_constraint AS k ON k.conrelid = n.oid WHERE k.contype = 'u'
UNION ALL
SELECT c.relname, '', pg_get_indexdef(i.indexrelid)
FROM named AS c INNER JOIN pg_index AS i ON i.indexrelid = c.oid
WHERE NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = c.oid AND k.contype IN ('p', 'u', 'x'))
UNION ALL
SELECT n.relname || '.' || t.tgname, '', pg_get_triggerdef(t.oid)
FROM named AS n INNER JOIN pg_trigger AS t ON t.tgrelid = n.oid WHERE NOT t.tgisinternal
UNION ALL
SELECT p.proname || '()', '', p.prosrc FROM pg_proc AS p
WHERE p.pronamespace = 'public'::regnamespace AND p.oid NOT IN (SELECT objid FROM pg_depend WHERE deptype = 'e')
"""


async def things(connection: Connection) -> dict[str, tuple[str, str]]:
    """Return the type and the definition of each column, constraint, index, trigger and function by its name."""
    return {row["name"]: (row["type"], row["text"]) for row in await connection.fetch(THINGS)}


def table() -> list[tuple[list[str], str]]:
    section = PAGE.read_text(encoding="utf-8").partition("## Names of V2 and of the proposal")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| `")]
    assert all(len(row) == 3 and row[2].endswith(".") for row in rows)
    return [(re.findall(r"`([^`]+)`", row[0]), row[1]) for row in rows]


async def test_h15_each_name_that_baylight_changed_is_in_the_table_with_what_became_of_it(
    v2: V2Database, server: Server
) -> None:
    old = await things(v2.admin)
    await v2.admin.execute(PROPOSAL)
    old |= await things(v2.admin)
    async with server.database() as fresh:
        connection = await connect(fresh.dsn)
        new = await things(connection)
        await connection.close()
    changed = {name for name, (_, text) in old.items() if name not in new or new[name][1] != text}
    listed = [name for names, _ in table() for name in names]
    assert (sorted(set(listed) - changed), sorted(changed - set(listed))) == ([], [])
    assert len(listed) == len(set(listed))

    for names, now in table():
        if now == "the same":
            assert all(name in new for name in names), names
        elif now == "none":
            assert not any(name in new for name in names), names
        else:
            found = re.findall(r"`([^`]+)`((?: [^,`]+)?)", now)
            assert found, now
            for name, kind in found:
                assert name in new, name
                assert kind.strip() == new[name][0], name
