"""`baylight device …`: tests of displays and of pairs, signal, and downlinks by hand."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from baylight.cli.options import Eui, Json, Limit, Role, Space, duration
from baylight.cli.output import say
from baylight.cli.run import FOUND, Context, on_database, print_fields, print_json, print_rows
from baylight.domain.paging import PAGE_SIZE

if TYPE_CHECKING:
    from baylight.inventory.device_tests import DeviceTest

app = typer.Typer()
LOOK_EVERY_S = 0.5
SAY_EVERY = timedelta(seconds=15)
"""Time between two signs that a test still waits."""
Wait = Annotated[
    timedelta | None,
    typer.Option(
        parser=duration,
        metavar="TIME",
        help="maximum time for the light, or for a car to come or go; default 2m, for a pair 5m",
    ),
]
NoWait = Annotated[bool, typer.Option("--no-wait", help="do not wait; see the result with `device tests`")]


@app.command("test")
def run_test(
    dev_eui: Eui,
    light: Annotated[str | None, typer.Option(help="hex or a light; without: one that no state has")] = None,
    wait: Wait = None,
    no_wait: NoWait = False,
    as_json: Json = False,
) -> None:
    """Show a test light on a display and wait for its report. Exit code 1 if none comes. Needs a running `serve`."""
    from baylight.inventory import device_tests

    async def work(c: Context) -> DeviceTest:
        begun = await device_tests.create_pattern_test(
            c.change, dev_eui, light=light, wait=wait or device_tests.PATTERN_WAIT
        )
        return begun if no_wait else await _wait(c, begun)

    _print_test(on_database(work), as_json=as_json)


@app.command("pair-test")
def run_pair_test(
    space: Space,
    within: Annotated[
        timedelta | None,
        typer.Option(
            parser=duration, metavar="TIME", help="maximum time from the sensor's change to its light; default 30s"
        ),
    ] = None,
    wait: Wait = None,
    no_wait: NoWait = False,
    as_json: Json = False,
) -> None:
    """Check that the light of a space follows a car in time. Exit code 1 if not. Needs a running `serve`."""
    from baylight.inventory import device_tests

    async def work(c: Context) -> DeviceTest:
        begun = await device_tests.create_pair_test(
            c.change, space, within=within or device_tests.PAIR_LIMIT, wait=wait or device_tests.PAIR_WAIT
        )
        if no_wait:
            return begun
        say(
            f"drive a car onto {space} or off it now, within {_minutes(begun.deadline_at - c.change.now)}: "
            f"the light must follow within {begun.within_s:g} s of the sensor's uplink",
            err=True,
        )
        return await _wait(c, begun)

    _print_test(on_database(work), as_json=as_json)


@app.command("tests")
def list_tests(dev_eui: Eui, role: Role = None, limit: Limit = PAGE_SIZE, as_json: Json = False) -> None:
    """List the tests of a device, newest first."""
    from baylight.inventory import device_tests

    async def work(c: Context) -> list[DeviceTest]:
        found = await device_tests.list_tests(c.connection, device=dev_eui, role=role, limit=limit)
        return [await device_tests.get_test(c.connection, test.id, now=c.change.now) for test in found]

    print_rows(on_database(work), "started_at kind space result seconds detail", as_json=as_json)


@app.command("signal")
def show_signal(dev_eui: Eui, role: Role = None, as_json: Json = False) -> None:
    """Compare the signal of a device with what it needs. Exit code 1 if it is too weak."""
    from baylight.insight import signal as reception

    found = on_database(lambda c: reception.get_signal(c.connection, dev_eui, role))
    print_fields(found, as_json=as_json)
    if found.verdict == "bad":
        raise typer.Exit(FOUND)


@app.command("send")
def send_downlink(
    dev_eui: Eui,
    payload: Annotated[str, typer.Argument(help="hex digits")],
    reason: Annotated[str, typer.Option(help="why; kept in the audit log")],
    f_port: Annotated[int | None, typer.Option(help="without: the FPort of the display")] = None,
    permit_unsafe: Annotated[
        bool,
        typer.Option("--permit-unsafe", help="allow bytes that are no light; they can reconfigure or brick the device"),
    ] = False,
) -> None:
    """Send bytes to a display, then its present light again."""
    from baylight.inventory import display_commands

    sent = on_database(
        lambda c: display_commands.send_command(
            c.change, dev_eui, payload, reason=reason, f_port=f_port, permit_unsafe=permit_unsafe
        )
    )
    say(f"actuation {sent}")


async def _wait(c: Context, test: DeviceTest) -> DeviceTest:
    from baylight.inventory import device_tests

    said_at = c.change.now
    while test.result == "running":
        await asyncio.sleep(LOOK_EVERY_S)
        now = await c.connection.fetchval("SELECT clock_timestamp()")
        if now - said_at >= SAY_EVERY and now < test.deadline_at:
            said_at = now
            say(f"{test.space}: waiting, at most {_minutes(test.deadline_at - now)} more", err=True)
        test = await device_tests.get_test(c.connection, test.id, now=now)
    return test


def _minutes(time: timedelta) -> str:
    """Return a time such as `4 min 30 s`."""
    minutes, seconds = divmod(round(time.total_seconds()), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def _print_test(test: DeviceTest, *, as_json: bool) -> None:
    if as_json:
        print_json(test)
    else:
        after = f" after {test.seconds:.1f} s" if test.seconds is not None else ""
        say(f"{test.space}: {test.result}{after}" + (f": {test.detail}" if test.detail else ""))
    if test.result == "failed":
        raise typer.Exit(FOUND)
