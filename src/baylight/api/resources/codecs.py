"""Routes of JavaScript payload codecs: add a version, prove it by its examples, decode by it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import Field

from baylight.api.bodies import Body, JsonObject
from baylight.api.deps import AdminChanging, Administering, Database, Given, Reading
from baylight.api.frame import Framed
from baylight.api.problems import Refused
from baylight.domain.downlink import MAX_F_PORT
from baylight.inventory.device_types import DeviceTypeRow
from baylight.js_codecs import types, versions
from baylight.js_codecs.types import DEFAULT_SILENT_AFTER_INTERVALS, NewDeviceType
from baylight.js_codecs.versions import MAX_SOURCE_BYTES, Outcome, Proof, Version, VersionSummary
from baylight.ports import CodecEngine

router = APIRouter(prefix="/codecs", tags=["codecs"], route_class=Framed)


class NewVersion(Body):
    """`mapping`: which decoded fields mean OCCUPIED and FREE, or for a display which light stands for which state;
    without a mapping the codec reports neither. `examples`: as in `examples.json` of LoRa Alliance TS013; `occupancy`
    or `shows` of an uplink is the result that the mapping must give."""

    source: Annotated[str, Field(min_length=1, max_length=MAX_SOURCE_BYTES)]
    mapping: JsonObject | None = None
    examples: list[JsonObject] = Field([])
    notes: str | None = None


class NewType(Body):
    """`uplink_interval_s`: the longest pause between two uplinks. After `silent_after_intervals` of them without an
    uplink the space is UNKNOWN."""

    code: str
    manufacturer: str
    model: str
    uplink_interval_s: int
    silent_after_intervals: int = DEFAULT_SILENT_AFTER_INTERVALS
    dev_eui_prefixes: list[str] = Field([])


class NewDisplayType(NewType):
    """`states`: the `data` for the codec's `encodeDownlink` by state. `f_port`: only if the codec names none.
    `allow_alike`: accept that the light of another state looks like that of FREE; doctor goes on to show it."""

    states: Annotated[JsonObject, Field(min_length=1)]
    f_port: Annotated[int | None, Field(ge=1, le=MAX_F_PORT)] = None
    confirmed_downlinks: bool = False
    allow_alike: bool = False


class Frame(Body):
    f_port: Annotated[int, Field(ge=1, le=255)]
    data: Annotated[str, Field(min_length=2, max_length=500, pattern="^([0-9a-fA-F]{2})+$", description="hex")]


class EncodeInput(Body):
    """`data`: the input of the codec's `encodeDownlink`."""

    data: JsonObject


class Deactivation(Body):
    """`force`: even if devices decode by the codec."""

    force: bool = False


def _type(new: NewType) -> NewDeviceType:
    return NewDeviceType(**new.model_dump(include=set(NewType.model_fields)))


def _engine(given: Given) -> CodecEngine:
    if given.codec_engine is None:
        raise Refused(503, "no_engine", "this process runs no JavaScript codecs")
    return given.codec_engine


Engine = Annotated[CodecEngine, Depends(_engine)]


@router.get("")
async def list_codecs(key: Reading, connection: Database, name: str | None = None) -> list[VersionSummary]:
    """List the versions of all codecs or of one, newest first."""
    return await versions.list_codecs(connection, name)


@router.post("/{name}", status_code=201)
async def create_codec(change: AdminChanging, name: str, new: NewVersion) -> Version:
    """Add the next version of a codec, not active. If the newest version is the same, it is returned instead."""
    return await versions.create_codec(change, name, **new.model_dump())


@router.get("/{name}")
async def get_codec(key: Reading, connection: Database, name: str, version: int | None = None) -> Version:
    """Get a version of a codec; by default the active one, else the newest."""
    return await versions.get_codec(connection, name, version)


@router.post("/{name}/types", status_code=201)
async def create_sensor_type(change: AdminChanging, name: str, new: NewType) -> DeviceTypeRow:
    """Create a sensor type whose devices decode by a codec."""
    return await types.create_sensor_type(change, name, _type(new))


@router.post("/{name}/display-types", status_code=201)
async def create_display_type(change: AdminChanging, engine: Engine, name: str, new: NewDisplayType) -> DeviceTypeRow:
    """Create a display type whose codes a codec's active version encodes."""
    return await types.create_display_type(
        change,
        engine,
        name,
        _type(new),
        states=new.states,
        f_port=new.f_port,
        confirmed_downlinks=new.confirmed_downlinks,
        allow_alike=new.allow_alike,
    )


@router.post("/{name}/{version}/test")
async def run_codec_examples(
    key: Administering, connection: Database, engine: Engine, name: str, version: int
) -> Proof:
    """Run the examples of a version; list the frames that none of them covers."""
    return await versions.run_examples(connection, engine, await versions.get_codec(connection, name, version))


@router.post("/{name}/{version}/decode")
async def decode_uplink(
    key: Administering, connection: Database, given: Given, engine: Engine, name: str, version: int, frame: Frame
) -> Outcome:
    """Decode an uplink by a version; nothing is stored."""
    found = await versions.get_codec(connection, name, version)
    return await versions.decode_uplink(engine, found, frame.f_port, bytes.fromhex(frame.data), given.clock.now())


@router.post("/{name}/{version}/encode")
async def encode_downlink(
    key: Administering, connection: Database, engine: Engine, name: str, version: int, command: EncodeInput
) -> Outcome:
    """Encode a downlink by a version; nothing is sent."""
    return await versions.encode_downlink(engine, await versions.get_codec(connection, name, version), command.data)


@router.post("/{name}/{version}/activate")
async def activate_codec(change: AdminChanging, engine: Engine, name: str, version: int) -> Proof:
    """Decode by a version from the next uplink on, if its examples prove it. Idempotent."""
    return await versions.activate_codec(change, engine, name, version)


@router.post("/{name}/deactivate", status_code=204)
async def deactivate_codec(change: AdminChanging, name: str, body: Deactivation) -> None:
    """Stop decoding by a codec: uplinks that need it are stored without a reading. Idempotent."""
    await versions.deactivate_codec(change, name, force=body.force)
