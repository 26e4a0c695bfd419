"""Baylight's own schema, made beside V2's: the ordinary migration files, placed in `baylight_next`."""

from __future__ import annotations

import hashlib
from importlib import resources

from baylight.codecs.catalogue import load_catalogue
from baylight.errors import InputError
from baylight.store import beside
from baylight.store.pool import Connection
from baylight.store.query import queries

NEXT = beside.SCHEMA
ARCHIVE = "v2_archive"
OWN = "v2_migration"
CARRY = ("carry", "carry_spaces", "carry_rows")
"""Files of sql/v2: from V2's rows to Baylight's."""
LEGACY_TABLES = ("spaces", "reservations", "sensor_readings", "state_changes", "api_keys")

UNKNOWN_TYPES = (("unknown_sensor", "sensor"), ("unknown_display", "display"))
_QUIET = (
    ("spaces", "spaces_sync_deveuis"),
    ("spaces", "spaces_assignments_recorded"),
    ("state_changes", "state_changes_announced"),
    ("sensor_devices", "sensor_devices_lifecycle_inserted"),
    ("display_devices", "display_devices_lifecycle_inserted"),
)
"""Triggers whose work the backfill does for a whole batch at once."""
_QUIET_WHEN = "WHEN (current_setting('baylight.v2_bulk', true) IS DISTINCT FROM 'on') EXECUTE"


def script(name: str) -> str:
    """A file of sql/v2."""
    return (resources.files("baylight") / "sql" / "v2" / f"{name}.sql").read_text(encoding="utf-8")


def migrations() -> dict[str, str]:
    """Text by name, in order."""
    folder = resources.files("baylight") / "sql" / "migrations"
    found = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    return {f.name.removesuffix(".sql"): f.read_text(encoding="utf-8") for f in found}


async def require_both_schemas(connection: Connection) -> None:
    """Raises InputError `not_beside` unless V2's and Baylight's tables stand beside each other."""
    if await connection.fetchval("SELECT to_regclass($1)", f"{NEXT}.spaces") is None:
        raise InputError(
            "not_beside", "there are no two sides: the migration has not begun, or its contract stage is done"
        )


async def create(connection: Connection) -> None:
    """Inside the caller's transaction: all tables, empty, and the catalogue of device types."""
    had_gist = await connection.fetchval("SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'btree_gist')")
    await connection.execute("CREATE EXTENSION IF NOT EXISTS btree_gist SCHEMA public")
    await connection.execute(f"UPDATE {OWN}.control SET made_btree_gist = {not had_gist}")
    await connection.execute(f"CREATE SCHEMA {NEXT}")
    await connection.execute(
        f"CREATE TABLE {NEXT}.schema_migrations ("
        "name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT clock_timestamp())"
    )
    for name, text in migrations().items():
        await connection.execute(beside.placed(text))
        await connection.execute(
            f"INSERT INTO {NEXT}.schema_migrations (name, checksum) VALUES ($1, $2)",
            name,
            hashlib.sha256(text.encode()).hexdigest(),
        )
    await _add_types(connection)
    # V2's ids are kept in state_changes; those of Baylight's own rows begin where V2's will never come.
    await connection.execute(
        f"SELECT setval('{NEXT}.state_changes_id_seq',"
        " coalesce((SELECT max(id) FROM public.state_changes), 0) + 1000000000)"
    )
    for table, trigger in _QUIET:
        await _quieten(connection, table, trigger)


async def _add_types(connection: Connection) -> None:
    for kind in load_catalogue():
        await connection.execute(
            queries("inventory.device_types")["upsert"], kind.code, kind.category, kind.manufacturer, kind.model, kind.codec,
            list(kind.dev_eui_prefixes), kind.uplink_interval_s, kind.silent_after_intervals,
            dict(kind.default_config), dict(kind.capabilities),
        )  # fmt: skip
    for code, category in UNKNOWN_TYPES:
        await connection.execute(
            f"INSERT INTO {NEXT}.device_types (code, category, manufacturer, model, codec, uplink_interval_s)"
            " VALUES ($1, $2, 'unknown', 'unknown', 'unknown', 3600) ON CONFLICT (code) DO NOTHING",
            code,
            category,
        )


async def _quieten(connection: Connection, table: str, trigger: str) -> None:
    """Rows carried in bulk do not fire this trigger; `loud_again` puts its definition back as it was."""
    definition = await connection.fetchval(
        "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = $1::text::regclass AND tgname = $2",
        f"{NEXT}.{table}",
        trigger,
    )
    await connection.execute(
        f"INSERT INTO {OWN}.quiet_triggers VALUES ($1, $2, $3)"
        " ON CONFLICT (table_name, trigger_name) DO UPDATE SET definition = excluded.definition",
        table,
        trigger,
        definition,
    )
    await connection.execute(f"DROP TRIGGER {trigger} ON {NEXT}.{table}")
    await connection.execute(definition.replace("EXECUTE", _QUIET_WHEN))


async def loud_again(connection: Connection) -> list[str]:
    """Statements that give the quiet triggers their own definition back."""
    rows = await connection.fetch(f"SELECT * FROM {OWN}.quiet_triggers")
    found = []
    for row in rows:
        found.append(f"DROP TRIGGER {row['trigger_name']} ON {NEXT}.{row['table_name']}")
        found.append(row["definition"])
    return found


async def quiet_again(connection: Connection) -> list[str]:
    """The opposite of `loud_again`."""
    rows = await connection.fetch(f"SELECT * FROM {OWN}.quiet_triggers")
    found = []
    for row in rows:
        found.append(f"DROP TRIGGER {row['trigger_name']} ON {NEXT}.{row['table_name']}")
        found.append(row["definition"].replace("EXECUTE", _QUIET_WHEN))
    return found
