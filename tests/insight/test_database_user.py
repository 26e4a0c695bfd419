"""The line of `baylight doctor` about the account of the database."""

from __future__ import annotations

from baylight.domain.state import Policy
from baylight.insight import doctor
from baylight.insight.doctor import Finding
from tests.support.accounts import connected, served_database
from tests.support.change import NOW
from tests.support.servers import Server


async def line(dsn: str) -> Finding:
    async with connected(dsn) as connection:
        [found] = [f for f in await doctor.examine(connection, now=NOW, policy=Policy()) if f.check == "database user"]
    return found


async def test_point6_doctor_names_owner_service_user_and_superuser(server: Server) -> None:
    async with served_database(server) as accounts:
        owner, service = await line(accounts.owner_dsn), await line(accounts.service_dsn)
        superuser = await line(accounts.database.dsn)
    assert [found.ok for found in (owner, service, superuser)] == [True] * 3
    assert owner.detail == f"{accounts.owner} owns the schema: it can change and delete the history"
    assert "`baylight db service-user <name>`" in owner.what_to_do
    assert service.detail == (
        f"{accounts.service} is a service user: it cannot change the schema or the history, nor drop the last "
        "25 months of uplinks and 37 months of actuations"
    )
    assert service.what_to_do == f"for `baylight db upgrade` use the address of the owner, {accounts.owner}"
    assert "is a superuser" in superuser.detail
    assert "`baylight db service-user <name>`" in superuser.what_to_do
