"""`baylight db …`: the schema of the database."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from baylight.cli.options import Json
from baylight.cli.output import say
from baylight.cli.run import Context, on_database, print_json, text

if TYPE_CHECKING:
    from baylight.access.service_users import ServiceUser

app = typer.Typer(help="Upgrade and check the schema; make service users.", no_args_is_help=True)


@app.command("upgrade")
def upgrade() -> None:
    """Make or upgrade schema, catalogue and rights of users.

    You may repeat the command.
    """

    async def work(c: Context) -> None:
        from baylight.access import service_users
        from baylight.inventory import device_types
        from baylight.store import migrate

        await service_users.require_owner(c.connection, "db upgrade")
        for applied in await migrate.upgrade(c.connection):
            say(f"applied {applied}")
        changed = await device_types.sync(c.connection)
        say(f"the schema is up to date; {changed} device types new or changed")
        for name in await service_users.renew(c.connection):
            say(f"the service user {name} has the rights that this version needs")

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


@app.command("service-user")
def service_user(
    name: Annotated[str, typer.Argument(help="name of the database user, new or of a former run")],
    password: Annotated[
        bool | None,
        typer.Option("--password/--no-password", help="ask for a password, or do not; by default only for a new user"),
    ] = None,
) -> None:
    """Create a service user, or renew its rights.

    It is a database user for `baylight serve`, which can change neither history nor schema. Run this command as the
    owner of the schema. The password is asked for at a terminal, and else is the first line of standard input. Without
    one it is generated and shown once.
    """
    from baylight.access import service_users

    async def is_new(c: Context) -> bool:
        await service_users.require_owner(c.connection, "db service-user")
        return not await service_users.account_exists(c.connection, name)

    new = on_database(is_new)
    given, generated = _password() if (new if password is None else password) else (None, False)

    async def work(c: Context) -> ServiceUser:
        kept = service_users.Kept(c.settings.uplink_retention_months, c.settings.actuation_retention_months)
        return await service_users.set_service_user(c.change, name, kept, password=given)

    done = on_database(work)
    if generated and given:
        say(given)
        say("this is the password: keep it, it is not shown again", err=True)
    say(f"service user {done.name} {'created' if done.created else 'updated'}; {done.changed} rights changed", err=True)
    months = f"{done.kept.uplink_months} months of uplinks and {done.kept.actuation_months} months of actuations"
    say(f"no service drops the last {months}", err=True)
    say("let BAYLIGHT_DATABASE_URL of `baylight serve` name this user", err=True)


def _password() -> tuple[str, bool]:
    """Return a password, and whether it was generated because none was given."""
    import secrets

    if sys.stdin.isatty():
        text = str(typer.prompt("Password (empty: generate one)", "", hide_input=True, show_default=False, err=True))
        if text and typer.prompt("Once more", hide_input=True, err=True) != text:
            raise typer.BadParameter("the two passwords differ")
    else:
        text = sys.stdin.readline().rstrip("\r\n")
    return (text, False) if text else (secrets.token_urlsafe(24), True)
