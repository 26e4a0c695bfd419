"""The choices file: mistakes are named by their line, and changes that come too late are refused."""

from __future__ import annotations

import secrets

import pytest

from baylight.errors import InputError
from baylight.v2 import choices, run
from baylight.v2.stages.contract import role_of_v2
from tests.support.v2 import CHOICES, V2Database, make_dirty, sensor


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[limits]\nquarantine = "many"', r"\[limits\] quarantine = 'many': a whole number"),
        ("[limits]\nquarantine = -1", r"\[limits\] quarantine = -1"),
        ('[limits]\nreplication_lag_s = "x"', r"\[limits\] replication_lag_s = 'x': a number above 0"),
        ("[limits]\npace = 1", r"\[limits\] pace: unknown; one of quarantine, replication_lag_s"),
        ("[contract]\nlegacy_role = 7", r"\[contract\] legacy_role = 7: the name of a role"),
        ("[contract]\nrequire = 'sensor'", r"\[contract\] require = 'sensor': a list"),
        ("[contract]\nrequire = [1]", r"\[contract\] require = \[1\]: a list"),
        ("[contract]\nlegacy = 1", r"\[contract\] legacy: unknown"),
        ("[display_codes]\nFREE = 5", r"\[display_codes\] FREE = 5"),
        ("[types]\nsensor = 5", r"\[types.sensor\]: a section"),
        ("[types.sensor]\n'58a0cb' = 5", r"\[types.sensor\] '58a0cb' = 5"),
        ("[resolve]\nboth_roles = []", r"\[resolve\] both_roles = \[\]"),
        ("resolve = 1", r"write a section \[resolve\]"),
    ],
)
def test_h13_wrong_values_are_named_by_their_key(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        choices.parse(text)
    assert error.value.code == "bad_choices"


async def test_h13_an_unknown_role_is_refused_before_expand_and_before_contract(v2: V2Database) -> None:
    with pytest.raises(InputError, match="role nobody_here: there is no such role"):
        await v2.apply("expand", legacy_role="nobody_here")
    await v2.apply("switch")
    with pytest.raises(InputError, match="role nobody_here: there is no such role"):
        await v2.apply("contract", legacy_role="nobody_here")
    await v2.apply("contract", legacy_role="nobody_here", legacy_names="gone")


async def test_h13_a_change_that_comes_too_late_is_refused_or_said(v2: V2Database) -> None:
    await make_dirty(v2)
    await v2.apply("expand")
    resolve = {**CHOICES.resolve, "both_roles": "sensor"}
    await v2.apply("expand", resolve=resolve)  # not used yet
    await v2.apply("backfill", resolve=resolve)
    with pytest.raises(InputError, match="both_roles was used as 'sensor'") as error:
        await v2.apply("verify")
    assert error.value.code == "choices_too_late"
    lines: list[str] = []
    types = {**CHOICES.types, "sensor": {**CHOICES.types["sensor"], "aabb": "bosch_tps110"}}
    changed = choices.Choices(resolve=resolve, types=types, legacy_role="parking", quarantine_limit=5_000)
    await run.apply(v2.dsn, to="verify", choices=changed, log=lines.append)
    assert any("[types]: devices that are registered keep their type" in line for line in lines)
    await run.apply(v2.dsn, to="contract", choices=changed)
    with pytest.raises(InputError, match="legacy_names was used by the stage contract"):
        await v2.apply("contract", resolve=resolve, types=types, legacy_names="gone", display_codes={})


async def test_h10_the_role_that_writes_is_proposed_and_not_the_owner(v2: V2Database) -> None:
    reader = f"reader_{secrets.token_hex(4)}"
    await v2.add("P1", sensor_eui=sensor(1))
    await v2.admin.execute(f"CREATE ROLE {reader} LOGIN; GRANT SELECT ON spaces TO {reader}")
    try:
        assert await role_of_v2(v2.admin) == "parking"
        await v2.admin.execute("REVOKE ALL ON spaces FROM parking")
        assert await role_of_v2(v2.admin) == reader
        await v2.admin.execute(f"REVOKE ALL ON spaces FROM {reader}")
        assert await role_of_v2(v2.admin) == await v2.admin.fetchval("SELECT current_user::text")
    finally:
        await v2.admin.execute(f"DROP OWNED BY {reader}; DROP ROLE {reader}")
