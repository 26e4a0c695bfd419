"""Running, watching and explaining an installation."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from baylight.cli import assignments, bulk, codecs, commissioning, devices, orphans, places, plans
from baylight.cli.reach import reach
from baylight.cli.run import FOUND, Context, Json, duration, load_settings, on_database, print_json, run
from baylight.cli.v2 import app as v2

if TYPE_CHECKING:
    from baylight.insight.doctor import Finding

app = typer.Typer(
    help="Baylight: the light on the bay tells the truth, and Baylight can prove it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
db = typer.Typer(help="The schema of the database.", no_args_is_help=True)
app.add_typer(db, name="db")
app.add_typer(v2, name="v2")
for name, part in (
    ("space", places.space),
    ("location", places.location),
    ("sensor", devices.sensor),
    ("display", devices.display),
    ("device", assignments.device),
    ("type", devices.device_type),
    ("codec", codecs.codec),
    ("orphan", orphans.app),
    ("override", plans.override),
    ("reservation", plans.reservation),
    ("key", plans.key),
):
    app.add_typer(part, name=name)
app.command("import")(bulk.import_file)
app.command("export")(bulk.export_file)
app.command("import-chirpstack")(bulk.import_chirpstack)
app.command("import-tts")(bulk.import_tts)
assignments.device.registered_commands += commissioning.device.registered_commands


@app.command()
def serve() -> None:
    """Runs Baylight until it is stopped (SIGTERM, Ctrl-C)."""
    run(_serve())


async def _serve() -> None:
    from baylight.app.program import serve
    from baylight.log import configure, logger
    from baylight.settings import misspelt

    settings = load_settings()
    configure(level=settings.log_level, readable=settings.log_readable)
    for name, meant in misspelt(os.environ).items():
        logger("app").warning("setting_unknown", name=name, meant=meant)
    await serve(settings)


@app.command()
def demo(
    run_for: Annotated[
        timedelta | None, typer.Option("--for", parser=duration, metavar="TIME", help="stop after, e.g. 30s")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="at the end, check every light; exit code 1 if one is wrong")
    ] = False,
    speed: Annotated[float, typer.Option(min=0.1, max=1000, help="how much faster than in life cars move")] = 20.0,
    bays: Annotated[int, typer.Option(min=1, max=5000, help="how many bays")] = 60,
    http_port: Annotated[int, typer.Option(min=0, max=65535, help="of the live page; 0 takes a free one")] = 0,
    data_dir: Annotated[Path, typer.Option(help="where the data is kept; the next start goes on with it")] = Path(
        ".baylight-demo"
    ),
) -> None:
    """A simulated car park; needs nothing else."""
    from baylight.lab.demo import Options
    from baylight.lab.demo import demo as play
    from baylight.log import configure

    configure(level="warning", readable=True)
    seconds = run_for.total_seconds() if run_for else None
    options = Options(data_dir.resolve(), seconds=seconds, check=check, bays=bays, speed=speed, http_port=http_port)
    well = run(play(options))
    if not well:
        raise typer.Exit(FOUND)


@app.command()
def settings(as_json: Json = False) -> None:
    """Every setting, its default, and what it does."""
    from pydantic_core import PydanticUndefined

    from baylight.settings import Settings

    rows = [
        {
            "name": f"BAYLIGHT_{name.upper()}",
            "default": None if field.default is PydanticUndefined else field.default,
            "description": field.description,
        }
        for name, field in Settings.model_fields.items()
    ]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        default = "no default" if row["default"] is None else f"default {row['default']}"
        typer.echo(f"{row['name']}  ({default})\n    {row['description']}")


@app.command()
def doctor(as_json: Json = False) -> None:
    """Examines everything; exit code 1 for trouble."""
    findings = on_database(_examine)
    if as_json:
        print_json(findings)
    else:
        for finding in findings:
            typer.echo(f"{'ok  ' if finding.ok else 'LOOK'}  {finding.check}: {finding.detail}")
            if finding.what_to_do and not finding.ok:
                typer.echo(f"      {finding.what_to_do}")
    if not all(finding.ok for finding in findings):
        raise typer.Exit(FOUND)


async def _examine(c: Context) -> list[Finding]:
    from baylight.insight import doctor

    found = await doctor.examine(c.connection, now=c.change.now, policy=c.change.policies.decision)
    return found + await reach(c.settings)


@app.command()
def why(space: Annotated[str, typer.Argument(help="code of the space")], as_json: Json = False) -> None:
    """Why a light is as it is: every step, from frame to lamp."""
    from baylight.insight import why

    explanation = on_database(lambda c: why.explain(c.connection, space, c.change.now, c.change.policies.decision))
    if as_json:
        print_json(explanation)
    else:
        typer.echo(why.render(explanation))


@db.command("upgrade")
def upgrade() -> None:
    """Makes or upgrades schema and catalogue. May be repeated."""

    async def work(c: Context) -> None:
        from baylight.inventory import device_types
        from baylight.store import migrate

        for applied in await migrate.upgrade(c.connection):
            typer.echo(f"applied {applied}")
        changed = await device_types.sync(c.connection)
        typer.echo(f"the schema is up to date; {changed} device types new or changed")

    on_database(work)


@db.command("status")
def status(as_json: Json = False) -> None:
    """Which migrations are applied."""

    async def work(c: Context) -> list[Any]:
        from baylight.store import migrate

        return list(await migrate.status(c.connection))

    migrations = on_database(work)
    if as_json:
        print_json(migrations)
        return
    for migration in migrations:
        applied = f"{migration.applied_at:%Y-%m-%d %H:%M:%S}" if migration.applied_at else "pending"
        typer.echo(f"{migration.name:<40} {applied}")


@db.command("check")
def check() -> None:
    """Exit code 2 unless the schema is the one of this version."""

    async def work(c: Context) -> None:
        from baylight.store import migrate

        await migrate.check(c.connection)

    on_database(work)
    typer.echo("the schema is the one of this version")
