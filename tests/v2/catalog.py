"""A schema as text, one line for each thing in it, so that two schemas can be compared."""

from __future__ import annotations

from baylight.store.pool import Connection

_CATALOG = """
WITH extension_member AS (SELECT objid FROM pg_depend WHERE deptype = 'e'),
named AS (
    SELECT c.oid, c.relname, c.relkind, c.reloptions, c.relnamespace FROM pg_class AS c
    WHERE c.relnamespace = 'public'::regnamespace AND c.oid NOT IN (SELECT objid FROM extension_member)
)
SELECT format('relation %s %s %s', relname, relkind, coalesce(reloptions::text, '')) AS line FROM named
UNION ALL
SELECT format('column %s.%s %s null=%s default=%s identity=%s generated=%s', n.relname, a.attname,
              format_type(a.atttypid, a.atttypmod), NOT a.attnotnull, pg_get_expr(d.adbin, d.adrelid), a.attidentity,
              a.attgenerated)
FROM named AS n INNER JOIN pg_attribute AS a ON a.attrelid = n.oid
LEFT JOIN pg_attrdef AS d ON d.adrelid = n.oid AND d.adnum = a.attnum
WHERE a.attnum > 0 AND NOT a.attisdropped AND n.relkind IN ('r', 'p', 'v')
UNION ALL
SELECT format('constraint %s.%s %s valid=%s', n.relname, k.conname, pg_get_constraintdef(k.oid), k.convalidated)
FROM named AS n INNER JOIN pg_constraint AS k ON k.conrelid = n.oid
UNION ALL
SELECT format('index %s valid=%s', pg_get_indexdef(i.indexrelid), i.indisvalid)
FROM named AS n INNER JOIN pg_index AS i ON i.indrelid = n.oid
UNION ALL
SELECT format('trigger %s enabled=%s', pg_get_triggerdef(t.oid), t.tgenabled)
FROM named AS n INNER JOIN pg_trigger AS t ON t.tgrelid = n.oid WHERE NOT t.tgisinternal
UNION ALL
SELECT 'function ' || pg_get_functiondef(p.oid) FROM pg_proc AS p
WHERE p.pronamespace = 'public'::regnamespace AND p.prokind = 'f' AND p.oid NOT IN (SELECT objid FROM extension_member)
UNION ALL
SELECT format('comment %s %s: %s', n.relname, o.objsubid, o.description)
FROM named AS n INNER JOIN pg_description AS o ON o.objoid = n.oid AND o.classoid = 'pg_class'::regclass
UNION ALL
SELECT format('partition %s %s', n.relname, pg_get_expr(c.relpartbound, c.oid))
FROM named AS n INNER JOIN pg_class AS c ON c.oid = n.oid WHERE c.relispartition
ORDER BY 1
"""


async def catalog(connection: Connection) -> list[str]:
    """Of the schema `public`, things of extensions left out. The order of columns is not part of it."""
    await connection.execute("SET search_path = public")
    lines = [row["line"] for row in await connection.fetch(_CATALOG)]
    await connection.execute("RESET search_path")
    return lines
