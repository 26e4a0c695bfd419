"""`baylight key …`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from baylight.cli.options import Json, Until
from baylight.cli.output import say
from baylight.cli.run import Context, on_database, print_json, print_rows

if TYPE_CHECKING:
    from baylight.access.keys import Key

app = typer.Typer(help="Manage the keys of the API.", no_args_is_help=True)


@app.command("add")
def add_key(
    name: Annotated[str, typer.Argument(help="who or what it is for")],
    scope: Annotated[list[str] | None, typer.Option(help="read, write or admin; each includes those before it")] = None,
    until: Until = None,
    as_json: Json = False,
) -> None:
    """Add a key of the API. It is shown once and stored nowhere. After `--until` it is refused."""
    from baylight.access import keys

    async def work(c: Context) -> tuple[Key, str]:
        return await keys.create_key(c.change, name, scope or ["read"], expires_at=until)

    made, secret = on_database(work)
    if as_json:
        print_json({"key": made, "secret": secret})
    else:
        say(secret)
        say(f"{made.prefix} ({', '.join(made.scopes)}): keep it, it is not shown again", err=True)


@app.command("list")
def list_keys(as_json: Json = False) -> None:
    """List keys, newest first."""
    from baylight.access import keys

    rows = on_database(lambda c: keys.list_keys(c.connection))
    print_rows(rows, "prefix name scopes created_at created_by last_used_at expires_at revoked_at", as_json=as_json)


@app.command("revoke")
def revoke_key(id_or_prefix: Annotated[str, typer.Argument(help="id or prefix of the key")]) -> None:
    """Revoke a key: refuse it from now on."""
    from baylight.access import keys

    revoked = on_database(lambda c: keys.revoke_key(c.change, id_or_prefix))
    say(f"key {revoked.prefix} is revoked")
