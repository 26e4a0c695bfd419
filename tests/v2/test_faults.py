"""Whatever ends a run, and whenever: V2 notices nothing, no row is lost or doubled, the next run finishes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from baylight.errors import InputError, TransientError
from baylight.v2 import run
from baylight.v2.choices import RESOLUTIONS, parse
from baylight.v2.stages.steps import STEPS
from tests.support.eventually import until
from tests.support.v2 import CHOICES, V2Database, connect, make_dirty
from tests.v2.load import Load, load

KILLS = int(os.environ.get("BAYLIGHT_TEST_KILLS", "6"))
"""Kills of a test. BAYLIGHT_TEST_KILLS=100 pytest tests/v2/test_faults.py -k kill is a long run."""
LONGEST_S = 1.5
"""A bound for machines under load; bench/v2_migration.py measures."""
TOML = "[resolve]\n" + "\n".join(f'{name} = "{options[0]}"' for name, options in RESOLUTIONS.items())
PROGRAM = """
import asyncio, sys
from baylight.v2 import run
from baylight.v2.choices import parse
dsn, work, to = sys.argv[1:4]
log = lambda line: print(line, flush=True)
if work == "apply":
    asyncio.run(run.apply(dsn, to=to, choices=parse(sys.argv[4]), log=log))
else:
    asyncio.run(run.rollback(dsn, to=to, log=log))
print("finished", flush=True)
"""


async def start(v2: V2Database, work: str, to: str) -> asyncio.subprocess.Process:
    """A run in a process of its own, so that it can be killed."""
    source = str(Path(run.__file__).parents[2])
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, v2.dsn, work, to, TOML,
        stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": source},
    )  # fmt: skip


async def kill(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):  # it may just have ended
        process.kill()
    await process.wait()


async def finish(v2: V2Database, working: Load, to: str = "switch") -> None:
    await v2.apply(to)
    working.stopped = True
    await _quiet(working)
    assert (await v2.verify()).differences == []


async def _quiet(working: Load) -> None:
    """Wait until the statements under way have ended."""
    before = -1

    def stands_still() -> bool:
        nonlocal before
        last, before = before, working.statements
        return before == last

    await until(stands_still, "statements go on", deadline_s=10, every_s=0.1)


async def test_kill_at_every_step_boundary(v2: V2Database) -> None:
    async with load(v2.dsn, v2.admin) as working:
        for step in STEPS:
            if step.stage == "contract":
                break
            process = await start(v2, "apply", "switch")
            assert process.stdout
            said: list[str] = []
            while line := (await process.stdout.readline()).decode():
                said.append(line)
                if len([text for text in said if "Once more" not in text]) == 2:  # the step before has ended
                    break
            await kill(process)
        await finish(v2, working)
    await working.check(v2.admin)
    assert working.longest_s < LONGEST_S


async def test_kill_at_random_instants(v2: V2Database) -> None:
    chance = random.Random(7)
    async with load(v2.dsn, v2.admin) as working:
        killed = 0
        ways = [("apply", "switch"), ("rollback", "start")]
        way = 0
        while killed < KILLS:
            process = await start(v2, *ways[way])
            assert process.stdout
            # Counted from its first word, so that it is the work that is hit, not the interpreter's start.
            await process.stdout.readline()
            try:
                await asyncio.wait_for(process.wait(), chance.uniform(0.0, 0.6))
                way = 1 - way
            except TimeoutError:
                await kill(process)
                killed += 1
        await finish(v2, working)
    await working.check(v2.admin)
    assert working.longest_s < LONGEST_S


async def test_kill_while_contracting_and_undoing_it(v2: V2Database) -> None:
    chance = random.Random(8)
    await make_dirty(v2)
    await v2.apply("switch")
    before = await v2.legacy.fetch("SELECT * FROM spaces ORDER BY id")
    for _ in range(max(KILLS // 4, 2)):
        for work, to in (("apply", "contract"), ("rollback", "switch")):
            process = await start(v2, work, to)
            assert process.stdout
            await process.stdout.readline()
            await asyncio.sleep(chance.uniform(0.0, 0.15))  # the kill comes at any moment of the run
            await kill(process)
            assert await v2.legacy.fetch("SELECT * FROM spaces ORDER BY id") == before
    await v2.apply("contract")
    await v2.rollback("switch")
    assert await v2.legacy.fetch("SELECT * FROM spaces ORDER BY id") == before
    assert (await v2.verify()).differences == []


async def test_the_connections_of_a_run_are_terminated(v2: V2Database) -> None:
    async with load(v2.dsn, v2.admin) as working:
        failed = 0
        while failed < 4:
            doing = asyncio.create_task(v2.apply("switch"))
            await asyncio.sleep(0.15 + 0.1 * failed)  # further into the run each time
            await v2.admin.fetch(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'baylight v2' AND datname = current_database()"
            )
            found = (await asyncio.gather(doing, return_exceptions=True))[0]
            if found is None:
                break
            assert isinstance(found, TransientError), found
            assert found.code == "database_away"
            failed += 1
        await finish(v2, working)
    await working.check(v2.admin)


async def test_statements_are_cancelled_and_timed_out(v2: V2Database) -> None:
    name = await v2.admin.fetchval("SELECT current_database()")
    await v2.admin.execute(f"ALTER DATABASE {name} SET statement_timeout = '2s'")
    async with load(v2.dsn, v2.admin) as working:
        await v2.apply("expand")
        doing = asyncio.create_task(v2.apply("backfill"))
        for _ in range(15):
            await v2.admin.fetch(
                "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'baylight v2'"
                " AND datname = current_database() AND query LIKE '%carry_%' AND state = 'active'"
            )
            await asyncio.sleep(0.1)  # cancels at some pace: the run goes on between them
        await doing
        await finish(v2, working)
    await working.check(v2.admin)


async def test_a_transaction_that_holds_its_locks_for_long(v2: V2Database) -> None:
    holder = await connect(v2.dsn, role="parking")
    async with load(v2.dsn, v2.admin) as working:
        held = holder.transaction()
        await held.start()
        await holder.execute("UPDATE spaces SET name = 'held' WHERE code = 'A001'")
        doing = asyncio.create_task(v2.apply("switch"))
        await asyncio.sleep(3)  # the locks are held for this long
        assert not doing.done()
        assert working.longest_s < LONGEST_S  # no session queues behind the run
        await held.commit()
        await doing
        await finish(v2, working)
    await working.check(v2.admin)
    await holder.close()


@pytest.mark.parametrize(("before", "stage"), [(None, "expand"), ("switch", "contract")])
async def test_who_holds_a_lock_is_named_while_it_is_asked_for_and_when_it_is_given_up(
    v2: V2Database, before: str | None, stage: str
) -> None:
    if before:
        await v2.apply(before)
    said: list[str] = []
    async with v2.legacy.transaction():
        await v2.legacy.execute("UPDATE spaces SET name = 'held' WHERE code = 'A001'")
        holder = f"in the way: pid {v2.legacy.get_server_pid()}"
        with pytest.raises(TransientError, match=holder):
            await run.apply(v2.dsn, to=stage, choices=CHOICES, log=said.append, patience_s=6)
    assert len([line for line in said if holder in line]) == 1
    await v2.apply(stage)


async def test_an_undoing_that_was_interrupted_is_finished_before_anything_is_carried_over_again(
    v2: V2Database,
) -> None:
    await v2.apply("backfill")
    await v2.rollback("expand")
    reader = await connect(v2.dsn)
    async with reader.transaction():
        await reader.fetch("SELECT FROM spaces")  # the last table whose triggers are dropped
        with pytest.raises(TransientError, match="no lock on"):
            await run.rollback(v2.dsn, to="start", patience_s=0.5)
    key = await v2.insert("api_keys", {"key_hash": "$2b$12$abc", "key_name": "missed by the triggers"})
    assert await v2.baylight.fetchval("SELECT count(*) FROM baylight_next.api_keys WHERE id = $1", key) == 0
    await v2.apply("verify")
    assert await v2.baylight.fetchval("SELECT count(*) FROM baylight_next.api_keys WHERE id = $1", key) == 1
    await reader.close()


async def test_two_runs_at_once(v2: V2Database) -> None:
    async with load(v2.dsn, v2.admin) as working:
        await asyncio.gather(v2.apply("switch"), v2.apply("switch"))
        await finish(v2, working)
    await working.check(v2.admin)


async def test_a_full_quarantine_stops_the_backfill_and_the_next_run_goes_on(v2: V2Database) -> None:
    await make_dirty(v2)
    with pytest.raises(InputError, match="more than the limit of 1"):
        await v2.apply("backfill", quarantine_limit=1)
    await run.apply(v2.dsn, to="verify", choices=replace(CHOICES, quarantine_limit=100))
    assert (await v2.verify()).differences == []


async def test_rollback_from_every_stage_under_load(v2: V2Database) -> None:
    async with load(v2.dsn, v2.admin) as working:
        for stage in ("expand", "backfill", "verify", "switch"):
            await v2.apply(stage)
            await v2.rollback("start")
        await v2.apply("switch")
        working.reads_only = True  # from the switch on the operator's V2 only reads
        await asyncio.sleep(0.2)  # writes under way end; the readers go on
        await v2.apply("contract")
        await v2.rollback("start")
        working.reads_only = False
        await finish(v2, working)
    await working.check(v2.admin)
    assert working.longest_s < LONGEST_S


def test_the_choices_of_these_tests_are_complete() -> None:
    assert parse(TOML).resolve == CHOICES.resolve
