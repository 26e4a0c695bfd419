"""`baylight db …`: the schema of the database."""

from __future__ import annotations

import typer

from baylight.cli.options import Json
from baylight.cli.output import say
from baylight.cli.run import Context, on_database, print_json, text

app = typer.Typer(help="Upgrade and check the schema of the database.", no_args_is_help=True)


@app.command("upgrade")
def upgrade() -> None:
    """Make or upgrade schema and catalogue. You may repeat the command."""

    async def work(c: Context) -> None:
        from baylight.inventory import device_types
        from baylight.store import migrate

        for applied in await migrate.upgrade(c.connection):
            say(f"applied {applied}")
        changed = await device_types.sync(c.connection)
        say(f"the schema is up to date; {changed} device types new or changed")

    on_database(work)


@app.command("status")
def status(as_json: Json = False) -> None:
    """List migrations, applied and pending."""
    from baylight.store import migrate

    migrations = on_database(lambda c: migrate.status(c.connection))
    if as_json:
        print_json(migrations)
        return
    for migration in migrations:
        applied = text(migration.applied_at) if migration.applied_at else "pending"
        say(f"{migration.name:<40} {applied}")


@app.command("check")
def check() -> None:
    """Exit with code 2 unless the schema is that of this version."""

    async def work(c: Context) -> None:
        from baylight.store import migrate

        await migrate.check(c.connection)

    on_database(work)
    say("the schema is that of this version")
