"""JavaScript codecs in the database: their versions, the examples that prove them, and which version is active."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from baylight.access.change import Change
from baylight.codecs.ts013.calls import PREFIX, Answer, Call, Decoded, Function, Script, decode_call
from baylight.codecs.ts013.display_mapping import DisplayMapping, Mapped, parse_mapping
from baylight.codecs.ts013.examples import Example, parse_examples
from baylight.codecs.ts013.sensor_mapping import OccupancyMapping
from baylight.domain.bounded_json import check_json
from baylight.domain.state import Occupancy
from baylight.errors import ConflictError, DeviceDataError, InputError, NotFoundError
from baylight.js_codecs.display_codes import check_displays
from baylight.ports import CodecEngine
from baylight.ports import Outcome as EngineOutcome
from baylight.store.pool import Connection
from baylight.store.query import Query, Statement

MAX_SOURCE_BYTES = 256 * 1024
MAX_EXAMPLES_BYTES = 512 * 1024
"""Bytes of all examples of a version together, as JSON."""
_NAME = re.compile(r"[a-z0-9_]{1,60}\Z")


@dataclass(frozen=True, slots=True)
class VersionSummary:
    """Version of a codec as the list shows it. `examples`: their number."""

    name: str
    version: int
    active: bool
    activated_at: datetime | None
    created_by: str
    created_at: datetime
    notes: str | None
    source_length: int
    examples: int
    has_mapping: bool


@dataclass(frozen=True, slots=True)
class Version:
    """Version of a codec. `mapping` and `examples` have the formats of `parse_mapping` and `parse_examples`."""

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
        """Text to try. Its faults do not suspend the codec of devices, which has another id."""
        return Script(f"{self.id}:tried", self.source)

    @property
    def mapped(self) -> Mapped | None:
        return None if self.mapping is None else parse_mapping(self.mapping)


class Content(NamedTuple):
    """Content of a version, by which a repeated one is found."""

    version: int
    source: str
    mapping: dict[str, Any] | None
    examples: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class ExampleResult:
    """Result of an example. `occupancy`: the meaning of an uplink, None: it has none. `problem`: why it failed."""

    description: str
    passed: bool
    occupancy: Occupancy | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """Answer of a codec to one input. `problem`: why it returned no reading or payload."""

    data: object
    errors: list[str]
    warnings: list[str]
    occupancy: Occupancy | None
    payload: str | None
    f_port: int | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class FrameShape:
    """FPort and length of frames that no example covers. `length` None: the mapping names the FPort.

    `seen`: how many of the newest uplinks of devices with the codec have this shape.
    """

    f_port: int
    length: int | None
    seen: int = 0


@dataclass(frozen=True, slots=True)
class Proof:
    """Results of the examples of a version. `uncovered`: frames of which there is no example."""

    examples: list[ExampleResult]
    uncovered: list[FrameShape]


LOCK_NAME = Statement("js_codecs.versions.lock_name")
INSERT = Query("js_codecs.versions.insert", int)
LIST = Query("js_codecs.versions.list", VersionSummary)
FIND = Query("js_codecs.versions.find", Version)
FIND_NEWEST = Query("js_codecs.versions.find_newest", Content)
ACTIVATE = Statement("js_codecs.versions.activate")
DEACTIVATE = Query("js_codecs.versions.deactivate", int)
LIST_USERS = Query("js_codecs.versions.list_users", str)
FRAMES = Query("js_codecs.versions.frames", FrameShape)


async def create_codec(
    change: Change,
    name: str,
    source: str,
    *,
    mapping: Mapping[str, Any] | None,
    examples: Sequence[Mapping[str, Any]],
    notes: str | None = None,
) -> Version:
    """Store the next version of a codec, not active; return it. Return the newest version if its content is the same.

    Raises InputError `bad_codec_name`, `bad_source`, `bad_mapping`, `bad_examples`, `json_too_big`, `bad_json`.
    """
    if not _NAME.match(name):
        raise InputError("bad_codec_name", "a codec's name is 1 to 60 of a-z, 0-9 and _", name=name)
    length = _utf8_length(source)
    if not source.strip() or length is None or length > MAX_SOURCE_BYTES or "\0" in source:
        raise InputError("bad_source", f"the source is UTF-8 text of at most {MAX_SOURCE_BYTES // 1024} KB", name=name)
    check_json(mapping, "mapping")
    size = sum(check_json(example, f"example {n}") for n, example in enumerate(examples, 1))
    if size > MAX_EXAMPLES_BYTES:
        raise InputError("json_too_big", f"all examples may have at most {MAX_EXAMPLES_BYTES // 1024} KiB", name=name)
    if _utf8_length(notes or "") is None:
        raise InputError("bad_notes", "the notes hold half of a surrogate pair", name=name)
    if mapping is not None:
        parse_mapping(mapping)
    parse_examples(examples)
    if b"\\u0000" in msgspec.json.encode((mapping, examples, notes)):
        raise InputError("bad_examples", "mapping, examples and notes are texts without NUL", name=name)
    stored_mapping = None if mapping is None else dict(mapping)
    stored_examples = [dict(example) for example in examples]
    async with change.transaction():
        await LOCK_NAME.run(change.connection, name=name)
        newest = await FIND_NEWEST.first(change.connection, name=name)
        content = (source, stored_mapping, stored_examples)
        if newest is not None and (newest.source, newest.mapping, newest.examples) == content:
            return await get_codec(change.connection, name, newest.version)
        version = await INSERT.one(
            change.connection,
            name=name,
            source=source,
            mapping=stored_mapping,
            examples=stored_examples,
            notes=notes,
            created_by=change.actor,
        )
        await change.record("codec.add", "codec", name, after={"version": version})
        return await get_codec(change.connection, name, version)


def _utf8_length(text: str) -> int | None:
    """Return the number of bytes; None if the text has half of a surrogate pair, which cannot be stored."""
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        return None


async def list_codecs(connection: Connection, name: str | None = None) -> list[VersionSummary]:
    """Return all versions by name, newest first, or those of a codec."""
    return await LIST.all(connection, name=name)


async def get_codec(connection: Connection, name: str, version: int | None = None) -> Version:
    """Return a version; by default the active one, else the newest. Raises NotFoundError `unknown_codec`."""
    found = await FIND.first(connection, name=name, version=version)
    if found is None:
        which = name if version is None else f"{name} version {version}"
        raise NotFoundError("unknown_codec", f"there is no codec {which}", name=name)
    return found


async def run_examples(connection: Connection, engine: CodecEngine, version: Version) -> Proof:
    """Run a version's own examples; return their results in order, and the frames that none of them covers."""
    return Proof(await _run(engine, version), await _uncovered(connection, version))


async def _uncovered(connection: Connection, version: Version) -> list[FrameShape]:
    examples = [e for e in parse_examples(version.examples) if e.function is Function.DECODE_UPLINK]
    covered = {(e.f_port, e.length) for e in examples}
    seen = await FRAMES.all(connection, codec=PREFIX + version.name)
    shapes = [shape for shape in seen if (shape.f_port, shape.length) not in covered]
    mapping = version.mapped
    named = (mapping.f_ports if mapping is not None else None) or frozenset()
    ports = {f_port for f_port, _ in covered} | {shape.f_port for shape in shapes}
    return shapes + [FrameShape(f_port, None) for f_port in sorted(named - ports)]


async def _run(engine: CodecEngine, version: Version) -> list[ExampleResult]:
    mapping = version.mapped
    examples = parse_examples(version.examples)
    outcomes = await engine.run([Call(version.script, e.function, e.input) for e in examples])
    return [_judge(example, outcome, mapping) for example, outcome in zip(examples, outcomes, strict=True)]


async def activate_codec(change: Change, engine: CodecEngine, name: str, version: int) -> Proof:
    """Decode by a version from the next uplink on, if its examples prove it; return what they prove. Idempotent.

    The examples pass, and with the mapping of a sensor one of them gives OCCUPIED and one FREE. Uplinks that wait for
    the codec are decoded by the version. The version that was active before becomes inactive. Raises NotFoundError
    `unknown_codec`; InputError `no_examples`, `examples_fail`, `mapping_not_proven`; ConflictError `codes_change` if
    the version encodes other codes than a display type has.
    """
    found = await get_codec(change.connection, name, version)
    proof = await run_examples(change.connection, engine, found)
    results = proof.examples
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
    given = {result.occupancy for result in results}
    missing = [occupancy for occupancy in Occupancy if occupancy not in given]
    if isinstance(found.mapped, OccupancyMapping) and missing:
        raise InputError(
            "mapping_not_proven",
            f"no example of {name} version {version} maps to {' or '.join(missing)}: add one, a real frame of a "
            "free or a taken bay",
            name=name,
            missing=missing,
        )
    await check_displays(change.connection, engine, name, found.script, found.mapped)
    async with change.transaction():
        await LOCK_NAME.run(change.connection, name=name)
        active = await DEACTIVATE.first(change.connection, name=name)
        await ACTIVATE.run(change.connection, name=name, version=version, now=change.now)
        if active != version:
            before, after = {"version": active}, {"version": version}
            await change.record("codec.activate", "codec", name, before=before, after=after)
    return proof


async def deactivate_codec(change: Change, name: str, *, force: bool = False) -> None:
    """Stop decoding by a codec: uplinks that need it are stored without a reading. Idempotent.

    Raises NotFoundError `unknown_codec`; ConflictError `codec_in_use` unless forced.
    """
    async with change.transaction():
        await LOCK_NAME.run(change.connection, name=name)
        await get_codec(change.connection, name)
        users = await LIST_USERS.all(change.connection, codec=PREFIX + name)
        if users and not force:
            raise ConflictError("codec_in_use", f"{', '.join(users)} decode by {name}", name=name, used_by=users)
        active = await DEACTIVATE.first(change.connection, name=name)
        if active is not None:
            await change.record("codec.deactivate", "codec", name, before={"version": active})


async def decode_uplink(engine: CodecEngine, version: Version, f_port: int, data: bytes, now: datetime) -> Outcome:
    """Return what an uplink would mean; nothing is stored. Raises InputError `bad_frame`."""
    try:
        call = decode_call(version.script, f_port, data, now)
    except DeviceDataError as error:
        raise InputError("bad_frame", error.message) from None
    mapping = version.mapped
    return _outcome((await engine.run([call]))[0], f_port, mapping)


async def encode_downlink(engine: CodecEngine, version: Version, data: Mapping[str, Any]) -> Outcome:
    """Return the downlink payload (hex) for `data`; nothing is sent."""
    text = msgspec.json.encode({"data": data}).decode()
    return _outcome((await engine.run([Call(version.script, Function.ENCODE_DOWNLINK, text)]))[0], 0, None)


def _judge(example: Example, outcome: EngineOutcome, mapping: Mapped | None) -> ExampleResult:
    if not isinstance(outcome, Answer):
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


def _outcome(outcome: EngineOutcome, f_port: int, mapping: Mapped | None) -> Outcome:
    if not isinstance(outcome, Answer):
        problem = f"{outcome.code}: {outcome.message}"
        return Outcome(data=None, errors=[], warnings=[], occupancy=None, payload=None, f_port=None, problem=problem)
    return Outcome(
        outcome.data,
        list(outcome.errors),
        list(outcome.warnings),
        _occupancy(outcome, f_port, mapping) if f_port else None,
        None if outcome.bytes is None else outcome.bytes.hex(),
        outcome.f_port,
        "; ".join(outcome.errors) or None,
    )
