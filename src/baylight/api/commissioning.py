"""Tests of devices on their places, their radio, and commands by hand."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field

from baylight.api.bodies import Body, DevEuiText
from baylight.api.deps import AdminChanging, Changing, Database, Given, Limit, Reading
from baylight.insight import signal
from baylight.insight.signal import Signal
from baylight.inventory import device_tests
from baylight.inventory.device_tests import DeviceTest
from baylight.inventory.devices import Role

router = APIRouter(tags=["commissioning"])
Seconds = Annotated[float, Field(ge=0.001, le=3600)]


class Pattern(Body):
    """`light`: hex or a light in words; without, one that cannot be mistaken."""

    light: str | None = None
    wait_s: Seconds = 120


class Pair(Body):
    """The light must follow `within_s` after the sensor; somebody drives on or off within `wait_s`."""

    within_s: Seconds = 30
    wait_s: Seconds = 300


class Command(Body):
    """`payload`: hex. `permit_unsafe`: also what is no light; it can reconfigure or brick the device."""

    payload: Annotated[str, Field(min_length=2, max_length=484)]
    reason: Annotated[str, Field(min_length=1, max_length=500)]
    f_port: Annotated[int | None, Field(ge=1, le=223)] = None
    permit_unsafe: bool = False


class Sent(Body):
    actuation_id: UUID


@router.post("/displays/{dev_eui}/tests", status_code=202)
async def test_display(change: Changing, dev_eui: DevEuiText, body: Pattern) -> DeviceTest:
    """The display shows a pattern for some seconds; read the test for its result."""
    return await device_tests.create_pattern_test(
        change, dev_eui, light=body.light, wait=timedelta(seconds=body.wait_s)
    )


@router.post("/spaces/{code:path}/pair-tests", status_code=202)
async def test_pair(change: Changing, code: str, body: Pair) -> DeviceTest:
    """Drive on or off now: the light must follow in time; read the test for its result."""
    return await device_tests.create_pair_test(
        change, code, within=timedelta(seconds=body.within_s), wait=timedelta(seconds=body.wait_s)
    )


@router.get("/device-tests/{test_id}")
async def show_device_test(key: Reading, connection: Database, given: Given, test_id: UUID) -> DeviceTest:
    return await device_tests.get_test(connection, test_id, now=given.clock.now())


@router.get("/device-tests")
async def list_device_tests(
    key: Reading,
    connection: Database,
    device: DevEuiText | None = None,
    role: Role | None = None,
    space: str | None = None,
    limit: Limit = 100,
) -> list[DeviceTest]:
    """The newest first; one that is still `running` has not been read since it ended."""
    return await device_tests.list_tests(connection, device=device, role=role, space=space, limit=limit)


@router.get("/devices/{dev_eui}/signal")
async def show_signal(key: Reading, connection: Database, dev_eui: DevEuiText, role: Role | None = None) -> Signal:
    """How well a device is received, against what it needs."""
    return await signal.signal(connection, dev_eui, role)


@router.post("/displays/{dev_eui}/commands", status_code=202)
async def send_command(change: AdminChanging, dev_eui: DevEuiText, body: Command) -> Sent:
    """Bytes as they are, audited; afterwards what must be shown is sent again. Needs a key of scope admin."""
    sent = await device_tests.send(change, dev_eui, **body.model_dump())
    return Sent(actuation_id=sent)
