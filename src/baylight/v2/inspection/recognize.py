"""Kind of a database: one of V2 that can be migrated, or another, with what to do then."""

from __future__ import annotations

from collections.abc import Set
from typing import NamedTuple

from baylight.errors import InputError
from baylight.store.pool import Connection
from baylight.store.query import Query
from baylight.v2.schema import ARCHIVE, LEGACY_TABLES, OWN, V2_COLUMNS

_REGISTRIES = ("sensor_devices", "display_devices")
_LISTED = (*LEGACY_TABLES, *_REGISTRIES, "schema_migrations", "control", "sites", "tenants")


class Column(NamedTuple):
    """Column of a table, with its schema."""

    schema: str
    table: str
    name: str


COLUMNS = Query("v2.recognize.columns", Column)
_Tables = dict[str, dict[str, set[str]]]


async def require_v2(connection: Connection) -> None:
    """Check that V2's tables are here as the migration needs them.

    Raises InputError `not_v2` that says what the database is instead, and what to do.
    """
    tables: _Tables = {}
    for schema, table, column in await COLUMNS.all(connection, tables=list(_LISTED)):
        tables.setdefault(schema, {}).setdefault(table, set()).add(column)
    public = tables.get("public", {})
    missing = sorted(
        f"{table}.{column}" if table in public else table
        for table, columns in V2_COLUMNS.items()
        for column in columns
        if column not in public.get(table, set())
    )
    missing = list(dict.fromkeys(missing))
    if reason := _v5(public) or (missing and (_known(tables, public, set(missing)) or _unknown(missing))):
        raise InputError("not_v2", f"this is no V2 database that can be migrated: {reason}", missing=missing)


def _v5(public: dict[str, set[str]]) -> str | None:
    """Return what to do with a database of the public V5 line, which serves several tenants and sites."""
    tables = [table for table in ("spaces", *_REGISTRIES) if public.get(table, set()) & {"tenant_id", "site_id"}]
    if not tables or "current_state" in public.get("spaces", set()):
        return None
    return (
        f"it is one of the V5 line, since {', '.join(tables)} have tenant_id or site_id. V5 keeps several tenants in "
        "the same tables, and its codes are not unique, so its rows do not fit V2's. Install Baylight on an empty "
        "database, and fill it with CSV files of one tenant (docs/how-to/import-from-v5.md)"
    )


def _known(tables: _Tables, public: dict[str, set[str]], missing: Set[str]) -> str | None:
    spaces = public.get("spaces", set())
    if tables.get(ARCHIVE, {}).get("spaces") and "current_state" in spaces:
        return (
            "its migration has reached the contract stage, and V2's tables are in the schema v2_archive. Nothing is "
            "left to look for: see `baylight v2 status`, and `baylight v2 rollback --to switch` for the way back"
        )
    if "current_state" in spaces and "schema_migrations" in public:
        return "it is a database of Baylight already: use `baylight db status` and `baylight db upgrade`"
    if OWN in tables and "control" in tables[OWN]:
        return (
            "its migration is under way, and V2's tables have changed meanwhile: "
            f"{', '.join(sorted(missing)[:10])} is missing. Bring it back, then run the same command again"
        )
    if {"sensor_deveui", "display_deveui"} & spaces and {"spaces.sensor_eui", "spaces.display_eui"} & missing:
        renames = "; ".join(
            f"ALTER TABLE public.spaces RENAME COLUMN {role}_deveui TO {role}_eui"
            for role in ("sensor", "display")
            if f"{role}_deveui" in spaces
        )
        return (
            "the proposal's Phase 2 was run on it, which gives V2's columns other names, so V2 itself cannot work. "
            f"Undo that: DROP TRIGGER IF EXISTS spaces_sync_deveuis ON public.spaces; {renames}"
        )
    if missing == {"api_keys.is_admin"}:
        return (
            "V2's own migration 002 is missing. Run it: "
            "ALTER TABLE public.api_keys ADD COLUMN is_admin boolean DEFAULT false"
        )
    for schema in sorted(tables.keys() - {"public", ARCHIVE}):
        if {"sensor_eui", "state"} <= tables[schema].get("spaces", set()):
            moves = "; ".join(
                f"ALTER TABLE {schema}.{t} SET SCHEMA public" for t in LEGACY_TABLES if t in tables[schema]
            )
            return (
                f"V2's tables are in the schema {schema}, and the migration works in public. "
                f"Move them, which V2 does not notice if both schemas are in its search_path: {moves}"
            )
    return None


def _unknown(missing: list[str]) -> str:
    return (
        f"it lacks {', '.join(missing[:10])}. Check that BAYLIGHT_DATABASE_URL names the database of V2, "
        "and that all of V2's own migrations were run"
    )
