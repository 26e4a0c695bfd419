"""`baylight codec …`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from baylight.cli.run import FOUND, Context, Json, duration, on_database, print_fields, print_json, print_rows

if TYPE_CHECKING:
    from baylight.js_codecs.versions import ExampleResult, Outcome, Version
    from baylight.ports import CodecEngine

codec = typer.Typer(help="JavaScript payload codecs.", no_args_is_help=True)

T = TypeVar("T")
Name = Annotated[str, typer.Argument(help="of the codec; a device type names it as js:NAME")]
Number = Annotated[int | None, typer.Option("--version", help="without: the active one, else the newest")]
File = Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="a JSON file")]


@codec.command("add")
def add_codec(
    name: Name,
    source: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="the JavaScript file")],
    mapping: File = None,
    examples: File = None,
    notes: Annotated[str | None, typer.Option(help="where it is from, what changed")] = None,
    as_json: Json = False,
) -> None:
    """Stores a version; it decodes nothing before it is activated. May be repeated."""
    from baylight.js_codecs import versions

    text, rules, proofs = _text(source), _read(mapping, {}), _read(examples, [])

    async def work(c: Context) -> Version:
        return await versions.add(c.change, name, text, mapping=rules or None, examples=proofs, notes=notes)

    _print_version(on_database(work), as_json=as_json)


@codec.command("list")
def list_codecs(name: Annotated[str | None, typer.Argument()] = None, as_json: Json = False) -> None:
    """All versions, newest first."""
    from baylight.js_codecs import versions

    rows = on_database(lambda c: versions.versions(c.connection, name))
    print_rows(rows, "name version active examples tells_occupancy activated_at created_by notes", as_json=as_json)


@codec.command("show")
def show_codec(
    name: Name,
    version: Number = None,
    source: Annotated[bool, typer.Option("--source", help="the JavaScript alone")] = False,
    as_json: Json = False,
) -> None:
    """A version and its mapping."""
    from baylight.js_codecs import versions

    found = on_database(lambda c: versions.get(c.connection, name, version))
    if source:
        typer.echo(found.source)
    else:
        _print_version(found, as_json=as_json)


@codec.command("test")
def prove_codec(name: Name, version: Number = None, as_json: Json = False) -> None:
    """Runs the examples; exit code 1 if one fails."""
    from baylight.js_codecs import versions

    async def work(c: Context, engine: CodecEngine) -> list[ExampleResult]:
        return await versions.run_examples(engine, await versions.get(c.connection, name, version))

    results = _on_engine(work)
    _print_results(results, as_json=as_json)
    if not all(result.passed for result in results):
        raise typer.Exit(FOUND)


@codec.command("activate")
def activate_codec(name: Name, version: Annotated[int, typer.Argument()], as_json: Json = False) -> None:
    """Decodes by this version from the next uplink on, if its examples pass."""
    from baylight.js_codecs import versions

    results = _on_engine(lambda c, engine: versions.activate(c.change, engine, name, version))
    _print_results(results, as_json=as_json)
    if not as_json:
        typer.echo(f"version {version} of {name} is active")


@codec.command("deactivate")
def deactivate_codec(
    name: Name, force: Annotated[bool, typer.Option("--force", help="even if devices decode by it")] = False
) -> None:
    """Uplinks that need it are stored without a reading."""
    from baylight.js_codecs import versions

    on_database(lambda c: versions.deactivate(c.change, name, force=force))
    typer.echo(f"no version of {name} is active")


@codec.command("add-type")
def add_type(
    name: Name,
    code: Annotated[str, typer.Argument(help="of the new device type, e.g. acme_bay_eye")],
    manufacturer: Annotated[str, typer.Option()],
    model: Annotated[str, typer.Option()],
    every: Annotated[
        timedelta, typer.Option(parser=duration, metavar="TIME", help="longest pause between two uplinks")
    ],
    silent_after: Annotated[int, typer.Option(help="after so many such pauses the bay is UNKNOWN")] = 3,
    prefix: Annotated[list[str] | None, typer.Option(help="of its DevEUIs, by which it is recognised")] = None,
    as_json: Json = False,
) -> None:
    """Makes a sensor type whose devices decode by the codec."""
    from baylight.js_codecs import types

    made = on_database(
        lambda c: types.add_type(
            c.change,
            name,
            code,
            manufacturer=manufacturer,
            model=model,
            uplink_interval_s=round(every.total_seconds()),
            silent_after_intervals=silent_after,
            dev_eui_prefixes=prefix or (),
        )
    )
    print_fields(made, as_json=as_json)


@codec.command("add-display-type")
def add_display_type(
    name: Name,
    code: Annotated[str, typer.Argument(help="of the new device type, e.g. acme_signal")],
    states: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="JSON: state -> data of encodeDownlink")],
    manufacturer: Annotated[str, typer.Option()],
    model: Annotated[str, typer.Option()],
    every: Annotated[
        timedelta, typer.Option(parser=duration, metavar="TIME", help="longest pause between two uplinks")
    ],
    silent_after: Annotated[int, typer.Option(help="after so many such pauses it is unreachable")] = 3,
    prefix: Annotated[list[str] | None, typer.Option(help="of its DevEUIs, by which it is recognised")] = None,
    f_port: Annotated[int | None, typer.Option(min=1, max=223, help="of its downlinks, unless the codec says")] = None,
    confirmed: Annotated[bool, typer.Option("--confirmed", help="it must acknowledge each downlink")] = False,
    as_json: Json = False,
) -> None:
    """Makes a display type whose codes the codec's active version makes."""
    from baylight.js_codecs import types

    made = _on_engine(
        lambda c, engine: types.add_display_type(
            c.change,
            engine,
            name,
            code,
            states=_read(states, {}),
            manufacturer=manufacturer,
            model=model,
            uplink_interval_s=round(every.total_seconds()),
            silent_after_intervals=silent_after,
            dev_eui_prefixes=prefix or (),
            f_port=f_port,
            confirmed_downlinks=confirmed,
        )
    )
    print_fields(made, as_json=as_json)


@codec.command("encode")
def encode_command(
    name: Name,
    data: Annotated[str, typer.Argument(metavar="JSON", help="what encodeDownlink takes")],
    version: Number = None,
    as_json: Json = False,
) -> None:
    """The bytes of a downlink; nothing is sent. Exit code 1 if it makes none."""
    import json

    from baylight.js_codecs import versions

    try:
        given = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(f"{data!r} is not JSON: {error}") from None
    if not isinstance(given, dict):
        raise typer.BadParameter(f"{data!r} is not a JSON object")

    async def work(c: Context, engine: CodecEngine) -> Outcome:
        return await versions.encode(engine, await versions.get(c.connection, name, version), given)

    _print_outcome(_on_engine(work), as_json=as_json)


@codec.command("decode")
def decode_frame(
    name: Name,
    f_port: Annotated[int, typer.Argument(min=1, max=255)],
    data: Annotated[str, typer.Argument(metavar="HEX")],
    version: Number = None,
    as_json: Json = False,
) -> None:
    """What an uplink would mean; nothing is stored. Exit code 1 if it cannot be read."""
    from baylight.js_codecs import versions

    try:
        sent = bytes.fromhex(data)
    except ValueError:
        raise typer.BadParameter(f"{data!r} is not hex") from None

    async def work(c: Context, engine: CodecEngine) -> Outcome:
        return await versions.decode(
            engine, await versions.get(c.connection, name, version), f_port, sent, c.change.now
        )

    _print_outcome(_on_engine(work), as_json=as_json)


def _on_engine(work: Callable[[Context, CodecEngine], Awaitable[T]]) -> T:
    from baylight.log import configure
    from baylight.sandbox.pool import Sandbox

    configure(level="error")  # what a codec does wrong is told once, as its result

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


def _read(path: Path | None, nothing: Any) -> Any:
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
    typer.echo(f"{found.name} version {found.version}, {'active' if found.active else 'not active'}")
    typer.echo(f"by {found.created_by}, {len(found.examples)} examples{f', {found.notes}' if found.notes else ''}")
    for key, value in (found.mapping or {}).items():
        typer.echo(f"  {key:<18} {value}")


def _print_outcome(outcome: Outcome, *, as_json: bool) -> None:
    print_fields(outcome, as_json=as_json)
    if outcome.problem:
        raise typer.Exit(FOUND)


def _print_results(results: list[ExampleResult], *, as_json: bool) -> None:
    if as_json:
        print_json(results)
        return
    for result in results:
        says = f" ({result.occupancy})" if result.occupancy else ""
        typer.echo(f"{'ok  ' if result.passed else 'FAIL'}  {result.description}{says}")
        if result.problem:
            typer.echo(f"      {result.problem}")
