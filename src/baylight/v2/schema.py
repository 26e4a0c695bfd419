"""Baylight's own schema, created beside V2's by the ordinary migration files, in `baylight_next`."""

from __future__ import annotations

import hashlib
import re
from importlib import resources

from baylight.errors import InputError
from baylight.inventory import device_types
from baylight.store import beside
from baylight.store.pool import Connection
from baylight.store.query import Query, Statement

NEXT = beside.SCHEMA
ARCHIVE = "v2_archive"
OWN = "v2_migration"
"""Statements that create, move, lock or drop things have no parameters: names of these schemas, and names that the
catalogue lists, are formatted into their text."""
CARRY = ("carry", "carry_spaces", "carry_rows", "follow")
"""Files of sql/v2 with the functions that turn V2's rows into Baylight's."""
LEGACY_TABLES = ("spaces", "reservations", "sensor_readings", "state_changes", "api_keys")


def _columns(text: str) -> dict[str, str]:
    words = {"varchar": "character varying", "timestamptz": "timestamp with time zone"}
    pairs = (part.split(":") for part in text.split())
    return {name: re.sub(r"^(\w+)", lambda match: words.get(match[0], match[0]), type_) for name, type_ in pairs}


V2_COLUMNS = {
    "spaces": _columns(
        "id:uuid name:varchar(100) code:varchar(20) building:varchar(100) floor:varchar(20) zone:varchar(50)"
        " gps_latitude:numeric(10,8) gps_longitude:numeric(11,8) sensor_eui:varchar(16) display_eui:varchar(16)"
        " state:varchar(20) metadata:jsonb created_at:timestamptz updated_at:timestamptz deleted_at:timestamptz"
    ),
    "reservations": _columns(
        "id:uuid space_id:uuid start_time:timestamptz end_time:timestamptz user_email:varchar(255)"
        " user_phone:varchar(20) status:varchar(20) metadata:jsonb created_at:timestamptz updated_at:timestamptz"
    ),
    "sensor_readings": _columns(
        "id:bigint device_eui:varchar(16) space_id:uuid occupancy_state:varchar(20) battery:numeric(3,2)"
        " temperature:numeric(4,1) rssi:integer snr:numeric(4,1) timestamp:timestamptz"
    ),
    "state_changes": _columns(
        "id:bigint space_id:uuid previous_state:varchar(20) new_state:varchar(20) source:varchar(50)"
        " request_id:varchar(50) metadata:jsonb timestamp:timestamptz"
    ),
    "api_keys": _columns(
        "id:uuid key_hash:varchar(255) key_name:varchar(100) last_used_at:timestamptz is_active:boolean"
        " created_at:timestamptz is_admin:boolean"
    ),
}
"""Columns of V2's own tables, with their types as PostgreSQL spells them. A customer may have added others."""

UNKNOWN_TYPES = (("unknown_sensor", "sensor"), ("unknown_display", "display"))
_QUIET_TRIGGERS = (
    ("spaces", "spaces_sync_deveuis"),
    ("spaces", "spaces_assignments_recorded"),
    ("state_changes", "state_changes_announced"),
    ("sensor_devices", "sensor_devices_lifecycle_inserted"),
    ("display_devices", "display_devices_lifecycle_inserted"),
)
"""Triggers that rows carried in bulk do not fire. The backfill does their work for a whole batch at once."""

RELATION_EXISTS = Query("v2.schema.relation_exists", bool)
SCHEMA_EXISTS = Query("v2.schema.schema_exists", bool)
RECORD_MIGRATION = Statement("v2.schema.record_migration")
ADD_UNKNOWN_TYPE = Statement("v2.schema.add_unknown_type")
START_OWN_IDS = Query("v2.schema.start_own_ids", int)
NOTE_QUIET_TRIGGER = Statement("v2.schema.note_quiet_trigger")
CREATE_QUIET_TRIGGERS = Query("v2.schema.create_quiet_triggers", str)


def script(name: str) -> str:
    """Return the text of a file of sql/v2."""
    return (resources.files("baylight") / "sql" / "v2" / f"{name}.sql").read_text(encoding="utf-8")


def in_archive(*names: str) -> str:
    """Return scripts of `expand` and of the way back for the schemas in which both sides lie after the contract."""
    text = "\n".join(script(name) for name in names)
    text = text.replace("public.", f"{ARCHIVE}.").replace(f"{NEXT}.", "public.")
    return text.replace("search_path = pg_catalog, public,", f"search_path = pg_catalog, {ARCHIVE}, public,")


def quoted(name: str) -> str:
    """Return a name of the catalogue as an identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'


def migrations() -> dict[str, str]:
    """Return the text of each migration by its name, in order."""
    folder = resources.files("baylight") / "sql" / "migrations"
    found = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    return {f.name.removesuffix(".sql"): f.read_text(encoding="utf-8") for f in found}


async def relation_exists(connection: Connection, relation: str) -> bool:
    """Return whether there is a table or view of this name."""
    return await RELATION_EXISTS.one(connection, relation=relation)


async def require_both_schemas(connection: Connection) -> None:
    """Check that V2's and Baylight's tables stand beside each other. Raises InputError `not_beside`."""
    if not await relation_exists(connection, f"{NEXT}.spaces"):
        raise InputError(
            "not_beside", "there are no two sides: the migration has not begun, or its contract stage is done"
        )


async def create(connection: Connection) -> None:
    """Create all tables, empty, and the catalogue of device types, inside the caller's transaction."""
    await connection.execute(script("tables"))
    for name, text in migrations().items():
        await connection.execute(beside.placed(text))
        await RECORD_MIGRATION.run(connection, name=name, checksum=hashlib.sha256(text.encode()).hexdigest())
    await device_types.sync(connection)
    for code, category in UNKNOWN_TYPES:
        await ADD_UNKNOWN_TYPE.run(connection, code=code, category=category)
    await START_OWN_IDS.one(connection)
    for table, trigger in _QUIET_TRIGGERS:
        await NOTE_QUIET_TRIGGER.run(connection, table=table, trigger=trigger)
    for statement in await CREATE_QUIET_TRIGGERS.all(connection, quiet=True):
        await connection.execute(statement)
