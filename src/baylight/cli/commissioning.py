"""`baylight device …`: proving that devices do what they must."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from baylight.cli.assignments import Role
from baylight.cli.devices import Eui, Limit
from baylight.cli.run import FOUND, Context, Json, duration, on_database, print_fields, print_json, print_rows

if TYPE_CHECKING:
    from baylight.inventory.device_tests import DeviceTest

device = typer.Typer()
LOOK_EVERY_S = 0.5
Wait = Annotated[
    timedelta | None,
    typer.Option(parser=duration, metavar="TIME", help="give up after; 2m for a display, 5m for a car"),
]
Leave = Annotated[bool, typer.Option("--no-wait", help="do not wait; `device tests` tells the result")]


@device.command("test")
def pattern(
    dev_eui: Eui,
    light: Annotated[str | None, typer.Option(help="hex or a light; without: one that cannot be mistaken")] = None,
    wait: Wait = None,
    leave: Leave = False,
    as_json: Json = False,
) -> None:
    """A display shows a pattern for some seconds. Exit code 1 unless it reports so; needs a running `serve`."""
    from baylight.inventory import device_tests

    async def work(c: Context) -> DeviceTest:
        begun = await device_tests.begin_pattern(c.change, dev_eui, light=light, wait=wait or device_tests.PATTERN_WAIT)
        return begun if leave else await _wait(c, begun)

    _print_test(on_database(work), as_json=as_json)


@device.command("pair-test")
def pair(
    space: Annotated[str, typer.Argument(help="code of the space")],
    within: Annotated[
        timedelta | None, typer.Option(parser=duration, metavar="TIME", help="the light must follow, 30s")
    ] = None,
    wait: Wait = None,
    leave: Leave = False,
    as_json: Json = False,
) -> None:
    """Drive on or off: the light must follow in time. Exit code 1 if it does not. Needs a running `serve`."""
    from baylight.inventory import device_tests

    async def work(c: Context) -> DeviceTest:
        begun = await device_tests.begin_pair(
            c.change, space, within=within or device_tests.WITHIN, wait=wait or device_tests.PAIR_WAIT
        )
        if leave:
            return begun
        typer.echo(f"drive on or off {space} now", err=True)
        return await _wait(c, begun)

    _print_test(on_database(work), as_json=as_json)


@device.command("tests")
def list_tests(dev_eui: Eui, role: Role = None, limit: Limit = 100, as_json: Json = False) -> None:
    """Tests of a device, the newest first."""
    from baylight.inventory import device_tests

    async def work(c: Context) -> list[DeviceTest]:
        found = await device_tests.list_tests(c.connection, device=dev_eui, role=role, limit=limit)
        return [await device_tests.look(c.connection, test.id, now=c.change.now) for test in found]

    print_rows(on_database(work), "started_at kind space result seconds detail", as_json=as_json)


@device.command("signal")
def signal(dev_eui: Eui, role: Role = None, as_json: Json = False) -> None:
    """How well it is received, against what it needs. Exit code 1 if that is too little."""
    from baylight.insight import signal as reception

    found = on_database(lambda c: reception.signal(c.connection, dev_eui, role))
    print_fields(found, as_json=as_json)
    if found.verdict == "bad":
        raise typer.Exit(FOUND)


@device.command("send")
def send(
    dev_eui: Eui,
    payload: Annotated[str, typer.Argument(help="hex digits")],
    reason: Annotated[str, typer.Option(help="why; kept in the audit log")],
    f_port: Annotated[int | None, typer.Option(help="instead of the display's own")] = None,
    permit_unsafe: Annotated[
        bool, typer.Option("--permit-unsafe", help="also what is no light: it can reconfigure or brick the device")
    ] = False,
) -> None:
    """Sends bytes to a display as they are. Then it is sent again what it must show."""
    from baylight.inventory import device_tests

    sent = on_database(
        lambda c: device_tests.send(
            c.change, dev_eui, payload, reason=reason, f_port=f_port, permit_unsafe=permit_unsafe
        )
    )
    typer.echo(f"actuation {sent}")


async def _wait(c: Context, test: DeviceTest) -> DeviceTest:
    from baylight.inventory import device_tests

    while test.result == "running":
        await asyncio.sleep(LOOK_EVERY_S)
        now = await c.connection.fetchval("SELECT clock_timestamp()")
        test = await device_tests.look(c.connection, test.id, now=now)
    return test


def _print_test(test: DeviceTest, *, as_json: bool) -> None:
    if as_json:
        print_json(test)
    else:
        took = f" after {test.seconds:.1f} s" if test.seconds is not None else ""
        typer.echo(f"{test.space}: {test.result}{took}" + (f": {test.detail}" if test.detail else ""))
    if test.result == "failed":
        raise typer.Exit(FOUND)
