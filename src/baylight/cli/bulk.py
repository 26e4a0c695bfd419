"""`baylight import`, `baylight export`, and the imports of device lists."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from baylight.cli.options import Json
from baylight.cli.output import draw, say
from baylight.cli.run import INPUT, Context, on_database, print_json, print_rows

if TYPE_CHECKING:
    from baylight.bulk.imports import Report
    from baylight.ports import Listed


class Kind(StrEnum):
    """Kind of a CSV file."""

    LOCATIONS = "locations"
    SPACES = "spaces"
    DEVICE_TYPES = "device-types"
    DEVICES = "devices"
    ASSIGNMENTS = "assignments"


class Server(StrEnum):
    """Kind of a network server."""

    CHIRPSTACK = "chirpstack"
    TTS = "tts"


File = Annotated[str, typer.Argument(metavar="FILE|-", help="- reads standard input")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="check and report, change nothing")]
Map = Annotated[
    list[str] | None,
    typer.Option("--map", metavar="PROFILE=TYPE", help="device type of a profile or model; '-' leaves it out"),
]
OnlyKnown = Annotated[bool, typer.Option("--only-known", help="leave out devices of unknown type")]


def import_file(
    file: File,
    kind: Annotated[Kind, typer.Option(help="what the file contains")],
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Import a CSV file: all of it, or nothing."""

    async def work(c: Context) -> Report:
        from baylight.bulk import imports

        with _opened(file) as source, _progress() as progress:
            return await imports.import_csv(c.change, kind, source, dry_run=dry_run, progress=progress)

    _print(on_database(work), as_json=as_json)


def export_file(
    kind: Annotated[Kind, typer.Argument(help="what to write")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="a file instead of standard output")] = None,
    bom: Annotated[
        bool, typer.Option("--bom", help="begin with a byte order mark, by which Excel reads UTF-8")
    ] = False,
) -> None:
    """Export all objects of a kind as CSV."""

    async def work(c: Context) -> None:
        from baylight.bulk import imports

        with _written(output) as target:
            async for part in imports.export(c.connection, kind, bom=bom):
                target.write(part)

    on_database(work)


def import_chirpstack(
    application: Annotated[list[str] | None, typer.Option(help="id of an application; may be repeated")] = None,
    tenant: Annotated[str | None, typer.Option(help="id of a tenant: all its applications")] = None,
    types: Map = None,
    only_known: OnlyKnown = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Register the devices that ChirpStack lists."""

    async def listed(c: Context) -> AsyncIterator[Listed]:
        from baylight.app.connections import chirpstack_devices
        from baylight.bulk import device_lists

        source = chirpstack_devices(c.settings)
        if source is not None and not application and not tenant:
            known = await device_lists.known_applications(c.connection, "chirpstack")
            found, error = await device_lists.name_an_application(source, known)
            print_rows(found, "tenant_name tenant_id name id", as_json=as_json)
            raise error
        async for device in device_lists.list_chirpstack(source, application or (), tenant):
            yield device

    _import_list(
        listed, "chirpstack", types, only_known, dry_run, as_json, applications=application or (), complete=True
    )


def import_tts(
    file: File,
    application: Annotated[
        str | None,
        typer.Option(help="id of the application, for a file that names none; default: the one that the settings name"),
    ] = None,
    types: Map = None,
    only_known: OnlyKnown = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Register the devices of an export of The Things Stack."""

    async def read(c: Context) -> AsyncIterator[Listed]:
        from baylight.app.tts_connections import only_application
        from baylight.bulk import device_lists

        with _opened(file) as source:
            async for device in device_lists.list_tts(source, application or only_application(c.settings)):
                yield device

    _import_list(read, "tts", types, only_known, dry_run, as_json)


def import_delivery(
    file: File,
    columns: Annotated[
        list[str] | None,
        typer.Option("--column", metavar="FIELD=COLUMN", help="column of a field: dev_eui, model or name"),
    ] = None,
    network_server: Annotated[Server, typer.Option(help="where the devices are registered")] = Server.CHIRPSTACK,
    application: Annotated[str, typer.Option(help="id of the application of all devices")] = "",
    types: Map = None,
    only_known: OnlyKnown = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Register the devices of a maker's delivery list."""

    async def read(c: Context) -> AsyncIterator[Listed]:
        from baylight.bulk import delivery_list, device_lists

        named = delivery_list.parse_columns(columns or ())
        with _opened(file) as source:
            async for device in device_lists.list_delivery(source, named, application):
                yield device

    _import_list(read, network_server, types, only_known, dry_run, as_json)


def _import_list(
    listed: Callable[[Context], AsyncIterator[Listed]],
    network_server: str,
    types: list[str] | None,
    only_known: bool,
    dry_run: bool,
    as_json: bool,
    *,
    applications: Sequence[str] = (),
    complete: bool = False,
) -> None:
    async def work(c: Context) -> Report:
        from baylight.bulk import device_lists

        with _progress() as progress:
            report = await device_lists.import_list(
                c.change,
                listed(c),
                network_server=network_server,
                types=device_lists.parse_types(types or ()),
                applications=applications,
                complete=complete,
                only_known=only_known,
                dry_run=dry_run,
                progress=progress,
            )
        for profile, count in sorted(report.left_out.items()):
            say(f"left out: {count} of {profile or 'no profile'}", err=True)
        return report

    _print(on_database(work), as_json=as_json)


@contextmanager
def _opened(file: str) -> Iterator[IO[bytes]]:
    if file == "-":
        yield sys.stdin.buffer
        return
    with _openable(Path(file)), Path(file).open("rb") as source:
        yield source


@contextmanager
def _written(path: Path | None) -> Iterator[IO[bytes]]:
    """Open a file for writing. It appears under its name once it is complete."""
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.flush()
        return
    beside = path.with_name(path.name + ".part")
    with _openable(path):
        with beside.open("wb") as target:
            yield target
        beside.replace(path)


@contextmanager
def _openable(path: Path) -> Iterator[None]:
    from baylight.errors import InputError

    try:
        yield
    except OSError as error:
        if error.filename is None:
            raise
        raise InputError("bad_file", f"{path}: {error.strerror}") from error


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int | None], None] | None]:
    """Show a progress bar on standard error, if that is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return

    def show(stage: str, done: int, of: int | None) -> None:
        bar = f" [{'#' * (30 * done // of):<30}] {100 * done // of} %" if of else ""
        draw(f"{stage}{f' {done:,}' if done else ''}{bar}")

    try:
        yield show
    finally:
        draw("")


def _print(report: Report, *, as_json: bool) -> None:
    for note in report.notes:
        say(f"note: {note}", err=True)
    if as_json:
        print_json(report)
    else:
        for error in report.first:
            say(f"row {error.row}{f', {error.column}' if error.column else ''}: {error.message} ({error.code})")
        if report.errors:
            counts = ", ".join(f"{times} {code}" for code, times in sorted(report.by_code.items()))
            say(f"nothing was changed: {report.errors} errors in {report.rows} rows ({counts})")
        else:
            would = "" if report.applied else " (dry run: nothing was changed)"
            say(
                f"{report.rows} {report.kind}: {report.added} added, {report.changed} changed, "
                f"{report.unchanged} unchanged{would}"
            )
    if report.errors:
        raise typer.Exit(INPUT)
