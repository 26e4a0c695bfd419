"""Course of one V2 database through all stages, forth and back, with V2's application and Baylight at work.

The oracle is its own: rows as V2's application wrote them, checksums of V2's tables, and `pg_dump -s`. What the tool
itself verifies is asked for too, and not relied on.
"""

from __future__ import annotations

import asyncio
import random
import re
from asyncio.subprocess import PIPE
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from baylight.errors import BaylightError, InputError
from baylight.lab.from_v2.legacy import SCHEMA
from baylight.store.connect import install_codecs
from baylight.store.pool import Connection
from baylight.v2 import run
from baylight.v2.choices import RESOLUTIONS, Choices, proposed_types
from baylight.v2.migration_run import STAGES
from baylight.v2.stages.verify import verify
from bench.v2_parts.features import REFUSED, SEED, Feature

CHOICES = Choices(
    resolve={name: options[0] for name, options in RESOLUTIONS.items()}, types=proposed_types(), legacy_role="parking"
)
TABLES = ("spaces", "reservations", "sensor_readings", "state_changes", "api_keys")
OPERATIONS = 12
"""Operations of V2's application at each stage, and of Baylight after the contract."""
_OWN_LINES = re.compile(r"^(--|SET |SELECT pg_catalog|\\(un)?restrict |$)")


class WrongError(AssertionError):
    """Result that the oracle does not expect."""


@dataclass(slots=True)
class Course:
    """Course of a database. `programs`: directory of the server's `pg_dump`.

    `spaces`: what V2's application last wrote of each live space: name, code, sensor and display.
    """

    dsn: str
    programs: Path
    features: Sequence[Feature]
    seed: int
    sabotage: str = ""
    """SQL that destroys something after the switch: a test of the oracle."""
    spaces: dict[UUID, tuple[str, str, str | None, str | None]] = field(default_factory=dict)
    _chance: random.Random = field(init=False)
    _made: int = 0

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)

    async def run(self) -> None:
        """Run the course. Raises WrongError, or the tool's own error where it must not fail."""
        async with AsyncExitStack() as stack:
            admin = await self._connect()
            stack.push_async_callback(admin.close)
            await admin.execute(SCHEMA)
            legacy, baylight = await self._connect(role="parking"), await self._connect(path="baylight_next, public")
            for connection in (legacy, baylight):
                stack.push_async_callback(connection.close)
            await admin.execute(SEED)
            for feature in self.features:
                await admin.execute(feature.sql or "SELECT 1")
            await self._note(admin)
            if any(feature.outcome == REFUSED for feature in self.features):
                await self._refused(admin)
            else:
                await self._forth_and_back(admin, legacy, baylight)

    async def _connect(self, role: str | None = None, path: str | None = None) -> Connection:
        settings = {"search_path": path} if path else {}
        connection = await asyncpg.connect(self.dsn, server_settings={"jit": "off", "timezone": "UTC"} | settings)
        await install_codecs(connection)
        if role:
            await connection.execute(f"SET SESSION AUTHORIZATION {role}")
        return connection

    async def _refused(self, admin: Connection) -> None:
        before, rows = await self._dump(), await _checksums(admin, "public")
        try:
            await run.apply(self.dsn, to="expand", choices=CHOICES, patience_s=10)
        except InputError as error:
            if len(error.message) < 20:
                raise WrongError(f"the refusal says too little: {error.message}") from error
        else:
            raise WrongError("it was not refused")
        _same("the schema after a refusal", before, await self._dump())
        _same("the rows after a refusal", rows, await _checksums(admin, "public"))

    async def _forth_and_back(self, admin: Connection, legacy: Connection, baylight: Connection) -> None:
        schema = await self._dump()
        for stage in STAGES:
            before = await _checksums(admin, "public")
            await run.apply(self.dsn, to=stage, choices=CHOICES, patience_s=20)
            _same(f"V2's rows after {stage}", before, await _checksums(admin, self._schema(stage)))
            if stage == "switch" and self.sabotage:
                await admin.execute(self.sabotage)
            if stage != "contract":
                await self._v2_works(legacy)
                await self._check(legacy, stage)
            if stage in ("verify", "switch"):
                await self._verify(admin, stage)
        await self._baylight_works(baylight)
        await self._check(legacy, "contract")
        for keep in ("switch", "verify", "backfill", "expand"):
            await run.rollback(self.dsn, to=keep, patience_s=20)
            await self._check(legacy, f"the way back to {keep}")
            if keep in ("switch", "verify"):
                await self._verify(admin, f"the way back to {keep}")
            await self._v2_works(legacy)
        await run.rollback(self.dsn, to="start", patience_s=20)
        await self._v2_works(legacy)
        await self._check(legacy, "the end")
        _same("the schema at the end", schema, await self._dump())

    def _schema(self, stage: str) -> str:
        return "v2_archive" if stage == "contract" else "public"

    async def _verify(self, admin: Connection, when: str) -> None:
        while await admin.fetchval("SELECT v2_migration.drain(1000)"):
            pass  # as `baylight serve` does while it observes
        verdict = await verify(admin)
        if not verdict.green:
            raise WrongError(f"{when}: verify is red: {verdict.differences[:3]}")

    async def _note(self, admin: Connection) -> None:
        for row in await admin.fetch(
            "SELECT id, name, code, sensor_eui, display_eui FROM spaces WHERE deleted_at IS NULL"
        ):
            self.spaces[row["id"]] = tuple(row)[1:]

    async def _check(self, legacy: Connection, when: str) -> None:
        """Compare what V2's application reads by its own names with what was written."""
        rows = await legacy.fetch("SELECT id, name, code, sensor_eui, display_eui, deleted_at FROM spaces")
        found = {row["id"]: tuple(row)[1:5] for row in rows if row["deleted_at"] is None}
        for id, written in self.spaces.items():
            read = found.get(id)
            # A value that Baylight gave has Baylight's spelling.
            if read is None or _spelled(read) != _spelled(written):
                raise WrongError(f"{when}: V2 wrote {written} and reads {read}")
        if others := found.keys() - self.spaces.keys():
            raise WrongError(f"{when}: V2 reads {len(others)} spaces that nothing wrote")

    # V2's application -------------------------------------------------------------------------------------------------

    async def _v2_works(self, legacy: Connection) -> None:
        for _ in range(OPERATIONS):
            work = self._chance.choice(
                (self._state, self._state, self._insert, self._sensor, self._rename, self._delete)
            )
            try:
                await work(legacy)
            except asyncpg.PostgresError as error:
                raise WrongError(f"a statement of V2 failed: {error!r}") from error

    def _eui(self, prefix: str) -> str:
        self._made += 1
        return f"{prefix}{self.seed % 256:02x}{self._made:08x}"

    async def _state(self, legacy: Connection) -> None:
        id, state = self._chance.choice(list(self.spaces)), self._chance.choice(("FREE", "OCCUPIED", "RESERVED"))
        async with legacy.transaction():
            await legacy.execute("UPDATE spaces SET state = $2 WHERE id = $1", id, state)
            await legacy.execute(
                "INSERT INTO state_changes (space_id, new_state, source) VALUES ($1, $2, 'uplink')", id, state
            )

    async def _insert(self, legacy: Connection) -> None:
        self._made += 1
        written = ("New", f"N{self.seed}-{self._made}", self._eui("58a0cb"), self._eui("202020"))
        id = await legacy.fetchval(
            "INSERT INTO spaces (name, code, building, sensor_eui, display_eui) VALUES ($1, $2, 'B9', $3, $4)"
            " RETURNING id",
            *written,
        )
        self.spaces[id] = written
        await legacy.execute(
            "INSERT INTO reservations (space_id, start_time, end_time) VALUES ($1, now(), now() + interval '1 h')", id
        )

    async def _sensor(self, legacy: Connection) -> None:
        id = self._chance.choice(list(self.spaces))
        name, code, _, display = self.spaces[id]
        self.spaces[id] = (name, code, self._eui("58a0cb"), display)
        await legacy.execute("UPDATE spaces SET sensor_eui = $2 WHERE id = $1", id, self.spaces[id][2])

    async def _rename(self, legacy: Connection) -> None:
        id = self._chance.choice(list(self.spaces))
        _, code, sensor, display = self.spaces[id]
        self.spaces[id] = (f"Renamed {self._made}", code, sensor, display)
        await legacy.execute(
            "UPDATE spaces SET name = $2, zone = $3 WHERE id = $1", id, self.spaces[id][0], f"Z{self._made}"
        )

    async def _delete(self, legacy: Connection) -> None:
        if len(self.spaces) > 12:
            id = self._chance.choice(list(self.spaces))
            del self.spaces[id]
            await legacy.execute("UPDATE spaces SET deleted_at = now() WHERE id = $1", id)

    # Baylight, after the contract -------------------------------------------------------------------------------------

    async def _baylight_works(self, baylight: Connection) -> None:
        """Let Baylight live for a month: codes used again, sensors and codes exchanged, places renamed."""
        known = await baylight.fetch("SELECT id FROM spaces WHERE deleted_at IS NULL AND sensor_device_id IS NOT NULL")
        carried = [row["id"] for row in known if row["id"] in self.spaces]
        for _ in range(OPERATIONS // 3):
            gone, a, b, c = self._chance.sample(carried, 4)
            carried.remove(gone)
            await self._reuse_code(baylight, gone)
            await self._rotate(baylight, [a, b, c])
            await self._exchange_codes(baylight, a, b)
        await baylight.execute("UPDATE locations SET name = 'West' WHERE kind = 'building' AND name = 'B0'")

    async def _reuse_code(self, baylight: Connection, gone: UUID) -> None:
        _, code, _, _ = self.spaces.pop(gone)
        await baylight.execute(
            "UPDATE spaces SET deleted_at = now(), sensor_device_id = NULL, display_device_id = NULL WHERE id = $1",
            gone,
        )
        again = uuid4()
        await baylight.execute("INSERT INTO spaces (id, name, code) VALUES ($1, 'again', $2)", again, code)
        self.spaces[again] = ("again", code, None, None)

    async def _rotate(self, baylight: Connection, ids: list[UUID]) -> None:
        async with baylight.transaction():
            rows = await baylight.fetch(
                "SELECT id, sensor_device_id, sensor_deveui FROM spaces WHERE id = ANY($1)", ids
            )
            of = {row["id"]: row for row in rows}
            await baylight.execute("UPDATE spaces SET sensor_device_id = NULL WHERE id = ANY($1)", ids)
            for id, other in zip(ids, ids[1:] + ids[:1], strict=True):
                device, eui = of[other]["sensor_device_id"], of[other]["sensor_deveui"]
                await baylight.execute("UPDATE spaces SET sensor_device_id = $2 WHERE id = $1", id, device)
                name, code, _, display = self.spaces[id]
                self.spaces[id] = (name, code, eui, display)

    async def _exchange_codes(self, baylight: Connection, a: UUID, b: UUID) -> None:
        (name_a, code_a, *devices_a), (name_b, code_b, *devices_b) = self.spaces[a], self.spaces[b]
        async with baylight.transaction():
            for id, code in ((a, "~"), (b, code_a), (a, code_b)):
                await baylight.execute("UPDATE spaces SET code = $2 WHERE id = $1", id, code)
        self.spaces[a] = (name_a, code_b, devices_a[0], devices_a[1])
        self.spaces[b] = (name_b, code_a, devices_b[0], devices_b[1])

    async def _dump(self) -> list[str]:
        process = await asyncio.create_subprocess_exec(
            self.programs / "pg_dump", "--schema-only", self.dsn, stdout=PIPE, stderr=PIPE
        )
        out, error = await process.communicate()
        if process.returncode:
            raise RuntimeError(error.decode())
        return [line for line in out.decode().splitlines() if not _OWN_LINES.match(line)]


def _spelled(values: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(value.lower() if isinstance(value, str) and n > 1 else value for n, value in enumerate(values))


async def _checksums(admin: Connection, schema: str) -> dict[str, str]:
    """Return a checksum over all columns of each of V2's tables."""
    return {
        table: await admin.fetchval(f"SELECT md5(string_agg(t::text, '|' ORDER BY id)) FROM {schema}.{table} AS t")
        for table in TABLES
    }


def _same(what: str, before: object, after: object) -> None:
    if before == after:
        return
    if isinstance(before, list) and isinstance(after, list):
        lost, added = set(before) - set(after), set(after) - set(before)
        raise WrongError(f"{what} differs: lost {sorted(lost)[:3]}, added {sorted(added)[:3]}")
    raise WrongError(f"{what} differ: {before} and {after}")


async def outcome(course: Course) -> str | None:
    """Run a course; return what went wrong, or None."""
    try:
        await course.run()
    except (WrongError, BaylightError) as error:
        return f"{type(error).__name__}: {error}"
    except Exception as error:
        return f"traceback: {error!r}"
    return None
