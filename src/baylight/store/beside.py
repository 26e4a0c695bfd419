"""Schema of our tables while they stand beside those of a V2 database: the only trace of `baylight v2` in this package.

While a V2 database is migrated, V2's tables are in `public` and ours are in `baylight_next`. At all other times there
is no such schema. When no V2 database is left to migrate, delete this file with its imports, `app/v2_queue.py`, and the
keys of V2 in access/keys.py.
"""

from __future__ import annotations

SCHEMA = "baylight_next"
SEARCH_PATH = f"{SCHEMA}, public"
"""Setting of the sessions of `baylight v2` alone. Other sessions find the tables by FIND_TABLES."""
FIND_TABLES = """
SELECT set_config('search_path', 'baylight_next, public', false) FROM pg_namespace AS n
WHERE n.nspname IN ('v2_migration', 'baylight_next')
HAVING bool_or(n.nspname = 'v2_migration') AND bool_and(
    n.nspowner IN (SELECT oid FROM pg_roles WHERE rolname = current_user OR rolsuper)
    OR n.nspowner = (SELECT datdba FROM pg_database WHERE datname = current_database())
)
"""
"""SQL for the start of a connection, whose search_path is `public`.

Only while V2 is migrated our tables may be in another schema. A schema that another account owns is not ours: its
tables would replace ours.
"""
IS_BESIDE = f"SELECT current_schema() = '{SCHEMA}'"

IS_V2 = """
SELECT to_regclass('schema_migrations') IS NULL AND EXISTS (
    SELECT FROM pg_attribute
    WHERE attrelid = to_regclass('public.spaces') AND attname IN ('sensor_eui', 'display_eui') AND NOT attisdropped
)
"""
"""SQL: true if the tables are V2's own, and ours are not beside them."""

GIVE_WAY = f"SELECT set_config('lock_timeout', '250ms', false) WHERE current_schema() = '{SCHEMA}'"
"""SQL for the start of a connection.

PostgreSQL ends one side of a deadlock after a second. That side must be ours, which tries again, and not a V2
application.
"""

DRAINS = """
SELECT EXISTS (
    SELECT FROM pg_proc AS p INNER JOIN pg_namespace AS n ON n.oid = p.pronamespace
    WHERE n.nspname = 'v2_migration' AND p.proname = 'drain' AND p.proowner = n.nspowner
      AND (n.nspowner IN (SELECT oid FROM pg_roles WHERE rolname = current_user OR rolsuper)
           OR n.nspowner = (SELECT datdba FROM pg_database WHERE datname = current_database()))
)
"""
"""SQL for the start of a process: true if V2's triggers may leave rows in the queue. For the owner see FIND_TABLES."""
DRAIN = "SELECT v2_migration.drain(100)"


def placed(sql: str, *, before: str = "public", after: str = SCHEMA) -> str:
    """Return the text of a migration or of a function for tables in another schema.

    Files name `public` only where a function pins its search_path or looks a relation up by name.
    """
    pinned = {"public": "public, pg_temp", SCHEMA: f"{SCHEMA}, public, pg_temp"}
    shown = {"public": "'public', 'pg_temp'", SCHEMA: f"'{SCHEMA}', 'public', 'pg_temp'"}  # pg_get_functiondef()
    return (
        sql.replace(f"search_path = {pinned[before]}", f"search_path = {pinned[after]}")
        .replace(f"search_path TO {shown[before]}", f"search_path TO {shown[after]}")
        .replace(f"'{before}.'", f"'{after}.'")
        .replace(f"'{before}'::regnamespace", f"'{after}'::regnamespace")
    )
