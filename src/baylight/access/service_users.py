"""Accounts of the database: the owner of the schema, and service users, with the rights that `baylight serve` needs.

A service user adds to history and reads it. It cannot change or delete it, except by the functions of
`sql/migrations/0021_service_users.sql`, which check their bounds. It owns nothing, so it cannot change the schema.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

import asyncpg

from baylight.access.change import Change
from baylight.errors import InputError
from baylight.store import beside
from baylight.store.connect import FORBIDDEN
from baylight.store.pool import Connection
from baylight.store.query import Query, Statement

MAX_NAME_BYTES = 63
MIN_PASSWORD = 8
_PASSWORD = re.compile("[ -~]+")
_ITERATIONS = 4096

READ = ("SELECT",)
ADD = ("SELECT", "INSERT")
CHANGE = ("SELECT", "INSERT", "UPDATE")
DELETE = ("SELECT", "INSERT", "UPDATE", "DELETE")
RIGHTS: Mapping[str, tuple[str, ...]] = {
    "schema_migrations": READ,
    "installation": READ,
    "displays_behind_gateways": READ,
    # The check of their emptiness reads them by name. Of other partitions, rows are reached by the table alone.
    "uplinks_default": READ,
    "actuations_default": READ,
    "audit_log": ADD,
    "state_changes": ADD,
    "uplinks": ADD,
    "actuation_events": ADD,
    "device_lifecycle_events": ADD,
    "actuations": CHANGE,
    "api_keys": CHANGE,
    "broker_sessions": CHANGE,
    "device_assignments": CHANGE,
    "device_swaps": CHANGE,
    "device_tests": CHANGE,
    "display_devices": CHANGE,
    "overrides": CHANGE,
    "payload_codecs": CHANGE,
    "reservations": CHANGE,
    "sensor_devices": CHANGE,
    "spaces": CHANGE,
    "conditions": DELETE,
    "device_types": DELETE,
    "counted_tx_acks": DELETE,
    "gateway_airtime": DELETE,
    "gateways": DELETE,
    "kept_answers": DELETE,
    "locations": DELETE,
    "orphans": DELETE,
    "rejected_messages": DELETE,
    "uplinks_to_decode": DELETE,
    "metadata_set_aside": (),
}
"""Rights of a service user on each table and view. A new table must be given its place."""


class Account(NamedTuple):
    """Account of a session. `owner`: name of the owner of the schema. `owns`: the account may do what the owner may."""

    name: str
    owner: str
    owns: bool
    is_superuser: bool


class Kept(NamedTuple):
    """Months of history that no service may drop, whatever its settings are."""

    uplink_months: int
    actuation_months: int


@dataclass(frozen=True, slots=True)
class ServiceUser:
    """Service user as `set_service_user` left it. `changed`: number of rights given or revoked."""

    name: str
    created: bool
    changed: int
    kept: Kept


CURRENT = Query("access.service_users.current", Account)
FOREIGN = Query("access.service_users.foreign", str)
EXISTS = Query("access.service_users.exists", bool)
TOO_MIGHTY = Query("access.service_users.too_mighty", str)
PUT_ACCOUNT = Query("access.service_users.put_account", str)
LOCK = Statement("access.service_users.lock")
LIST = Query("access.service_users.list", str)
DIFFERENCES = Query("access.service_users.differences", str)
KEEP = Statement("access.service_users.keep")
KEPT = Query("access.service_users.kept", Kept)


async def get_account(connection: Connection) -> Account | None:
    """Return the account of the session. None: the database has no schema yet."""
    return await CURRENT.first(connection)


async def account_exists(connection: Connection, name: str) -> bool:
    """Return whether the server has an account of this name, of any kind."""
    return await EXISTS.one(connection, name=name)


async def require_owner(connection: Connection, command: str) -> None:
    """Check that the session may do what the owner may. Raises InputError `owner_needed`."""
    account = await get_account(connection)
    if account is not None and not account.owns:
        raise InputError(
            "owner_needed",
            f"`baylight {command}` needs the owner of the schema, {account.owner}; BAYLIGHT_DATABASE_URL names "
            f"{account.name}. Run the command with the owner's address in BAYLIGHT_DATABASE_URL",
            owner=account.owner,
        )


async def find_differences(connection: Connection, name: str) -> list[str]:
    """Return statements that would give an account the rights of a service user, and no others. Empty: it has them."""
    return await DIFFERENCES.all(connection, name=name, wanted=RIGHTS)


async def get_kept(connection: Connection) -> Kept:
    """Return the months of history that no service may drop."""
    return await KEPT.one(connection)


async def set_service_user(change: Change, name: str, kept: Kept, *, password: str | None = None) -> ServiceUser:
    """Create a service user, or give an account the rights of one and no others. Idempotent.

    `password` None: an account that exists keeps its password, and a new one has none. The server never receives the
    password itself. Raises InputError `owner_needed`, `foreign_functions`, `no_schema`, `v2_unfinished`, `bad_name`,
    `bad_password`, `too_mighty`, `may_not_create`, `too_many_rights`.
    """
    connection = change.connection
    await _require_place(connection)
    _check(name, password)
    async with change.transaction():
        created = not await account_exists(connection, name)
        if created or password is not None:
            await _put(connection, name, password, verb="CREATE" if created else "ALTER")
        changed = await _grant(connection, name)
        await KEEP.run(connection, uplink_months=kept.uplink_months, actuation_months=kept.actuation_months)
        await change.record("service_user.set", "service_user", name, after={"created": created, **kept._asdict()})
    return ServiceUser(name, created, changed, kept)


async def renew(connection: Connection) -> list[str]:
    """Give all service users the rights that this version needs; return their names. Raises as `set_service_user`."""
    names = await LIST.all(connection)
    for name in names:
        async with connection.transaction():
            await _grant(connection, name)
    return names


async def _require_place(connection: Connection) -> None:
    """Check that a service user can be made here. Raises InputError, see `set_service_user`."""
    await require_owner(connection, "db service-user")
    if foreign := await FOREIGN.all(connection):
        raise InputError(
            "foreign_functions",
            "functions for service users belong to another account than the tables, because it ran an upgrade. Let an "
            f"administrator of the server run: {'; '.join(foreign)}",
        )
    if await get_account(connection) is None:
        raise InputError("no_schema", "the database has no schema yet: run `baylight db upgrade` first")
    if await connection.fetchval(beside.IS_BESIDE):
        raise InputError("v2_unfinished", "a V2 database is being migrated: finish `baylight v2` first")


def _check(name: str, password: str | None) -> None:
    if not 1 <= len(name.encode()) <= MAX_NAME_BYTES:
        raise InputError("bad_name", f"the name of a database user has 1 to {MAX_NAME_BYTES} bytes")
    if password is not None and (len(password) < MIN_PASSWORD or not _PASSWORD.fullmatch(password)):
        raise InputError("bad_password", f"a password has at least {MIN_PASSWORD} characters, all of them ASCII")


async def _put(connection: Connection, name: str, password: str | None, *, verb: str) -> None:
    """Create the account or set its password. Raises InputError `bad_name`, `may_not_create`."""
    verifier = None if password is None else scram_verifier(password)
    try:
        await connection.execute(await PUT_ACCOUNT.one(connection, verb=verb, name=name, verifier=verifier))
    except asyncpg.ReservedNameError as error:
        raise InputError("bad_name", f"{name}: {error}") from error
    except FORBIDDEN as error:
        raise InputError(
            "may_not_create",
            f"the server does not let the owner do this: {error}. Let an administrator of the server create the user "
            f"({'createuser --pwprompt ' + name if verb == 'CREATE' else 'or set its password'}), then run the "
            "command again with --no-password",
        ) from error


async def _grant(connection: Connection, name: str) -> int:
    """Give and revoke rights; return how many. Raises InputError `too_mighty`, `too_many_rights`."""
    if reasons := await TOO_MIGHTY.all(connection, name=name):
        raise InputError(
            "too_mighty", f"{name} cannot be a service user: {'; '.join(reasons)}. Choose another name", reasons=reasons
        )
    await LOCK.run(connection)
    statements = await find_differences(connection, name)
    for statement in statements:
        with suppress(FORBIDDEN):  # what an administrator must do is named below
            async with connection.transaction():
                await connection.execute(statement)
    if rest := await find_differences(connection, name):
        raise InputError(
            "too_many_rights",
            f"the owner cannot limit {name}. Let an administrator of the server run: {'; '.join(rest[:5])}",
        )
    return len(statements)


def scram_verifier(password: str, salt: bytes | None = None) -> str:
    """Return what PostgreSQL stores of a password of ASCII characters (SCRAM-SHA-256, RFC 5803).

    The server receives it in place of the password, which therefore stands in none of its logs. `salt`: default random.
    """
    salt = salt or os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, _ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    coded = [base64.b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${_ITERATIONS}:{coded[0]}${coded[1]}:{coded[2]}"
