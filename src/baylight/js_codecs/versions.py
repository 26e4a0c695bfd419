"""JavaScript codecs in the database: versions, the examples that prove them, which one is active, what it decodes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from baylight.access.change import Change
from baylight.codecs.ts013 import PREFIX, Answer, Call, Decoded, Function, Script, decode_call
from baylight.codecs.ts013_display import DisplayMapping, Mapped, parse_mapping
from baylight.codecs.ts013_examples import Example, parse_examples
from baylight.domain.state import Occupancy
from baylight.errors import ConflictError, DeviceDataError, InputError, NotFoundError
from baylight.js_codecs.display_codes import check_displays
from baylight.ports import CodecEngine
from baylight.store.pool import Connection
from baylight.store.query import queries

LONGEST_SOURCE = 256 * 1024
_NAME = re.compile(r"[a-z0-9_]{1,60}\Z")


@dataclass(frozen=True, slots=True)
class Summary:
    """A version in a list. `examples`: how many it has."""

    name: str
    version: int
    active: bool
    activated_at: datetime | None
    created_by: str
    created_at: datetime
    notes: str | None
    source_length: int
    examples: int
    tells_occupancy: bool


@dataclass(frozen=True, slots=True)
class Version:
    """A version with all that it holds. `mapping`: as `parse_mapping` takes it; `examples`: as
    `parse_examples` does."""

    id: UUID
    name: str
    version: int
    source: str
    mapping: dict[str, Any] | None
    examples: list[dict[str, Any]]
    notes: str | None
    active: bool
    activated_at: datetime | None
    created_by: str
    created_at: datetime

    @property
    def script(self) -> Script:
        return Script(str(self.id), self.source)

    @property
    def mapped(self) -> Mapped | None:
        return None if self.mapping is None else parse_mapping(self.mapping)


@dataclass(frozen=True, slots=True)
class ExampleResult:
    """`occupancy`: what the mapping makes of an uplink, None: no information. `problem`: why it failed."""

    description: str
    passed: bool
    occupancy: Occupancy | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a codec makes of one input. `problem`: why no reading or payload came of it."""

    data: object
    errors: list[str]
    warnings: list[str]
    occupancy: Occupancy | None
    payload: str | None
    f_port: int | None
    problem: str | None


async def create_codec(
    change: Change,
    name: str,
    source: str,
    *,
    mapping: Mapping[str, Any] | None,
    examples: Sequence[Mapping[str, Any]],
    notes: str | None = None,
) -> Version:
    """The next version, not active yet; the newest one if it is the same. Raises InputError `bad_codec_name`,
    `bad_source`, `bad_mapping`, `bad_examples`."""
    if not _NAME.match(name):
        raise InputError("bad_codec_name", "a codec's name is 1 to 60 of a-z, 0-9 and _", name=name)
    if not source.strip() or len(source.encode(errors="replace")) > LONGEST_SOURCE or "\0" in source:
        raise InputError("bad_source", f"the source is text of at most {LONGEST_SOURCE // 1024} KB", name=name)
    if mapping is not None:
        parse_mapping(mapping)
    parse_examples(examples)
    if b"\\u0000" in msgspec.json.encode((mapping, examples, notes)):
        raise InputError("bad_examples", "mapping, examples and notes are texts without NUL", name=name)
    content = (source, None if mapping is None else dict(mapping), [dict(example) for example in examples])
    sql = queries("js_codecs.versions")
    async with change.transaction():
        await change.connection.execute(sql["lock_name"], name)
        newest = await change.connection.fetchrow(sql["newest"], name)
        if newest is not None and (newest["source"], newest["mapping"], newest["examples"]) == content:
            return await get_codec(change.connection, name, newest["version"])
        version: int = await change.connection.fetchval(sql["insert"], name, *content, notes, change.actor)
        await change.record("codec.add", "codec", name, after={"version": version})
        return await get_codec(change.connection, name, version)


async def list_codecs(connection: Connection, name: str | None = None) -> list[Summary]:
    """By name, newest first."""
    return [Summary(**row) for row in await connection.fetch(queries("js_codecs.versions")["list"], name)]


async def get_codec(connection: Connection, name: str, version: int | None = None) -> Version:
    """Without a version the active one, else the newest. Raises NotFoundError `unknown_codec`."""
    row = await connection.fetchrow(queries("js_codecs.versions")["find"], name, version)
    if row is None:
        which = name if version is None else f"{name} version {version}"
        raise NotFoundError("unknown_codec", f"there is no codec {which}", name=name)
    return Version(**row)


async def run_examples(engine: CodecEngine, version: Version) -> list[ExampleResult]:
    """Runs a version's own examples."""
    mapping = version.mapped
    examples = parse_examples(version.examples)
    outcomes = await engine.run([Call(version.script, e.function, e.input) for e in examples])
    return [_judge(example, outcome, mapping) for example, outcome in zip(examples, outcomes, strict=True)]


async def activate_codec(change: Change, engine: CodecEngine, name: str, version: int) -> list[ExampleResult]:
    """Makes a version the one that decodes, from the next uplink on, if its examples pass; the one before rests.

    Idempotent. Raises NotFoundError `unknown_codec`; InputError `no_examples`, `examples_fail`; ConflictError
    `codes_change` if a display type's codes would not be what it makes any more.
    """
    found = await get_codec(change.connection, name, version)
    results = await run_examples(engine, found)
    if not results:
        raise InputError("no_examples", f"{name} version {version} has no examples that could prove it", name=name)
    if failed := [r for r in results if not r.passed]:
        raise InputError(
            "examples_fail",
            f"{len(failed)} of {len(results)} examples of {name} version {version} fail; "
            f"the first, {failed[0].description!r}: {failed[0].problem}",
            name=name,
            failed=[r.description for r in failed[:20]],
        )
    await check_displays(change.connection, engine, name, found.script, found.mapped)
    sql = queries("js_codecs.versions")
    async with change.transaction():
        await change.connection.execute(sql["lock_name"], name)
        before = await change.connection.fetchval(sql["deactivate"], name)
        await change.connection.execute(sql["activate"], name, version, change.now)
        if before != version:
            await change.record(
                "codec.activate",
                "codec",
                name,
                before={"version": before},
                after={"version": version},
            )
    return results


async def deactivate_codec(change: Change, name: str, *, force: bool = False) -> None:
    """Uplinks that would need it are stored without a reading. Idempotent.

    Raises NotFoundError `unknown_codec`; ConflictError `codec_in_use` unless forced.
    """
    sql = queries("js_codecs.versions")
    async with change.transaction():
        await change.connection.execute(sql["lock_name"], name)
        await get_codec(change.connection, name)
        users = [row["what"] for row in await change.connection.fetch(sql["users"], PREFIX + name)]
        if users and not force:
            raise ConflictError("codec_in_use", f"{', '.join(users)} decode by {name}", name=name, used_by=users)
        before = await change.connection.fetchval(sql["deactivate"], name)
        if before is not None:
            await change.record("codec.deactivate", "codec", name, before={"version": before})


async def decode_uplink(engine: CodecEngine, version: Version, f_port: int, data: bytes, now: datetime) -> Outcome:
    """What an uplink would mean; nothing is stored. Raises InputError `bad_frame`."""
    try:
        call = decode_call(version.script, f_port, data, now)
    except DeviceDataError as error:
        raise InputError("bad_frame", error.message) from None
    mapping = version.mapped
    return _told((await engine.run([call]))[0], f_port, mapping)


async def encode_downlink(engine: CodecEngine, version: Version, data: Mapping[str, Any]) -> Outcome:
    """The downlink payload (hex) for `data`; nothing is sent."""
    text = msgspec.json.encode({"data": data}).decode()
    return _told((await engine.run([Call(version.script, Function.ENCODE_DOWNLINK, text)]))[0], 0, None)


def _judge(example: Example, outcome: Answer | DeviceDataError, mapping: Mapped | None) -> ExampleResult:
    if isinstance(outcome, DeviceDataError):
        return ExampleResult(example.description, False, None, outcome.message)
    occupancy, shows = None, None
    if example.function is Function.DECODE_UPLINK:
        occupancy = _occupancy(outcome, example.f_port, mapping)
        if isinstance(mapping, DisplayMapping):
            shows = mapping.shows(example.f_port, outcome.data)
    problem = example.problem(outcome, occupancy, shows)
    return ExampleResult(example.description, problem is None, occupancy, problem)


def _occupancy(answer: Answer, f_port: int, mapping: Mapped | None) -> Occupancy | None:
    try:
        return Decoded(answer, mapping, f_port).reading().occupancy
    except DeviceDataError:
        return None


def _told(outcome: Answer | DeviceDataError, f_port: int, mapping: Mapped | None) -> Outcome:
    if isinstance(outcome, DeviceDataError):
        return Outcome(None, [], [], None, None, None, f"{outcome.code}: {outcome.message}")
    return Outcome(
        outcome.data,
        list(outcome.errors),
        list(outcome.warnings),
        _occupancy(outcome, f_port, mapping) if f_port else None,
        None if outcome.bytes is None else outcome.bytes.hex(),
        outcome.f_port,
        "; ".join(outcome.errors) or None,
    )
