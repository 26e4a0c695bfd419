"""Tests of devices in their places: a display must show a light, or a light must follow its sensor."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID, uuid4

from baylight.access.change import Change
from baylight.codecs.registry import DisplayDriver
from baylight.domain.assignment import Role
from baylight.domain.downlink import TriggerType
from baylight.domain.lights import distinguishable, parse_light
from baylight.domain.paging import PAGE_SIZE, check_range
from baylight.errors import ConflictError, InputError, NotFoundError
from baylight.inventory.devices import find_device
from baylight.inventory.display_codes import light_of, parse_code
from baylight.inventory.display_commands import LockedDisplay, command, lock_display
from baylight.inventory.verdicts import RunningTest, judge
from baylight.store.pool import Connection
from baylight.store.query import Query, Statement

PATTERN_WAIT = timedelta(minutes=2)
"""Time for a display to prove the light of a pattern test."""
PAIR_WAIT = timedelta(minutes=5)
"""Time for a car to come or go in a pair test."""
PAIR_LIMIT = timedelta(seconds=30)
"""Time for the light to follow the sensor in a pair test."""
_PATTERNS = (
    "white, flashing 500/500",
    "purple, flashing 500/500",
    "blue, flashing 1000/1000",
    "white",
    "purple",
    "blue",
)
"""Lights that stand for no state, in the order in which they are tried."""


@dataclass(frozen=True, slots=True)
class DeviceTest:
    """Test of a device.

    `kind`: `pattern` (the display shows a light) or `pair` (a car comes or goes, the light follows). `result`:
    `running`, `passed`, `failed`. `seconds`: from the decision to the proof of the light, at most `within_s` to pass.
    """

    id: UUID
    kind: str
    space: str
    sensor_dev_eui: str | None
    display_dev_eui: str
    started_at: datetime
    deadline_at: datetime
    within_s: float
    ended_at: datetime | None
    result: str
    detail: str | None
    seconds: float | None
    actuation_id: UUID | None
    code: str | None
    actor: str


class Pair(NamedTuple):
    """Devices of a space."""

    space_id: UUID
    sensor_device_id: UUID | None
    display_device_id: UUID | None


LIST = Query("inventory.device_tests.list", DeviceTest)
FIND_PAIR = Query("inventory.device_tests.find_pair", Pair)
INSERT = Statement("inventory.device_tests.insert")
LOCK = Query("inventory.device_tests.lock", RunningTest)
LOCK_ALL = Query("inventory.device_tests.lock_all", RunningTest)
END = Statement("inventory.device_tests.end")
ACTIVATE_SENSOR = Statement("inventory.device_tests.activate_sensor")
ACTIVATE_DISPLAY = Statement("inventory.device_tests.activate_display")


async def create_pattern_test(
    change: Change, dev_eui: str, *, light: str | None = None, wait: timedelta = PATTERN_WAIT
) -> DeviceTest:
    """Make a display show a light that stands for no state, for some seconds; the desired light follows afterwards.

    `light`: hex or a light in words. The default is a light that cannot be mistaken for what the display shows.
    `get_test` returns the result later. Raises NotFoundError; InputError `bad_light`, `bad_display_code`, `no_pattern`;
    ConflictError `serves_nothing`.
    """
    test_id = uuid4()
    device = await find_device(change.connection, dev_eui, "display")
    async with change.transaction():
        display = await lock_display(change, device.id)
        code = parse_code(display.driver, light, display.codes) if light else _pattern(display)
        actuation = await command(change, display, code, TriggerType.DEVICE_TEST, source=str(test_id))
        await INSERT.run(
            change.connection,
            id=test_id,
            kind="pattern",
            space_id=display.state.space_id,
            sensor_device_id=None,
            display_device_id=display.state.id,
            actuation_id=actuation.id,
            started_at=change.now,
            deadline_at=change.now + wait,
            within_s=wait.total_seconds(),
            actor=change.actor,
        )
        await change.record("display.test", "display", display.state.id, after={"code": code.hex()})
    return await get_test(change.connection, test_id, now=change.now)


async def create_pair_test(
    change: Change, code: str, *, within: timedelta = PAIR_LIMIT, wait: timedelta = PAIR_WAIT
) -> DeviceTest:
    """Start a test in which the next change by the sensor of a space must reach its light `within` that time.

    A person must drive on or off within `wait`. Raises NotFoundError `unknown_space`, ConflictError `serves_nothing` if
    the space has no sensor or no display.
    """
    test_id = uuid4()
    async with change.transaction():
        pair = await FIND_PAIR.first(change.connection, code=code)
        if pair is None:
            raise NotFoundError("unknown_space", f"there is no space {code!r}", space=code)
        for role, device_id in (("sensor", pair.sensor_device_id), ("display", pair.display_device_id)):
            if device_id is None:
                raise ConflictError("serves_nothing", f"{code} has no {role}", space=code)
        await INSERT.run(
            change.connection,
            id=test_id,
            kind="pair",
            space_id=pair.space_id,
            sensor_device_id=pair.sensor_device_id,
            display_device_id=pair.display_device_id,
            actuation_id=None,
            started_at=change.now,
            deadline_at=change.now + wait,
            within_s=within.total_seconds(),
            actor=change.actor,
        )
        await change.record("space.pair_test", "space", pair.space_id, after={"test": str(test_id)})
    return await get_test(change.connection, test_id, now=change.now)


async def get_test(connection: Connection, test_id: UUID, *, now: datetime) -> DeviceTest:
    """Return a test, with its result if that is certain at `now`. Raises NotFoundError `unknown_test`."""
    async with connection.transaction():
        running = await LOCK.first(connection, id=test_id)
        if running is not None:
            await _end_if_certain(connection, running, now)
    found = await _select(connection, test_id=test_id)
    if not found:
        raise NotFoundError("unknown_test", f"there is no test {test_id}", test=str(test_id))
    return found[0]


async def list_tests(
    connection: Connection,
    *,
    device: str | None = None,
    role: Role | None = None,
    space: str | None = None,
    from_at: datetime | None = None,
    until_at: datetime | None = None,
    limit: int = PAGE_SIZE,
) -> list[DeviceTest]:
    """Return the newest tests first: all, or those of a device (DevEUI) or a space (code), started in [`from_at`,
    `until_at`). Raises InputError `bad_times`."""
    check_range(from_at, until_at)
    device_id = (await find_device(connection, device, role)).id if device is not None else None
    return await _select(connection, device_id=device_id, space=space, limit=limit, from_at=from_at, until_at=until_at)


async def end_due(connection: Connection, now: datetime) -> int:
    """End the tests whose result is certain; return how many. Several processes may do so at the same time."""
    async with connection.transaction():
        running = await LOCK_ALL.all(connection)
        return sum([await _end_if_certain(connection, test, now) for test in running])


async def _end_if_certain(connection: Connection, test: RunningTest, now: datetime) -> bool:
    """Store the result of a test, if it is certain. Devices that passed become active."""
    verdict = await judge(connection, test, now)
    if verdict is None:
        return False
    await END.run(
        connection,
        id=test.id,
        result="passed" if verdict.passed else "failed",
        detail=verdict.detail,
        seconds=verdict.seconds,
        ended_at=max(now, test.started_at),
        actuation_id=verdict.actuation_id,
    )
    if verdict.passed:
        await ACTIVATE_SENSOR.run(connection, id=test.sensor_device_id)
        await ACTIVATE_DISPLAY.run(connection, id=test.display_device_id)
    return True


async def _select(
    connection: Connection,
    *,
    test_id: UUID | None = None,
    device_id: UUID | None = None,
    space: str | None = None,
    from_at: datetime | None = None,
    until_at: datetime | None = None,
    limit: int = 1,
) -> list[DeviceTest]:
    return await LIST.all(
        connection, id=test_id, device_id=device_id, space=space, from_at=from_at, until_at=until_at, limit=limit
    )


def _pattern(display: LockedDisplay) -> bytes:
    """Return the code of a light that cannot be mistaken for FREE or for what the display shows now.

    A display without such a pattern gets the light of one of its states. Raises InputError `no_pattern`.
    """
    driver, codes = display.driver, [bytes.fromhex(code) for code in display.codes.values()]
    excluded = [code for code in (display.codes.get("FREE"), display.state.desired_code) if code is not None]
    if driver is None:
        suitable = [code for code in codes if code.hex() not in excluded]
    else:
        lights = [light for code in excluded if (light := light_of(driver, code))]
        suitable = [
            code
            for code in [*_patterns(driver), *codes]
            if (light := light_of(driver, code.hex())) and all(distinguishable(light, other) for other in lights)
        ]
    if not suitable:
        raise InputError("no_pattern", "this display has no light besides FREE and what it shows now: name one")
    return suitable[0]


def _patterns(driver: DisplayDriver) -> list[bytes]:
    """Return the codes of those _PATTERNS that the driver can encode."""
    found = []
    for text in _PATTERNS:
        with suppress(InputError):
            found.append(driver.encode(parse_light(text)))
    return found
