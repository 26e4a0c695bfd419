"""`baylight codec …`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from baylight.cli.options import AllowAlike, Json, Notes, duration
from baylight.cli.output import say, say_source
from baylight.cli.run import FOUND, Context, on_database, print_fields, print_json, print_rows

if TYPE_CHECKING:
    from baylight.js_codecs.versions import Outcome, Proof, Version
    from baylight.ports import CodecEngine

app = typer.Typer(help="Manage JavaScript payload codecs.", no_args_is_help=True)

T = TypeVar("T")
Name = Annotated[str, typer.Argument(help="name of the codec; a device type refers to it as js:NAME")]
Number = Annotated[int | None, typer.Option("--version", help="without: the active version, else the newest")]
File = Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="a JSON file")]
NewType = Annotated[str, typer.Argument(help="code of the new device type, e.g. acme_bay_eye")]
Manufacturer = Annotated[str, typer.Option(help="maker of the device")]
Model = Annotated[str, typer.Option(help="model of the device")]
Every = Annotated[timedelta, typer.Option(parser=duration, metavar="TIME", help="maximum time between two uplinks")]
Prefix = Annotated[list[str] | None, typer.Option(help="first digits of its DevEUIs, to recognise it by")]


@app.command("add")
def add_codec(
    name: Name,
    source: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="the JavaScript file")],
    mapping: File = None,
    examples: File = None,
    notes: Notes = None,
    as_json: Json = False,
) -> None:
    """Store a version of a codec. It decodes nothing until you activate it. You may repeat the command."""
    from baylight.js_codecs import versions

    text, rules, proofs = _text(source), read_json(mapping, {}), read_json(examples, [])

    async def work(c: Context) -> Version:
        return await versions.create_codec(c.change, name, text, mapping=rules or None, examples=proofs, notes=notes)

    _print_version(on_database(work), as_json=as_json)


@app.command("list")
def list_codecs(
    name: Annotated[str | None, typer.Argument(help="only this codec")] = None, as_json: Json = False
) -> None:
    """List versions of codecs, newest first."""
    from baylight.js_codecs import versions

    rows = on_database(lambda c: versions.list_codecs(c.connection, name))
    print_rows(rows, "name version active examples has_mapping activated_at created_by notes", as_json=as_json)


@app.command("show")
def show_codec(
    name: Name,
    version: Number = None,
    source: Annotated[bool, typer.Option("--source", help="print only the JavaScript")] = False,
    as_json: Json = False,
) -> None:
    """Show a version and its mapping."""
    from baylight.js_codecs import versions

    found = on_database(lambda c: versions.get_codec(c.connection, name, version))
    if source:
        say_source(found.source)
    else:
        _print_version(found, as_json=as_json)


@app.command("test")
def run_examples(name: Name, version: Number = None, as_json: Json = False) -> None:
    """Run the examples of a version. Exit code 1 if one fails."""
    from baylight.js_codecs import versions

    async def work(c: Context, engine: CodecEngine) -> Proof:
        return await versions.run_examples(c.connection, engine, await versions.get_codec(c.connection, name, version))

    proof = on_engine(work)
    _print_proof(proof, as_json=as_json)
    if not all(result.passed for result in proof.examples):
        raise typer.Exit(FOUND)


@app.command("activate")
def activate_codec(
    name: Name, version: Annotated[int, typer.Argument(help="number of the version")], as_json: Json = False
) -> None:
    """Activate a version if its examples prove it. It decodes from the next uplink on, and what waits for it."""
    from baylight.js_codecs import versions

    proof = on_engine(lambda c, engine: versions.activate_codec(c.change, engine, name, version))
    _print_proof(proof, as_json=as_json)
    if not as_json:
        say(f"version {version} of {name} is active")


@app.command("deactivate")
def deactivate_codec(
    name: Name, force: Annotated[bool, typer.Option("--force", help="even if devices use it")] = False
) -> None:
    """Deactivate a codec. Uplinks that need it are then stored without a reading."""
    from baylight.js_codecs import versions

    on_database(lambda c: versions.deactivate_codec(c.change, name, force=force))
    say(f"no version of {name} is active")


@app.command("add-type")
def add_type(
    name: Name,
    code: NewType,
    manufacturer: Manufacturer,
    model: Model,
    every: Every,
    silent_after: Annotated[int, typer.Option(help="number of missing uplinks after which the space is UNKNOWN")] = 3,
    prefix: Prefix = None,
    as_json: Json = False,
) -> None:
    """Add a sensor type whose uplinks the codec decodes."""
    from baylight.js_codecs import types

    made = on_database(
        lambda c: types.create_sensor_type(
            c.change,
            name,
            types.NewDeviceType(
                code,
                manufacturer=manufacturer,
                model=model,
                uplink_interval_s=round(every.total_seconds()),
                silent_after_intervals=silent_after,
                dev_eui_prefixes=prefix or (),
            ),
        )
    )
    print_fields(made, as_json=as_json)


@app.command("add-display-type")
def add_display_type(
    name: Name,
    code: NewType,
    states: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="JSON: state -> data of encodeDownlink")],
    manufacturer: Manufacturer,
    model: Model,
    every: Every,
    silent_after: Annotated[
        int, typer.Option(help="number of missing uplinks after which the display is unreachable")
    ] = 3,
    prefix: Prefix = None,
    f_port: Annotated[
        int | None, typer.Option(min=1, max=223, help="FPort of its downlinks, unless the codec sets it")
    ] = None,
    confirmed: Annotated[bool, typer.Option("--confirmed", help="request an acknowledgement of each downlink")] = False,
    allow_alike: AllowAlike = False,
    as_json: Json = False,
) -> None:
    """Add a display type. The active version of the codec makes its codes."""
    from baylight.js_codecs import types

    made = on_engine(
        lambda c, engine: types.create_display_type(
            c.change,
            engine,
            name,
            types.NewDeviceType(
                code,
                manufacturer=manufacturer,
                model=model,
                uplink_interval_s=round(every.total_seconds()),
                silent_after_intervals=silent_after,
                dev_eui_prefixes=prefix or (),
            ),
            states=read_json(states, {}),
            f_port=f_port,
            confirmed_downlinks=confirmed,
            allow_alike=allow_alike,
        )
    )
    print_fields(made, as_json=as_json)


@app.command("encode")
def encode_command(
    name: Name,
    data: Annotated[str, typer.Argument(metavar="JSON", help="data for encodeDownlink")],
    version: Number = None,
    as_json: Json = False,
) -> None:
    """Print the bytes of a downlink without sending it. Exit code 1 if there are none."""
    import json

    from baylight.js_codecs import versions

    try:
        given = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(f"{data!r} is not JSON: {error}") from None
    if not isinstance(given, dict):
        raise typer.BadParameter(f"{data!r} is not a JSON object")

    async def work(c: Context, engine: CodecEngine) -> Outcome:
        return await versions.encode_downlink(engine, await versions.get_codec(c.connection, name, version), given)

    _print_outcome(on_engine(work), as_json=as_json)


@app.command("decode")
def decode_frame(
    name: Name,
    f_port: Annotated[int, typer.Argument(min=1, max=255, help="FPort of the uplink")],
    data: Annotated[str, typer.Argument(metavar="HEX", help="payload of the uplink")],
    version: Number = None,
    as_json: Json = False,
) -> None:
    """Print the reading of an uplink without storing it. Exit code 1 if it cannot be decoded."""
    from baylight.js_codecs import versions

    try:
        sent = bytes.fromhex(data)
    except ValueError:
        raise typer.BadParameter(f"{data!r} is not hex") from None

    async def work(c: Context, engine: CodecEngine) -> Outcome:
        return await versions.decode_uplink(
            engine, await versions.get_codec(c.connection, name, version), f_port, sent, c.change.now
        )

    _print_outcome(on_engine(work), as_json=as_json)


def on_engine(work: Callable[[Context, CodecEngine], Awaitable[T]]) -> T:
    """Run `work` on a connection to the database, with a sandbox."""
    from baylight.log import configure
    from baylight.sandbox.pool import Sandbox

    configure(level="error")  # errors of a codec are printed once, as its result

    async def run(c: Context) -> T:
        sandbox = Sandbox(workers=1)
        try:
            return await work(c, sandbox)
        finally:
            await sandbox.close()

    return on_database(run)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except ValueError:
        raise typer.BadParameter(f"{path} is not UTF-8 text") from None


def read_json(path: Path | None, nothing: Any) -> Any:
    """Return the JSON of a file, of the kind of `nothing`; without a file `nothing`. Raises typer.BadParameter."""
    import json

    if path is None:
        return nothing
    try:
        found = json.loads(_text(path))
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(f"{path}: {error}") from None
    if not isinstance(found, type(nothing)):
        raise typer.BadParameter(f"{path} does not hold a JSON {'list' if isinstance(nothing, list) else 'object'}")
    return found


def _print_version(found: Version, *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    say(f"{found.name} version {found.version}, {'active' if found.active else 'not active'}")
    say(f"by {found.created_by}, {len(found.examples)} examples{f', {found.notes}' if found.notes else ''}")
    for key, value in (found.mapping or {}).items():
        say(f"  {key:<18} {value}")


def _print_outcome(outcome: Outcome, *, as_json: bool) -> None:
    print_fields(outcome, as_json=as_json)
    if outcome.problem:
        raise typer.Exit(FOUND)


def _print_proof(proof: Proof, *, as_json: bool) -> None:
    if as_json:
        print_json(proof)
        return
    for result in proof.examples:
        reading = f" ({result.occupancy})" if result.occupancy else ""
        say(f"{'ok  ' if result.passed else 'FAIL'}  {result.description}{reading}")
        if result.problem:
            say(f"      {result.problem}")
    for shape in proof.uncovered:
        length = "no example has it" if shape.length is None else f"length {shape.length}"
        seen = f", {shape.seen} of the newest uplinks" if shape.seen else ""
        say(f"look  not covered by an example: FPort {shape.f_port}, {length}{seen}")
