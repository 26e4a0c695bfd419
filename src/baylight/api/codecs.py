"""JavaScript payload codecs: add a version, prove it by its examples, make it the one that decodes."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import Field

from baylight.api.bodies import Body
from baylight.api.deps import AdminChanging, Administering, Database, Given, Reading
from baylight.api.problems import Refused
from baylight.inventory.device_types import DeviceTypeRow
from baylight.js_codecs import types, versions
from baylight.js_codecs.versions import LONGEST_SOURCE, ExampleResult, Outcome, Summary, Version
from baylight.ports import CodecEngine

router = APIRouter(prefix="/codecs", tags=["codecs"])


class NewVersion(Body):
    """`mapping`: which decoded fields mean OCCUPIED and FREE, or of a display the light of which state; without one the
    codec tells neither. `examples`: as in `examples.json` of LoRa Alliance TS013; an uplink's `occupancy` or `shows`
    says what the mapping must make of it."""

    source: Annotated[str, Field(min_length=1, max_length=LONGEST_SOURCE)]
    mapping: dict[str, Any] | None = None
    examples: list[dict[str, Any]] = Field([])
    notes: str | None = None


class NewType(Body):
    """`uplink_interval_s`: the longest pause between two uplinks; after `silent_after_intervals` of them the bay is
    UNKNOWN."""

    code: str
    manufacturer: str
    model: str
    uplink_interval_s: int
    silent_after_intervals: int = 3
    dev_eui_prefixes: list[str] = Field([])


class NewDisplayType(NewType):
    """`states`: state -> the `data` that the codec's `encodeDownlink` takes for its light. `f_port`: unless the codec
    names it."""

    states: Annotated[dict[str, Any], Field(min_length=1)]
    f_port: Annotated[int | None, Field(ge=1, le=223)] = None
    confirmed_downlinks: bool = False


class Frame(Body):
    f_port: Annotated[int, Field(ge=1, le=255)]
    data: Annotated[str, Field(min_length=2, max_length=500, pattern="^([0-9a-fA-F]{2})+$", description="hex")]


class Command(Body):
    """`data`: what the codec's `encodeDownlink` takes."""

    data: dict[str, Any]


class Rest(Body):
    """`force`: even if devices decode by it."""

    force: bool = False


def _engine(given: Given) -> CodecEngine:
    if given.codec_engine is None:
        raise Refused(503, "no_engine", "this process runs no JavaScript codecs")
    return given.codec_engine


Engine = Annotated[CodecEngine, Depends(_engine)]


@router.get("")
async def list_codecs(key: Reading, connection: Database, name: str | None = None) -> list[Summary]:
    """All versions, or those of one codec, newest first."""
    return await versions.list_codecs(connection, name)


@router.post("/{name}", status_code=201)
async def add_codec(change: AdminChanging, name: str, new: NewVersion) -> Version:
    """The next version, not active yet; the newest one if it is the same."""
    return await versions.create_codec(
        change,
        name,
        new.source,
        mapping=new.mapping,
        examples=new.examples,
        notes=new.notes,
    )


@router.get("/{name}")
async def show_codec(key: Reading, connection: Database, name: str, version: int | None = None) -> Version:
    """The active version if none is named, else the newest."""
    return await versions.get_codec(connection, name, version)


@router.post("/{name}/types", status_code=201)
async def add_type(change: AdminChanging, name: str, new: NewType) -> DeviceTypeRow:
    """A sensor type whose devices decode by the codec."""
    return await types.create_sensor_type(change, name, **new.model_dump())


@router.post("/{name}/display-types", status_code=201)
async def add_display_type(change: AdminChanging, engine: Engine, name: str, new: NewDisplayType) -> DeviceTypeRow:
    """A display type whose codes the codec's active version makes."""
    return await types.create_display_type(change, engine, name, **new.model_dump())


@router.post("/{name}/{version}/test")
async def prove_codec(
    key: Administering, connection: Database, engine: Engine, name: str, version: int
) -> list[ExampleResult]:
    """Runs the version's own examples."""
    return await versions.run_examples(engine, await versions.get_codec(connection, name, version))


@router.post("/{name}/{version}/decode")
async def decode_frame(
    key: Administering, connection: Database, given: Given, engine: Engine, name: str, version: int, frame: Frame
) -> Outcome:
    """What an uplink would mean; nothing is stored."""
    found = await versions.get_codec(connection, name, version)
    return await versions.decode_uplink(engine, found, frame.f_port, bytes.fromhex(frame.data), given.clock.now())


@router.post("/{name}/{version}/encode")
async def encode_command(
    key: Administering, connection: Database, engine: Engine, name: str, version: int, command: Command
) -> Outcome:
    """The downlink's bytes; nothing is sent."""
    return await versions.encode_downlink(engine, await versions.get_codec(connection, name, version), command.data)


@router.post("/{name}/{version}/activate")
async def activate_codec(change: AdminChanging, engine: Engine, name: str, version: int) -> list[ExampleResult]:
    """From the next uplink on, if all its examples pass. Idempotent."""
    return await versions.activate_codec(change, engine, name, version)


@router.post("/{name}/deactivate", status_code=204)
async def deactivate_codec(change: AdminChanging, name: str, rest: Rest) -> None:
    """Uplinks that need it are stored without a reading. Idempotent."""
    await versions.deactivate_codec(change, name, force=rest.force)
