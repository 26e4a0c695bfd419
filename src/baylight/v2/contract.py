"""The end: Baylight's tables take their own names, V2's go to an archive; and the way back."""

from __future__ import annotations

from uuid import UUID

from baylight.errors import InputError
from baylight.store.beside import placed
from baylight.store.pool import Connection
from baylight.store.query import queries
from baylight.v2.migration_run import Bar, MigrationRun, mark_done
from baylight.v2.schema import ARCHIVE, CARRY, LEGACY_TABLES, NEXT, OWN, loud_again, quiet_again, script

_REFLECT = ("spaces", "locations", "reservations", "state_changes", "api_keys")
_READ = tuple(f"public.{table}" for table in (*_REFLECT, "sensor_readings"))
"""Tables that V2's views read, or that have a trigger of V2's names."""
_ALL = tuple(f"public.{table}" for table in LEGACY_TABLES)


async def contract(migration: MigrationRun) -> None:
    """One short transaction. Raises InputError `spaces_without` if a demanded device is missing somewhere."""
    for role in migration.choices.require:
        await _refuse_without(migration.connection, role)
    role = migration.choices.legacy_role or await role_of_v2(migration.connection)
    early, late = await _forward(migration.connection, role if migration.choices.legacy_names == "views" else None)
    ours = await _tables(migration.connection, NEXT)

    async def prepare(connection: Connection) -> None:
        await connection.execute(";\n".join(early))

    async def swap(connection: Connection) -> None:
        await connection.execute(";\n".join(late))

    await migration.connection.execute(queries("v2.back")["remember_own"])
    if migration.choices.legacy_names == "views":
        await migration.connection.execute(
            f"INSERT INTO {OWN}.own_objects VALUES ('view_schema', $1) ON CONFLICT DO NOTHING",
            role,
        )
    await migration.run_locked("contract", _ALL, "ACCESS EXCLUSIVE", swap, first=(ours, prepare))


async def require_devices(migration: MigrationRun) -> None:
    """Deleted spaces have no devices, so this is a rule for live ones, not NOT NULL. Checked without blocking."""
    for role in migration.choices.require:
        name = f"spaces_{role}_required"

        async def add(connection: Connection, name: str = name, role: str = role) -> None:
            await connection.execute(f"ALTER TABLE public.spaces DROP CONSTRAINT IF EXISTS {name}")
            await connection.execute(
                f"ALTER TABLE public.spaces ADD CONSTRAINT {name}"
                f" CHECK (deleted_at IS NOT NULL OR {role}_device_id IS NOT NULL) NOT VALID"
            )

        await migration.run_locked("require", ["public.spaces"], "ACCESS EXCLUSIVE", add, done=False)
        await migration.connection.execute(f"ALTER TABLE public.spaces VALIDATE CONSTRAINT {name}")
    await mark_done(migration.connection, "require")


async def _refuse_without(connection: Connection, role: str) -> None:
    rows = await connection.fetch(queries("v2.migration")["spaces_without"], role, 1000)
    if rows:
        raise InputError(
            "spaces_without",
            f"{len(rows)} spaces have no {role}, so none can be required: {', '.join(r['code'] for r in rows[:20])}",
            ids=[str(r["id"]) for r in rows],
        )


async def role_of_v2(connection: Connection) -> str:
    """The one role besides the owner that may read V2's spaces, else the owner: whom the V2 application logs in as."""
    name: str = await connection.fetchval(
        "SELECT CASE WHEN count(DISTINCT r.rolname) = 1 THEN min(r.rolname::text) ELSE min(o.rolname::text) END"
        " FROM pg_class AS c INNER JOIN pg_roles AS o ON o.oid = c.relowner"
        " LEFT JOIN LATERAL aclexplode(c.relacl) AS a ON a.grantee <> c.relowner AND a.privilege_type = 'SELECT'"
        " LEFT JOIN pg_roles AS r ON r.oid = a.grantee"
        " WHERE c.oid = 'public.spaces'::regclass"
    )
    return name


async def _tables(connection: Connection, schema: str) -> list[str]:
    rows = await connection.fetch(
        "SELECT oid::regclass::text AS name FROM pg_class"
        " WHERE relnamespace = $1::text::regnamespace AND relkind IN ('r', 'p') ORDER BY relname",
        schema,
    )
    return [row["name"] if "." in row["name"] else f"{schema}.{row['name']}" for row in rows]


async def _forward(connection: Connection, view_role: str | None) -> tuple[list[str], list[str]]:
    """What can be done before V2's tables are locked, and what not."""
    triggers = await _triggers(connection)
    early = [f"DROP TRIGGER {name} ON {table}" for table, name in triggers if table.startswith(f"{NEXT}.")]
    early += await loud_again(connection)
    late = [f"DROP TRIGGER {name} ON {table}" for table, name in triggers if table.startswith("public.")]
    late.append(f"CREATE SCHEMA IF NOT EXISTS {ARCHIVE}")
    late += [f"ALTER FUNCTION {name} SET SCHEMA {ARCHIVE}" for name in await _legacy_functions(connection, "public")]
    late += [f"ALTER TABLE public.{table} SET SCHEMA {ARCHIVE}" for table in LEGACY_TABLES]
    taken = {f"ALTER TABLE {NEXT}.{table} SET SCHEMA public" for table in LEGACY_TABLES}
    for statement in await _move(connection, NEXT, "public"):
        (late if statement in taken else early).append(statement)
    late.append(f"DROP SCHEMA {NEXT}")
    if view_role:
        late += await _views(connection, view_role)
    return early, late


async def _triggers(connection: Connection) -> list[tuple[str, str]]:
    """Those of the migration on V2's and on Baylight's tables. Partitions have theirs from their parent."""
    rows = await connection.fetch(
        "SELECT n.nspname || '.' || c.relname AS name, t.tgname FROM pg_trigger AS t"
        " INNER JOIN pg_class AS c ON c.oid = t.tgrelid INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace"
        " INNER JOIN pg_proc AS p ON p.oid = t.tgfoid"
        " WHERE p.pronamespace = $1::text::regnamespace AND t.tgparentid = 0",
        OWN,
    )
    return [(row["name"], row["tgname"]) for row in rows]


async def _legacy_functions(connection: Connection, schema: str) -> list[str]:
    """V2's own trigger functions, such as update_updated_at()."""
    rows = await connection.fetch(
        "SELECT DISTINCT p.oid::regprocedure::text AS name, n.nspname FROM pg_trigger AS t"
        " INNER JOIN pg_proc AS p ON p.oid = t.tgfoid INNER JOIN pg_namespace AS n ON n.oid = p.pronamespace"
        " WHERE t.tgrelid = ANY($1::regclass[]) AND NOT t.tgisinternal AND n.nspname = $2",
        [f"{schema}.{table}" for table in LEGACY_TABLES],
        schema,
    )
    return [f"{schema}.{row['name'].split('.')[-1]}" for row in rows]


async def _move(connection: Connection, before: str, after: str, names: list[str] | None = None) -> list[str]:
    """Tables, what hangs on them, and functions: of a schema, or those of these names."""
    tables = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = $1::text::regnamespace AND relkind IN ('r', 'p', 'v')"
        " AND ($2::text[] IS NULL OR relname = ANY($2)) ORDER BY relname",
        before,
        names,
    )
    functions = await connection.fetch(
        "SELECT p.proname, pg_get_function_identity_arguments(p.oid) AS arguments,"
        " pg_get_functiondef(p.oid) AS definition"
        " FROM pg_proc AS p WHERE p.pronamespace = $1::text::regnamespace AND p.prokind = 'f'"
        " AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = p.oid AND d.deptype = 'e')"
        " AND ($2::text[] IS NULL OR p.proname = ANY($2)) ORDER BY p.proname",
        before,
        names,
    )
    statements = [f"ALTER TABLE {before}.{row['relname']} SET SCHEMA {after}" for row in tables]
    for row in functions:
        statements.append(f"ALTER FUNCTION {before}.{row['proname']}({row['arguments']}) SET SCHEMA {after}")
        definition = placed(row["definition"], before=before, after=after)
        if definition != row["definition"]:
            statements.append(
                definition.replace(f"FUNCTION {before}.{row['proname']}(", f"FUNCTION {after}.{row['proname']}(", 1)
            )
    return statements


async def _views(connection: Connection, role: str) -> list[str]:
    """V2's names in the schema of V2's role, which PostgreSQL looks at first: column for column of the same type."""
    schema = _quoted(role)
    sources = {
        "spaces": f"{OWN}.old_spaces",
        "reservations": "public.reservations",
        "state_changes": "public.state_changes",
        "sensor_readings": f"{ARCHIVE}.sensor_readings",
        "api_keys": f"{ARCHIVE}.api_keys",
    }
    statements = [f"CREATE SCHEMA IF NOT EXISTS {schema}", f"GRANT USAGE ON SCHEMA {schema} TO {schema}"]
    for table, source in sources.items():
        columns = await connection.fetchval(
            "SELECT string_agg(format('%I::%s AS %I', attname, format_type(atttypid, atttypmod), attname),"
            " ', ' ORDER BY attnum) FROM pg_attribute"
            " WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped",
            f"public.{table}",
        )
        view = f"CREATE VIEW {schema}.{table} AS SELECT {columns} FROM {source}"
        if table == "reservations":
            view += (
                f" UNION ALL SELECT {columns} FROM {ARCHIVE}.reservations AS a WHERE EXISTS ("
                f"SELECT FROM {OWN}.quarantine AS q WHERE q.source_table = 'reservations' AND q.source_id = a.id::text)"
            )
        statements += [view, f"GRANT SELECT ON {schema}.{table} TO {schema}"]
    return statements


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


async def undo_contract(migration: MigrationRun) -> None:
    """First V2's tables follow again, then they catch up in batches, then the names are swapped back."""
    connection = migration.connection
    if await connection.fetchval("SELECT to_regnamespace($1)", ARCHIVE) is None:
        return

    async def follow_again(connection: Connection) -> None:
        await connection.execute(_archived(script("reflect")))
        await connection.execute(_archived(script("reflect_triggers")))

    ours = [f"public.{table}" for table in (*_REFLECT, "actuations")]
    await migration.run_locked("contract", ours, "SHARE ROW EXCLUSIVE", follow_again, done=False)
    await _catch_up(migration)
    early, late = await _backward(connection)
    ours = await _ours_in_public(connection)

    async def prepare(connection: Connection) -> None:
        await connection.execute(";\n".join(early))
        await connection.execute("SET LOCAL check_function_bodies = off")  # V2's tables are not in public yet
        for name in (*CARRY, "capture"):
            await connection.execute(script(name))

    async def swap(connection: Connection) -> None:
        await connection.execute(";\n".join(late))
        for name in ("reflect", "capture_triggers", "reflect_triggers"):
            await connection.execute(script(name))
        await connection.execute(f"DELETE FROM {OWN}.steps WHERE stage = 'contract'")

    unread = [table for table in ours if table not in _READ]
    read = [table for table in ours if table in _READ]
    archived = [f"{ARCHIVE}.{table}" for table in LEGACY_TABLES]
    await migration.run_locked(
        "contract", [*archived, *read], "ACCESS EXCLUSIVE", swap, done=False, first=(unread, prepare)
    )  # fmt: skip


def _archived(sql: str) -> str:
    return sql.replace("public.", f"{ARCHIVE}.").replace(f"{NEXT}.", "public.")


async def _catch_up(migration: MigrationRun) -> None:
    """V2's rows that differ from Baylight's are brought up to date; those that V2 never had are made."""
    sql = queries("v2.back")
    connection = migration.connection
    total = await connection.fetchval(
        "SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = 'public.spaces'::regclass"
    )
    bar = Bar(migration, "V2 catches up", total)
    bar.start()
    for query, function in (("next_spaces", "reflect_spaces"), ("next_reservations", "reflect_reservations")):
        place = UUID(int=0)
        while ids := [row["id"] for row in await connection.fetch(sql[query], place, migration.pace.size)]:
            place = ids[-1]

            async def batch(ids: list[UUID] = ids, function: str = function) -> int:
                return int(await connection.fetchval(f"SELECT {OWN}.{function}($1)", ids))

            await migration.run_batch(batch)
            bar.move(bar.done + len(ids))
    span = await connection.fetchrow(sql["state_changes_to_reflect"])
    assert span is not None
    low, high = span
    while low is not None and low <= high:
        until = min(low + migration.pace.size, high)

        async def changes(low: int = low, until: int = until) -> int:
            return int(await connection.fetchval(f"SELECT {OWN}.reflect_state_changes($1, $2)", low, until))

        await migration.run_batch(changes)
        low = until + 1
    await connection.execute(sql["revoked_keys"])
    bar.end()


async def _ours_in_public(connection: Connection) -> list[str]:
    """Baylight's own tables of the public schema, by the names that its migrations make."""
    rows = await connection.fetch(queries("v2.back")["own_tables"])
    return [f"public.{row['relname']}" for row in rows]


async def _backward(connection: Connection) -> tuple[list[str], list[str]]:
    """What can be done before the tables are locked that V2 reads through its views, and what not."""
    sql = queries("v2.back")
    early = [f"CREATE SCHEMA {NEXT}"]
    late = [f"DROP VIEW {row['name']}" for row in await connection.fetch(sql["legacy_views"])]
    late += [f"DROP SCHEMA {row['schema']}" for row in await connection.fetch(sql["view_schemas"])]
    for table, name in await _triggers(connection):
        (late if table in _READ else early).append(f"DROP TRIGGER {name} ON {table}")
    rules = await connection.fetch(
        "SELECT conname FROM pg_constraint WHERE conrelid = 'public.spaces'::regclass"
        " AND conname ~ '^spaces_(sensor|display)_required$'"
    )
    late += [f"ALTER TABLE public.spaces DROP CONSTRAINT {row['conname']}" for row in rules]
    names = [row["relname"] for row in await connection.fetch(sql["own_tables"])]
    names += [row["proname"] for row in await connection.fetch(sql["own_functions"])]
    read = {f"ALTER TABLE {table} SET SCHEMA {NEXT}" for table in _READ}
    for statement in await _move(connection, "public", NEXT, names):
        (late if statement in read else early).append(statement)
    late += await quiet_again(connection)
    late += [f"ALTER TABLE {ARCHIVE}.{table} SET SCHEMA public" for table in LEGACY_TABLES]
    late += [f"ALTER FUNCTION {name} SET SCHEMA public" for name in await _legacy_functions(connection, ARCHIVE)]
    late.append(f"DROP SCHEMA {ARCHIVE}")
    return early, late
