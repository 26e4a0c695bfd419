"""Routes of device tests, of the radio signal, and of commands that a person sends."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field

from baylight.api.bodies import Body, DevEuiText
from baylight.api.deps import AdminChanging, Changing, Database, From, Given, Limit, Reading, Until
from baylight.api.frame import Framed
from baylight.domain.assignment import Role
from baylight.domain.downlink import MAX_F_PORT, MAX_PAYLOAD_BYTES
from baylight.domain.paging import PAGE_SIZE
from baylight.insight import signal
from baylight.insight.signal import Signal
from baylight.inventory import device_tests, display_commands
from baylight.inventory.device_tests import PAIR_LIMIT, PAIR_WAIT, PATTERN_WAIT, DeviceTest

router = APIRouter(tags=["device tests"], route_class=Framed)
Seconds = Annotated[float, Field(ge=0.001, le=3600)]


class Pattern(Body):
    """`light`: hex or a light in words. The default is a light that cannot be mistaken for what the display shows."""

    light: str | None = None
    wait_s: Seconds = PATTERN_WAIT.total_seconds()


class Pair(Body):
    """The light must follow the sensor in `within_s`. A person must drive on or off in `wait_s`."""

    within_s: Seconds = PAIR_LIMIT.total_seconds()
    wait_s: Seconds = PAIR_WAIT.total_seconds()


class NewCommand(Body):
    """`payload`: hex. `permit_unsafe`: also bytes that are not a light; they can reconfigure or brick the device."""

    payload: Annotated[str, Field(min_length=2, max_length=2 * MAX_PAYLOAD_BYTES)]
    reason: Annotated[str, Field(min_length=1, max_length=500)]
    f_port: Annotated[int | None, Field(ge=1, le=MAX_F_PORT)] = None
    permit_unsafe: bool = False


class Sent(Body):
    actuation_id: UUID


@router.post("/displays/{dev_eui}/tests", status_code=202)
async def create_pattern_test(change: Changing, dev_eui: DevEuiText, body: Pattern) -> DeviceTest:
    """Make a display show a light that stands for no state, for some seconds. Get the test later for its result."""
    wait = timedelta(seconds=body.wait_s)
    return await device_tests.create_pattern_test(change, dev_eui, light=body.light, wait=wait)


@router.post("/spaces/{code:path}/pair-tests", status_code=202)
async def create_pair_test(change: Changing, code: str, body: Pair) -> DeviceTest:
    """Start a test of a space's sensor and display: drive on or off now. Get the test later for its result."""
    within, wait = timedelta(seconds=body.within_s), timedelta(seconds=body.wait_s)
    return await device_tests.create_pair_test(change, code, within=within, wait=wait)


@router.get("/device-tests/{test_id}")
async def get_device_test(key: Reading, connection: Database, given: Given, test_id: UUID) -> DeviceTest:
    """Get a device test, with its result if that is certain."""
    return await device_tests.get_test(connection, test_id, now=given.clock.now())


@router.get("/device-tests")
async def list_device_tests(
    key: Reading,
    connection: Database,
    device: DevEuiText | None = None,
    role: Role | None = None,
    space: str | None = None,
    from_at: From = None,
    until: Until = None,
    limit: Limit = PAGE_SIZE,
) -> list[DeviceTest]:
    """List device tests, the newest first. A test can be listed as `running` some seconds after its end."""
    return await device_tests.list_tests(
        connection, device=device, role=role, space=space, from_at=from_at, until_at=until, limit=limit
    )


@router.get("/devices/{dev_eui}/signal")
async def get_signal(key: Reading, connection: Database, dev_eui: DevEuiText, role: Role | None = None) -> Signal:
    """Get the radio signal of a device's newest uplinks, compared with what its device type needs."""
    return await signal.get_signal(connection, dev_eui, role)


@router.post("/displays/{dev_eui}/commands", status_code=202)
async def send_command(change: AdminChanging, dev_eui: DevEuiText, body: NewCommand) -> Sent:
    """Send bytes to a display as they are; this is audited. The desired light follows. Needs a key of scope admin."""
    return Sent(actuation_id=await display_commands.send_command(change, dev_eui, **body.model_dump()))
