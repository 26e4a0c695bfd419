"""A space and its light as they were at an instant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from baylight.domain.ids import parse_dev_eui
from baylight.domain.paging import check_range
from baylight.errors import NotFoundError
from baylight.insight.history import UplinkRow
from baylight.inventory.assignments import LIST_AS_OF, find_space_at, find_space_id
from baylight.inventory.display_codes import describe_code
from baylight.store.pool import Connection
from baylight.store.query import Query


@dataclass(frozen=True, slots=True)
class LightThen:
    """The light that a display showed. `proof`: `reported` by the display, `acknowledged`, or only `transmitted`, at
    `at`."""

    state: str | None
    code: str
    rgb: str | None
    colour: str | None
    at: datetime
    proof: str


@dataclass(frozen=True, slots=True)
class SpaceThen:
    """A space as it was at `at`. `state` None: it did not exist yet. `reading`: the newest statement of the sensor."""

    code: str
    at: datetime
    state: str | None
    state_at: datetime | None
    reason: str | None
    sensor_dev_eui: str | None
    display_dev_eui: str | None
    reading: UplinkRow | None
    light: LightThen | None


@dataclass(frozen=True, slots=True)
class StateThen:
    """The state of a space, since `since`."""

    state: str
    reason: str | None
    since: datetime


@dataclass(frozen=True, slots=True)
class Report:
    """A code that a display reported."""

    code: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Command:
    """A command that was sent to a display, with the proof of it."""

    state: str | None
    code: str
    at: datetime
    proof: str


@dataclass(frozen=True, slots=True)
class Codes:
    """A display with the means to read its codes."""

    id: UUID
    codec: str
    display_codes: dict[str, str]


STATE = Query("insight.as_of.state", StateThen)
FIRST_STATE = Query("insight.as_of.first_state", str)
READING = Query("insight.as_of.reading", UplinkRow)
UPLINKS_OF_SPACE = Query("insight.as_of.uplinks_of_space", UplinkRow)
REPORTED = Query("insight.as_of.reported", Report)
SENT = Query("insight.as_of.sent", Command)
DISPLAY = Query("insight.as_of.display", Codes)


async def get_space_as_of(connection: Connection, code: str, at: datetime) -> SpaceThen:
    """Return a space as it was at an instant. Raises NotFoundError `unknown_space` if no space had this code then."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        space = await find_space_at(connection, code, at)
        decided = await STATE.first(connection, space_id=space.id, at=at)
        state = decided.state if decided else None
        if state is None and space.created:
            state = await FIRST_STATE.first(connection, space_id=space.id) or space.state
        rows = await LIST_AS_OF.all(connection, at=at, space_id=space.id, device_id=None)
        served = {row.role: row for row in rows}
        sensor, display = served.get("sensor"), served.get("display")
        reading = None
        if sensor:
            reading = await READING.first(connection, dev_eui=sensor.dev_eui, at=at, since=sensor.from_at)
        return SpaceThen(
            code=space.code,
            at=at,
            state=state,
            state_at=decided.since if decided else None,
            reason=decided.reason if decided else None,
            sensor_dev_eui=sensor.dev_eui if sensor else None,
            display_dev_eui=display.dev_eui if display else None,
            reading=reading,
            light=await get_light_as_of(connection, display.dev_eui, at) if display else None,
        )


async def get_light_as_of(connection: Connection, dev_eui: str, at: datetime) -> LightThen | None:
    """Return the light that a display showed at an instant: the newer of its own report and of the command sent to it.

    None if nothing is known. Raises NotFoundError `unknown_display`.
    """
    eui = parse_dev_eui(dev_eui)
    display = await DISPLAY.first(connection, dev_eui=eui)
    if display is None:
        raise NotFoundError("unknown_display", f"no display {dev_eui} is registered", dev_eui=dev_eui)
    sent = await SENT.first(connection, display_id=display.id, at=at)
    reported = await REPORTED.first(connection, dev_eui=eui, at=at)
    if reported and (sent is None or reported.at >= sent.at):
        state = sent.state if sent and sent.code == reported.code else None
        state = state or next((s for s, code in display.display_codes.items() if code == reported.code), None)
        found = Command(state, reported.code, reported.at, "reported")
    elif sent:
        found = sent
    else:
        return None
    light = describe_code(display.codec, found.code)
    return LightThen(found.state, found.code, light.rgb, light.colour, found.at, found.proof)


async def list_uplinks_of_space(
    connection: Connection,
    code: str,
    *,
    from_at: datetime | None = None,
    until_at: datetime | None = None,
    before: datetime | None = None,
    limit: int,
) -> list[UplinkRow]:
    """Return the uplinks that the sensors of a space sent while they served it, the newest first.

    The assignments count as they are known today. Only uplinks received in [`from_at`, `until_at`) and earlier than
    `before`. Raises NotFoundError `unknown_space`; InputError `bad_times`.
    """
    check_range(from_at, until_at)
    space_id = await find_space_id(connection, code)
    return await UPLINKS_OF_SPACE.all(
        connection, space_id=space_id, before=before, limit=limit, from_at=from_at, until_at=until_at
    )
