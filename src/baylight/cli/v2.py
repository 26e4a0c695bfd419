"""`baylight v2`: from a live V2 database to Baylight's schema and back, stage by stage."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    from baylight.store.pool import Connection
    from baylight.v2.choices import Choices
    from baylight.v2.findings import Report
    from baylight.v2.pace import Progress

FOUND, INPUT, LATER = 1, 2, 3
"""Exit codes besides 0: differences or findings, the caller must change something, it may work later."""

T = TypeVar("T")
app = typer.Typer(help="From a live V2 database to Baylight, and back.", no_args_is_help=True)

ChoicesFile = Annotated[
    Path | None, typer.Option("--choices", exists=True, dir_okay=False, help="your decisions, TOML (see inspect)")
]
Json = Annotated[bool, typer.Option("--json", help="JSON instead of text")]
Yes = Annotated[bool, typer.Option("--yes", help="do not ask")]
To = Annotated[str, typer.Option("--to", metavar="STAGE", help="expand, backfill, verify, switch or contract")]
Back = Annotated[str | None, typer.Option("--to", metavar="STAGE", help="keep this stage; `start` takes all back")]
Patience = Annotated[float, typer.Option(min=1, help="seconds to go on asking for a lock")]


@app.command()
def inspect(
    as_json: Json = False,
    write_choices: Annotated[Path | None, typer.Option(help="write the proposed choices to this file")] = None,
) -> None:
    """What stands in the way. Reads only; safe on a database at work."""
    from baylight.v2.findings import inspect
    from baylight.v2.steps import STEPS

    report = _on_database(inspect)
    if write_choices:
        write_choices.write_text(report.proposal, encoding="utf-8")
    if as_json:
        steps = [
            {
                "stage": s.stage,
                "name": s.name,
                "seconds": round(report.seconds.get(s.name, 0.0), 1),
                "lock": s.lock,
                "blocks": s.blocks,
            }
            for s in STEPS
        ]
        findings, sizes = [asdict(f) for f in report.findings], [asdict(s) for s in report.sizes]
        _print_json({"findings": findings, "sizes": sizes, "steps": steps})
        return
    _print_report(report)
    typer.echo("")
    for step in STEPS:
        seconds = report.seconds.get(step.name, 0.0)
        takes = f"about {seconds:,.0f} s" if seconds >= 1 else "at once"
        typer.echo(f"{step.stage:9} {step.name:22} {takes:>12}   lock: {step.lock}; can block: {step.blocks}")
    if write_choices:
        typer.echo(f"Proposed choices: {write_choices}. Read them before you go on.")


def _print_report(report: Report) -> None:
    for finding in report.findings:
        typer.echo(f"{finding.kind}: {finding.count}. {finding.meaning}")
        if finding.proposed:
            typer.echo(f"    proposed: {finding.choice} = {finding.proposed!r}")
        for id_, detail in finding.examples[:5]:
            typer.echo(f"    {id_}  {detail}")
    if not report.findings:
        typer.echo("Nothing stands in the way.")
    typer.echo("")
    for size in report.sizes:
        typer.echo(f"{size.table:16} {size.rows:>12,} rows {size.bytes / 1e6:>10,.1f} MB")


@app.command()
def plan(choices: ChoicesFile = None) -> None:
    """Every statement, its lock, what it can block, how it is undone. Nothing runs."""
    from baylight.v2.findings import check_choices
    from baylight.v2.migration_run import recorded_steps
    from baylight.v2.steps import STEPS

    wanted = _read(choices)

    async def work(connection: Connection) -> set[str]:
        done = await recorded_steps(connection)
        if not done:
            await check_choices(connection, wanted)
        return {name for name, row in done.items() if row.done_at}

    done = _on_database(work)
    for step in STEPS:
        typer.echo(f"\n== {step.stage}: {step.name}{' (done)' if step.name in done else ''}\n   {step.does}")
        typer.echo(f"   lock:   {step.lock}\n   blocks: {step.blocks}\n   undo:   {step.undo_note}\n")
        for statement in step.sql():
            typer.echo(statement.rstrip(";") + ";\n")
        for statement in step.undo_sql():
            typer.echo("undo: " + statement.rstrip(";") + ";\n")


@app.command()
def apply(to: To = "verify", choices: ChoicesFile = None, patience: Patience = 600) -> None:
    """Goes on up to and with a stage. After a crash, run the same command again."""
    from baylight.v2 import run

    wanted = _read(choices) if choices else None
    _run(run.apply(_dsn(), to=to, choices=wanted, log=typer.echo, on_progress=_progress, patience_s=patience))


@app.command()
def verify(as_json: Json = False) -> None:
    """Compares both sides in one snapshot; exit code 1 if they differ. At any time, on live data."""
    from baylight.v2.verify import verify

    verdict = _on_database(verify)
    if as_json:
        _print_json(asdict(verdict))
    else:
        for table, (ours, theirs) in verdict.counts.items():
            typer.echo(f"{table:16} V2 {ours:>12,}   Baylight {theirs:>12,}")
        typer.echo(f"{verdict.quarantined} values in quarantine")
        for difference in verdict.differences:
            typer.echo(f"DIFFERS {difference.check}: {difference.id} {difference.detail}")
        typer.echo("green" if verdict.green else f"{len(verdict.differences)} differences")
    if not verdict.green:
        raise typer.Exit(FOUND)


@app.command()
def rollback(to: Back = None, yes: Yes = False, patience: Patience = 600) -> None:
    """Takes back the last stage, or all after `--to STAGE`."""
    from baylight.v2 import run

    if not yes and to in ("start", None):
        typer.confirm(
            "Undoing `expand` deletes what only Baylight knows (uplinks, actuations, overrides). Go on?", abort=True
        )
    undone = _run(run.rollback(_dsn(), to=to, log=typer.echo, on_progress=_progress, patience_s=patience))
    typer.echo(f"undone: {', '.join(undone) or 'nothing'}")


@app.command()
def status(
    as_json: Json = False,
    quarantine: Annotated[
        bool, typer.Option("--quarantine", help="what could not be carried over, one per line")
    ] = False,
) -> None:
    """Where the migration stands."""
    from baylight.v2 import run
    from baylight.v2.quarantine import quarantined

    if quarantine:
        for row in _on_database(quarantined):
            typer.echo(f"{row.table} {row.id} {row.field} {row.value!r}: {row.reason} {row.detail or ''}".rstrip())
        return
    found = _on_database(run.status)
    if as_json:
        _print_json(asdict(found))
        return
    typer.echo(f"stage: {found.stage or 'not begun'}   decides: {found.owner}")
    for step in found.steps:
        when = step.done_at.isoformat(timespec="seconds") if step.done_at else "under way"
        notes = [f"{step.rows:,} rows"] if step.rows else []
        notes += [f"{step.tries} tries for its lock"] if step.tries else []
        typer.echo(f"  {step.stage:9} {step.name:24} {when}  {', '.join(notes)}".rstrip())
    for reason, count in found.quarantined.items():
        typer.echo(f"quarantine: {count} {reason}")
    if found.ignored_writes:
        typer.echo(f"V2 has tried to decide {found.ignored_writes} times since the switch: stop its writers")


@app.command("shadow", hidden=True)  # its name in the first version
@app.command()
def observe(
    as_json: Json = False,
    grace: Annotated[float, typer.Option(min=0, help="seconds that a difference must last")] = 60.0,
) -> None:
    """Where Baylight, running beside V2, would decide otherwise. Exit code 1 if anywhere."""
    from baylight.v2.switch import observe_report

    report = _on_database(lambda connection: observe_report(connection, grace_s=grace))
    if as_json:
        _print_json(asdict(report))
    else:
        for v2_state, state, reason, count in report.summary:
            typer.echo(f"{count:>8} spaces: V2 {v2_state}, Baylight {state} ({reason})")
        for space in report.spaces:
            typer.echo(
                f"{space.code}: V2 {space.v2_state} since {space.v2_since:%F %T},"
                f" Baylight {space.state} since {space.decided_at:%F %T}"
            )
        if not report.summary:
            typer.echo("No difference.")
    if report.summary:
        raise typer.Exit(FOUND)


@app.command()
def colours(fix: Annotated[bool, typer.Option("--fix", help="give the displays the catalogue's code")] = False) -> None:
    """Displays whose code does not show what the state's name says. Exit code 1 while there are some."""
    from baylight.v2.quarantine import fix_colours, flagged_displays

    if fix:
        typer.echo(f"{_on_database(fix_colours)} displays corrected")
        return
    rows = _on_database(flagged_displays)
    for dev_eui, state, code, right in rows:
        typer.echo(f"{dev_eui} {state}: {code}, the catalogue has {right}")
    if rows:
        raise typer.Exit(FOUND)
    typer.echo("All displays show what they should.")


def _read(path: Path | None) -> Choices:
    from baylight.v2.choices import Choices, parse

    return _told(lambda: parse(path.read_text(encoding="utf-8"))) if path else Choices()


def _dsn() -> str:
    from baylight.settings import Settings

    url = Settings().database_url
    if url is None:
        typer.echo("set BAYLIGHT_DATABASE_URL to the V2 database", err=True)
        raise typer.Exit(INPUT)
    return url.get_secret_value()


def _on_database(work: Callable[[Connection], Awaitable[T]]) -> T:
    from baylight.v2.session import connected

    async def run() -> T:
        async with connected(_dsn()) as connection:
            return await work(connection)

    return _run(run())


def _run(work: Coroutine[object, object, T]) -> T:
    return _told(lambda: asyncio.run(work))


def _told(work: Callable[[], T]) -> T:
    from baylight.errors import BaylightError, InputError

    try:
        return work()
    except BaylightError as error:
        typer.echo(f"{error.code}: {error.message}", err=True)
        raise typer.Exit(INPUT if isinstance(error, InputError) else LATER) from error


def _progress(progress: Progress) -> None:
    left = f", {progress.left_s:,.0f} s left" if progress.left_s is not None else ""
    share = progress.done / progress.total if progress.total else 1.0
    bar = "#" * int(share * 30)
    line = f"{progress.step:14} [{bar:30}] {progress.done:,}/{progress.total:,} {progress.rate:,.0f}/s{left}"
    if sys.stderr.isatty():
        end = "\n" if progress.done >= progress.total else ""
        typer.echo(f"\r{line:100}{end}", nl=False, err=True)
    elif progress.done >= progress.total:
        typer.echo(line, err=True)


def _print_json(value: object) -> None:
    typer.echo(json.dumps(value, default=str))
