"""A device is assigned by a request and by an import: both accept, or both refuse for the same reason."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, get_args

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from baylight.bulk import imports
from baylight.domain.assignment import Role
from baylight.errors import InputError
from baylight.inventory import assignments, device_types
from baylight.store.pool import Connection, Pool, open_pool
from tests.support.change import by
from tests.support.factories import add_display, add_sensor, add_space, new_eui
from tests.support.servers import Server

ROLES: tuple[Role, ...] = get_args(Role)
DEVICES, SPACES = range(3), range(3)
UNKNOWN = len(DEVICES)
"""A device that is not registered."""
CODES = [
    *(f"unknown_{role}" for role in ROLES),
    *(f"{role} {code}" for role in ROLES for code in ("device_disabled", "device_in_use")),
]
"""Reasons for a refusal, in the order in which a request finds them; an import finds all."""


@dataclass(frozen=True)
class Device:
    state: str
    shared: bool


@dataclass(frozen=True)
class World:
    """The devices of each role, and for each space the device of each role."""

    devices: dict[Role, list[Device]]
    served_by: list[dict[Role, int | None]]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    states = st.sampled_from(["registered", "active", "disabled", "decommissioned"])
    devices = {role: [Device(draw(states), draw(st.booleans())) for _ in DEVICES] for role in ROLES}
    served_by: list[dict[Role, int | None]] = []
    for _ in SPACES:
        present: dict[Role, int | None] = {}
        for role in ROLES:
            free = [
                number
                for number, device in enumerate(devices[role])
                if device.state != "decommissioned"
                and (device.shared or all(space[role] != number for space in served_by))
            ]
            present[role] = draw(st.sampled_from([None, *free]))
        served_by.append(present)
    return World(devices, served_by)


Wanted = dict[Role, int | None]
WANTED = st.sampled_from([("sensor",), ("display",), ROLES]).flatmap(
    lambda roles: st.fixed_dictionaries(dict.fromkeys(roles, st.sampled_from([None, *DEVICES, UNKNOWN])))
)
"""The numbers of the devices that a space shall have, sensor first."""
LEAVES_A_SHARED_DISPLAY = World(
    {role: [Device("active", True)] * len(DEVICES) for role in ROLES}, [{"sensor": None, "display": 0}] * len(SPACES)
)


async def build(db: Connection, world: World) -> dict[Role, list[str]]:
    """Make the world; return the DevEUIs of its devices and one that is not registered."""

    def lifecycle_state(role: Role, number: int) -> str:
        state = world.devices[role][number].state
        serves = any(space[role] == number for space in world.served_by)
        return {"disabled": "active", "registered": "installed" if serves else "registered"}.get(state, state)

    rows: dict[Role, list[Any]] = {}
    for role, add in (("sensor", add_sensor), ("display", add_display)):
        rows[role] = [
            await add(
                db,
                enabled=device.state not in ("disabled", "decommissioned"),
                lifecycle_state=lifecycle_state(role, number),
                **{"mobile" if role == "sensor" else "shared": device.shared},
            )
            for number, device in enumerate(world.devices[role])
        ]
    for number, present in enumerate(world.served_by):
        columns = {f"{r}_device_id": rows[r][device]["id"] for r, device in present.items() if device is not None}
        await add_space(db, f"A-{number}", **columns)
    return {role: [*(row["dev_eui"] for row in rows[role]), new_eui()] for role in ROLES}


Result = tuple[str | None, list[Any]]
"""Why it was refused, and what is stored afterwards."""


async def by_request(db: Connection, wanted: Wanted, euis: dict[Role, list[str]]) -> str | None:
    devices = {role: None if number is None else euis[role][number] for role, number in wanted.items()}
    try:
        await assignments.assign(by(db), "A-0", devices, reason="swap")
    except InputError as error:
        role = str(error).split(" ")[0]
        return error.code if error.code in CODES else f"{role} {error.code}"
    return None


async def by_import(db: Connection, wanted: Wanted, euis: dict[Role, list[str]]) -> str | None:
    columns = [column.name for column in imports.sheet_of("assignments").columns]
    cells = dict.fromkeys(columns, "") | {"space": "A-0"}
    for role, number in wanted.items():
        cells[next(name for name in columns if name.startswith(role))] = "-" if number is None else euis[role][number]
    report = await imports.import_rows(by(db), "assignments", [(3, cells)])
    found = {
        error.code if error.code in CODES else f"{error.column.split('_')[0]} {error.code}" for error in report.first
    }
    assert found <= set(CODES), found
    return next((code for code in CODES if code in found), None)


async def outcome(
    db: Connection, way: Callable[..., Awaitable[str | None]], wanted: Wanted, euis: dict[Role, list[str]]
) -> Result:
    """Try one way, look at what it did, and take it back."""
    attempt = db.transaction()
    await attempt.start()
    try:
        refused = await way(db, wanted, euis)
        stored = [
            [tuple(row) for row in await db.fetch(query)]
            for query in (
                "SELECT code, sensor_deveui, display_deveui, current_state FROM spaces ORDER BY code",
                "SELECT dev_eui, lifecycle_state, occupancy FROM sensor_devices ORDER BY dev_eui",
                "SELECT dev_eui, lifecycle_state, desired_state FROM display_devices ORDER BY dev_eui",
                "SELECT space_id, device_id, shared, upper_inf(valid) FROM device_assignments ORDER BY 1, 2, 3, 4",
            )
        ]
    finally:
        await attempt.rollback()
    return refused, stored


async def compare(pool: Pool, world: World, wanted: Wanted) -> None:
    async with pool.acquire() as db:
        everything = db.transaction()
        await everything.start()
        try:
            await device_types.sync(db)
            euis = await build(db, world)
            assert await outcome(db, by_request, wanted, euis) == await outcome(db, by_import, wanted, euis)
        finally:
            await everything.rollback()


def test_a_request_and_an_import_accept_and_refuse_the_same(server: Server) -> None:
    with asyncio.Runner() as runner:
        name = runner.run(server.create())
        pool = runner.run(open_pool(server.dsn_of(name), size=1))

        @given(worlds(), WANTED)
        @example(LEAVES_A_SHARED_DISPLAY, {"display": None})
        @settings(max_examples=50, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
        def check(world: World, wanted: Wanted) -> None:
            runner.run(compare(pool, world, wanted))

        try:
            check()
        finally:
            runner.run(pool.close())
            runner.run(server.drop(name))
