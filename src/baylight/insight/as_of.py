"""Show a space and its light as they were at a moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from baylight.domain.ids import parse_dev_eui
from baylight.errors import NotFoundError
from baylight.insight.history import UplinkRow
from baylight.inventory.assignments import Served, find_space_then
from baylight.inventory.display_codes import describe_code
from baylight.store.pool import Connection
from baylight.store.query import queries


@dataclass(frozen=True, slots=True)
class LightThen:
    """What a light showed. `proof`: `reported` by itself, `acknowledged`, or only `transmitted` to it at `at`."""

    state: str | None
    code: str
    rgb: str | None
    colour: str | None
    at: datetime
    proof: str


@dataclass(frozen=True, slots=True)
class SpaceThen:
    """A space as it was at a moment. `state` None: it was not yet there. `reading`: the sensor's newest statement."""

    code: str
    at: datetime
    state: str | None
    state_since: datetime | None
    reason: str | None
    sensor: str | None
    display: str | None
    reading: UplinkRow | None
    light: LightThen | None


async def space_as_of(connection: Connection, code: str, at: datetime) -> SpaceThen:
    """Raises NotFoundError `unknown_space` if there was none of this code then."""
    sql = queries("inventory.assignments")
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        space = await find_space_then(connection, code, at)
        change = await connection.fetchrow(sql["state_then"], space["id"], at)
        state = None
        if change:
            state = change["state"]
        elif space["there"]:
            state = await connection.fetchval(sql["state_before"], space["id"]) or space["current_state"]
        rows = await connection.fetch(sql["as_of"], at, space["id"], None)
        served = {row["role"]: Served(**row) for row in rows}
        sensor, display = served.get("sensor"), served.get("display")
        reading = await connection.fetchrow(sql["reading_then"], sensor.dev_eui, at, sensor.from_at) if sensor else None
        return SpaceThen(
            code=space["code"],
            at=at,
            state=state,
            state_since=change["since"] if change else None,
            reason=change["reason"] if change else None,
            sensor=sensor.dev_eui if sensor else None,
            display=display.dev_eui if display else None,
            reading=UplinkRow(**reading) if reading else None,
            light=await light_as_of(connection, display.dev_eui, at) if display else None,
        )


async def light_as_of(connection: Connection, dev_eui: str, at: datetime) -> LightThen | None:
    """What a display showed at a moment, as far as it is known: the newer of its own report and of what it was sent."""
    sql = queries("inventory.assignments")
    display = await connection.fetchrow(sql["codec_of_display"], parse_dev_eui(dev_eui))
    if display is None:
        raise NotFoundError("unknown_display", f"no display {dev_eui} is registered", dev_eui=dev_eui)
    sent = await connection.fetchrow(sql["sent_then"], display["id"], at)
    told = await connection.fetchrow(sql["reported_then"], parse_dev_eui(dev_eui), at)
    if told and (sent is None or told["at"] >= sent["at"]):
        state = sent["state"] if sent and sent["code"] == told["code"] else None
        state = state or next((s for s, code in display["display_codes"].items() if code == told["code"]), None)
        code, when, proof = told["code"], told["at"], "reported"
    elif sent:
        state, code, when, proof = sent["state"], sent["code"], sent["at"], sent["proof"]
    else:
        return None
    light = describe_code(display["codec"], code)
    return LightThen(state, code, light.rgb, light.colour, when, proof)


async def uplinks_of_space(
    connection: Connection, code: str, *, before: datetime | None = None, limit: int
) -> list[UplinkRow]:
    """What the sensors of a space sent while they served it, by the assignments as they are known today."""
    space_id = await connection.fetchval(queries("insight.history")["space_id"], code)
    if space_id is None:
        raise NotFoundError("unknown_space", f"there is no space {code!r}", space=code)
    rows = await connection.fetch(queries("inventory.assignments")["uplinks_of_space"], space_id, before, limit)
    return [UplinkRow(**row) for row in rows]
