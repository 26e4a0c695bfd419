"""Commands of `baylight v2`: from a live V2 database to Baylight's schema and back, stage by stage."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from baylight.cli.options import Json
from baylight.cli.output import draw, say, say_lines, say_shaped
from baylight.cli.run import FOUND, load_settings, print_json, run, text

if TYPE_CHECKING:
    from baylight.store.pool import Connection
    from baylight.v2.choices import Choices
    from baylight.v2.inspection.findings import Report
    from baylight.v2.pace import Progress
    from baylight.v2.stages.steps import Step

T = TypeVar("T")
app = typer.Typer(help="Migrate a live V2 database to Baylight, and back.", no_args_is_help=True)
quarantine = typer.Typer(help="List, carry again or leave behind what could not be carried over.", no_args_is_help=True)
app.add_typer(quarantine, name="quarantine")
OF_WHICH = "code of a space, or id of a row"

ChoicesFile = Annotated[
    Path | None, typer.Option("--choices", exists=True, dir_okay=False, help="your decisions, TOML (see inspect)")
]
Yes = Annotated[bool, typer.Option("--yes", help="do not ask")]
To = Annotated[str, typer.Option("--to", metavar="STAGE", help="expand, backfill, verify, switch or contract")]
Back = Annotated[str | None, typer.Option("--to", metavar="STAGE", help="keep this stage; `start` undoes all")]
Patience = Annotated[float, typer.Option(min=1, max=86_400, help="seconds to go on asking for a lock")]


@app.command()
def inspect(
    as_json: Json = False,
    write_choices: Annotated[Path | None, typer.Option(help="write the proposed choices to this file")] = None,
) -> None:
    """Show what stands in the way, after all stages were rehearsed on a copy. It is safe on a database at work.

    V2's tables are only read. The copy is made in a transaction that is rolled back.
    """
    from baylight.v2.inspection.findings import inspect
    from baylight.v2.stages.steps import STEPS

    report = _on_database(inspect)
    if write_choices:
        write_choices.write_text(report.proposal, encoding="utf-8")
    if as_json:
        steps = [
            {
                "stage": step.stage,
                "name": step.name,
                "seconds": round(report.seconds.get(step.name, 0.0), 1),
                "lock": step.lock,
                "blocks": step.waits.sentence(),
            }
            for step in STEPS
        ]
        print_json({"findings": report.findings, "sizes": report.sizes, "steps": steps})
        return
    _print_report(report)
    say("")
    _print_steps(STEPS, report.seconds)
    if write_choices:
        say(f"Proposed choices: {write_choices}. Read them before you go on.")


def _print_report(report: Report) -> None:
    for finding in sorted(report.findings, key=lambda finding: not finding.blocks):
        say(f"{finding.kind}: {finding.count}. {finding.meaning}{' (FIRST CORRECT THIS)' if finding.blocks else ''}")
        if finding.proposed:
            say(f"    proposed: {finding.choice} = {finding.proposed!r}")
        for id_, detail in finding.examples[: None if finding.blocks else 5]:
            say(f"    {id_}  {detail}")
    if not report.findings:
        say("Nothing stands in the way.")
    say("")
    for size in report.sizes:
        say(f"{size.table:16} {size.rows:>12,} rows {size.bytes / 1e6:>10,.1f} MB")


@app.command()
def plan(
    choices: ChoicesFile = None,
    sql: Annotated[bool, typer.Option("--sql", help="also show every statement, and those that undo it")] = False,
) -> None:
    """Show all steps: how long they take, their locks, who can wait, and what undoes them. This runs none of them."""
    from baylight.v2.inspection.findings import check_choices, seconds_of_steps
    from baylight.v2.migration_run import recorded_steps
    from baylight.v2.stages.steps import STEPS

    async def work(connection: Connection) -> tuple[set[str], dict[str, float]]:
        recorded = await recorded_steps(connection)
        if not recorded:
            for line in (await check_choices(connection, _read(choices))).warnings():
                say(line)
        return {step.name for step in recorded.values() if step.done_at}, await seconds_of_steps(connection)

    done, seconds = _on_database(work)
    _print_steps(STEPS, seconds, done)
    for step in STEPS if sql else ():
        say_lines(["", f"== {step.stage}: {step.name}{' (done)' if step.name in done else ''}", f"   {step.does}", ""])
        _print_statements(step.sql())
        say_lines([f"   undo:   {step.undo_note}", ""])
        _print_statements(step.undo_sql())


def _print_steps(steps: Sequence[Step], seconds: dict[str, float], done: Set[str] = frozenset()) -> None:
    """Print the table of steps that an operator needs."""
    cells = [("stage", "step", "takes", "lock", "who can wait", "longest", "undo")]
    for step in steps:
        takes = seconds.get(step.name, 0.0)
        taken = "done" if step.name in done else f"about {takes:,.0f} s" if takes >= 1 else "at once"
        cells.append((step.stage, step.name, taken, step.lock, step.waits.who, step.waits.longest, step.undo_note))
    widths = [max(len(line[n]) for line in cells) for n in range(len(cells[0]))]
    for line in cells:
        say("  ".join((cell or "-").ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _print_statements(statements: list[str]) -> None:
    for statement in statements:
        say_shaped(statement.rstrip(";") + ";\n")


@app.command()
def apply(to: To = "verify", choices: ChoicesFile = None, patience: Patience = 600) -> None:
    """Run the steps up to and with a stage. After a crash, run the same command again."""

    async def work() -> None:
        from baylight.v2.run import apply

        wanted = _read(choices) if choices else None
        dsn = load_settings().dsn()
        await apply(dsn, to=to, choices=wanted, log=say, on_progress=_progress, patience_s=patience)

    run(work())


@app.command()
def verify(as_json: Json = False) -> None:
    """Compare both sides in one snapshot, at any time, on live data. Exit code 1 if they differ."""
    from baylight.v2.stages.verify import verify

    verdict = _on_database(verify)
    if as_json:
        print_json(verdict)
    else:
        for table, (v2_rows, rows) in verdict.counts.items():
            say(f"{table:16} V2 {v2_rows:>12,}   Baylight {rows:>12,}")
        say(f"{verdict.quarantined} values in quarantine")
        for difference in verdict.differences:
            say(f"DIFFERS {difference.check}: {difference.id} {difference.detail}")
        say("green" if verdict.green else f"{len(verdict.differences)} differences")
    if not verdict.green:
        raise typer.Exit(FOUND)


@app.command()
def rollback(to: Back = None, yes: Yes = False, patience: Patience = 600) -> None:
    """Undo the last stage, or all stages after `--to STAGE`."""

    async def work() -> list[str]:
        from baylight.v2.run import rollback

        dsn = load_settings().dsn()
        return await rollback(dsn, to=to, log=say, on_progress=_progress, patience_s=patience)

    if not yes and to in ("start", None):
        typer.confirm(
            "Undoing `expand` deletes what only Baylight has (uplinks, actuations, overrides). Go on?", abort=True
        )
    say(f"undone: {', '.join(run(work())) or 'nothing'}")


@quarantine.command("list")
def list_quarantine(as_json: Json = False) -> None:
    """List what could not be carried over, and why."""
    from baylight.v2.quarantine import quarantined

    found = _on_database(quarantined)
    if as_json:
        print_json(found)
        return
    for entry in found:
        say(entry.sentence())
    if not found:
        say("none", err=True)


@quarantine.command("retry")
def retry_quarantine(which: Annotated[str | None, typer.Argument(metavar="[CODE|ID]", help=OF_WHICH)] = None) -> None:
    """Carry rows again, for example after they were corrected. Exit code 1 if some stay in quarantine."""
    from baylight.v2.quarantine import retry

    before, left = _on_database(lambda connection: retry(connection, which))
    say(f"{before - left} of {before} values carried over, {left} left")
    if left:
        raise typer.Exit(FOUND)


@quarantine.command("drop")
def drop_quarantine(
    which: Annotated[str, typer.Argument(metavar="CODE|ID", help=OF_WHICH)],
    reason: Annotated[str, typer.Option("--reason", help="why they may stay behind; it is kept")],
) -> None:
    """Leave values behind. They stay in V2's table, and are no longer counted."""
    from getpass import getuser

    from baylight.v2.quarantine import drop

    for entry in _on_database(lambda connection: drop(connection, which, reason=reason, by=f"cli:{getuser()}")):
        say(f"left behind: {entry.sentence()}")


@app.command()
def status(as_json: Json = False) -> None:
    """Show where the migration stands."""
    from baylight.v2.run import status

    found = _on_database(status)
    if as_json:
        print_json(found)
        return
    say(f"stage: {found.stage or 'not begun'}   decides: {found.owner}")
    for step in found.steps:
        when = text(step.done_at) if step.done_at else "under way"
        notes = [f"{step.rows:,} rows"] if step.rows else []
        notes += [f"{step.tries} tries for its lock"] if step.tries else []
        say(f"  {step.stage:9} {step.name:24} {when}  {', '.join(notes)}".rstrip())
    for reason, count in found.quarantined.items():
        say(f"quarantine: {count} {reason} (see `baylight v2 quarantine list`)")
    if found.ignored_writes:
        say(f"V2 has tried to decide {found.ignored_writes} times since the switch: stop its writers")


@app.command()
def observe(
    as_json: Json = False,
    grace: Annotated[float, typer.Option(min=0, max=86_400, help="seconds that a difference must last")] = 60.0,
) -> None:
    """Show where Baylight, running beside V2, would decide otherwise. Exit code 1 if anywhere, or if nothing came."""
    from baylight.v2.observe import observe_report

    report = _on_database(lambda connection: observe_report(connection, grace_s=grace))
    if as_json:
        print_json(report)
    else:
        seen = report.observed
        since = f" since {text(seen.since)}" if seen.since else ""
        say(f"observed: {seen.uplinks:,} uplinks{since}, of {seen.sensors_received:,} of {seen.sensors:,} sensors")
        for v2_state, state, reason, count in report.summary:
            say(f"{count:>8} spaces: V2 {v2_state}, Baylight {state} ({reason})")
        for space in report.spaces:
            say(
                f"{space.code}: V2 {space.v2_state} since {text(space.v2_since)},"
                f" Baylight {space.state} since {text(space.decided_at)}"
            )
        for dev_eui, spaces, reason in report.unreachable:
            say(f"display {dev_eui} of {spaces} cannot be reached at the switch: {reason}")
        if not seen.uplinks:
            say("Nothing was observed. Start `baylight serve` on this database, with the broker that V2 uses.")
        elif not report.summary:
            say("No difference.")
    if report.summary or not report.observed.uplinks:
        raise typer.Exit(FOUND)


@app.command()
def colours(
    fix: Annotated[bool, typer.Option("--fix", help="give these displays the catalogue's code")] = False,
) -> None:
    """Show displays whose code has another colour than the state's. Exit code 1 while there are some."""
    from baylight.v2.quarantine import fix_colours, flagged_displays

    if fix:
        say(f"{_on_database(fix_colours)} displays corrected")
        return
    displays = _on_database(flagged_displays)
    for display in displays:
        say(f"{display.dev_eui} {display.state}: {display.code}, the catalogue has {display.catalogue_code}")
    if displays:
        raise typer.Exit(FOUND)
    say("All displays have the catalogue's codes.")


def _read(path: Path | None) -> Choices:
    """Return the choices of a file, or the defaults without a file. Raises InputError `bad_choices`."""
    from baylight.v2.choices import Choices, parse

    return parse(path.read_text(encoding="utf-8")) if path else Choices()


def _on_database(work: Callable[[Connection], Awaitable[T]]) -> T:
    """Run `work` on a connection with the settings of the migration."""

    async def on_connection() -> T:
        from baylight.v2.session import connected

        async with connected(load_settings().dsn()) as connection:
            return await work(connection)

    return run(on_connection())


def _progress(progress: Progress) -> None:
    left = f", {progress.left_s:,.0f} s left" if progress.left_s is not None else ""
    share = progress.done / progress.total if progress.total else 1.0
    bar = "#" * int(share * 30)
    line = f"{progress.step:14} [{bar:30}] {progress.done:,}/{progress.total:,} {progress.rate:,.0f}/s{left}"
    if sys.stderr.isatty():
        draw(line)
        if progress.done >= progress.total:
            say("", err=True)
    elif progress.done >= progress.total:
        say(line, err=True)
