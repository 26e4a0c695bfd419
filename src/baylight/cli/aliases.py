"""Former names of commands, hidden. They work in this release and name the new command on standard error."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, Literal

import typer

from baylight.cli import devices, keys, reservations, v2
from baylight.cli.devices import Application, Codes, NetworkServer
from baylight.cli.options import Eui, Json, Notes, Type
from baylight.cli.output import say

Command = Callable[..., None]

OF_EACH_ROLE: tuple[tuple[str, Command], ...] = (
    ("list", devices.list_devices),
    ("show", devices.show_device),
    ("enable", devices.enable_device),
    ("disable", devices.disable_device),
    ("lifecycle", devices.set_lifecycle),
)
ROLES: tuple[Literal["sensor", "display"], ...] = ("sensor", "display")


def add_to(app: typer.Typer) -> None:
    """Add the groups `sensor` and `display`, and the former commands of other groups."""
    groups = {role: typer.Typer() for role in ROLES}
    for role, group in groups.items():
        app.add_typer(group, name=role, hidden=True, help=f"Former name of `baylight device` for a {role}.")
        for name, command in OF_EACH_ROLE:
            now = f"device {name}{f' --role {role}' if name == 'list' else ''}"
            group.command(name)(_renamed(command, f"{role} {name}", now, role=role))
    groups["sensor"].command("add")(_renamed(devices.add_device, "sensor add", "device add", role="sensor"))
    groups["display"].command("add")(_renamed(_add_display, "display add", "device add"))
    groups["display"].command("codes")(_renamed(devices.set_codes, "display codes", "device codes"))
    devices.app.command("register", hidden=True)(_renamed(devices.add_device, "device register", "device add"))
    keys.app.command("create", hidden=True)(_renamed(keys.add_key, "key create", "key add"))
    reservations.app.command("create", hidden=True)(
        _renamed(reservations.add_reservation, "reservation create", "reservation add")
    )
    v2.app.command("shadow", hidden=True)(_renamed(v2.observe, "v2 shadow", "v2 observe"))


def _renamed(command: Command, old: str, new: str, **fixed: str) -> Command:
    """Return `command` with the parameters `fixed` given and no longer options."""

    @wraps(command)
    def alias(**given: Any) -> None:
        say(f"`baylight {old}` is now `baylight {new}`; the next release removes the old name", err=True)
        command(**given, **fixed)

    signature = inspect.signature(command, eval_str=True)
    kept = [parameter for name, parameter in signature.parameters.items() if name not in fixed]
    vars(alias)["__signature__"] = signature.replace(parameters=kept)
    return alias


def _add_display(
    dev_eui: Eui,
    kind: Type = None,
    codes: Codes = None,
    notes: Notes = None,
    shared: Annotated[bool, typer.Option("--shared", help="now --shared worst_state")] = False,
    network_server: NetworkServer = "chirpstack",
    application: Application = None,
    as_json: Json = False,
) -> None:
    devices.add_device(
        dev_eui,
        kind,
        "display",
        codes=codes,
        notes=notes,
        shared="worst_state" if shared else None,
        network_server=network_server,
        application=application,
        as_json=as_json,
    )
