"""Command line: the groups of commands, and the commands without a group."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from baylight.cli import (
    aliases,
    bulk,
    codecs,
    conditions,
    db,
    device_life,
    device_tests,
    device_types,
    devices,
    gateways,
    keys,
    locations,
    orphans,
    overrides,
    reservations,
    root,
    spaces,
    v2,
)
from baylight.cli.options import Json, Space, duration
from baylight.cli.output import say, say_lines, say_shaped, zone_of
from baylight.cli.reach import reach
from baylight.cli.run import FOUND, Context, load_settings, on_database, print_json, run

if TYPE_CHECKING:
    from baylight.insight.doctor import Finding

app = typer.Typer(
    cls=root.Root,
    callback=root.options,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
devices.app.add_typer(device_life.app)
devices.app.add_typer(device_tests.app)
for name, group in (
    ("space", spaces.app),
    ("location", locations.app),
    ("device", devices.app),
    ("type", device_types.app),
    ("codec", codecs.app),
    ("orphan", orphans.app),
    ("gateway", gateways.app),
    ("condition", conditions.app),
    ("override", overrides.app),
    ("reservation", reservations.app),
    ("key", keys.app),
    ("db", db.app),
    ("v2", v2.app),
):
    app.add_typer(group, name=name)
app.command("import")(bulk.import_file)
app.command("export")(bulk.export_file)
app.command("import-chirpstack")(bulk.import_chirpstack)
app.command("import-tts")(bulk.import_tts)
app.command("import-delivery")(bulk.import_delivery)
aliases.add_to(app)


@app.command()
def serve() -> None:
    """Run Baylight until it is stopped (SIGTERM, Ctrl-C)."""
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
        timedelta | None, typer.Option("--for", parser=duration, metavar="TIME", help="stop after this time, e.g. 30s")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="at the end, check every light; exit code 1 if one is wrong")
    ] = False,
    speed: Annotated[
        float, typer.Option(min=0.1, max=1000, help="how many times faster than in reality cars move")
    ] = 20.0,
    bays: Annotated[int, typer.Option(min=1, max=5000, help="number of bays")] = 60,
    http_port: Annotated[int, typer.Option(min=0, max=65535, help="port of the live page; 0: any free port")] = 0,
    data_dir: Annotated[Path, typer.Option(help="folder of the data; the next start continues with it")] = Path(
        ".baylight-demo"
    ),
    from_v2: Annotated[
        bool, typer.Option("--from-v2", help="show the migration of a V2 database at work, stage by stage")
    ] = False,
    step: Annotated[bool, typer.Option("--step", help="with --from-v2: wait for Enter at each stage")] = False,
) -> None:
    """Run a simulated car park. It needs no database, broker or device.

    With --from-v2 it shows the migration, ends by itself, and deletes its data. --for is then the time for which it
    waits after the stages, all together. The exit code is 1 if a statement of V2 failed, a row differs or a light was
    wrong.
    """
    from baylight.lab.demo import Options
    from baylight.lab.demo import demo as play
    from baylight.log import configure

    configure(level="error" if from_v2 else "warning", readable=True)
    data, seconds = data_dir.resolve(), run_for.total_seconds() if run_for else None
    if from_v2:
        from baylight.lab.from_v2 import course

        data = data.with_name(f"{data.name}-from-v2")
        well = run(course.demo(course.Options(data, seconds or course.CARS_S, step, bays, speed, http_port=http_port)))
    else:
        options = Options(data, seconds=seconds, check=check, bays=bays, speed=speed, http_port=http_port)
        well = run(play(options))
    if not well:
        raise typer.Exit(FOUND)


@app.command()
def settings(as_json: Json = False) -> None:
    """List every setting, its default, and what it does."""
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
        say_lines([f"{row['name']}  ({default})", f"    {row['description']}"])


@app.command()
def doctor(as_json: Json = False) -> None:
    """Check the whole installation. Exit code 1 if something needs attention."""
    findings = on_database(_examine)
    if as_json:
        print_json(findings)
    else:
        for finding in findings:
            say(f"{'ok  ' if finding.ok else 'LOOK'}  {finding.check}: {finding.detail}")
            if finding.what_to_do:
                say(f"      {finding.what_to_do}")
    if not all(finding.ok for finding in findings):
        raise typer.Exit(FOUND)


async def _examine(c: Context) -> list[Finding]:
    from baylight.insight import doctor

    found = await doctor.examine(c.connection, now=c.change.now, policy=c.change.policies.decision)
    return found + await reach(c.settings, c.connection)


@app.command()
def why(space: Space, as_json: Json = False) -> None:
    """Explain why a light is as it is, from frame to lamp."""
    from baylight.insight import why

    explanation = on_database(lambda c: why.explain(c.connection, space, c.change.now, c.change.policies.decision))
    if as_json:
        print_json(explanation)
    else:
        say_shaped(why.render(explanation, zone_of(explanation.space)))
