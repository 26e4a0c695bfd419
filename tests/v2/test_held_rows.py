"""An open transaction of V2 holds rows: Baylight decides all other spaces meanwhile, and nothing is lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from baylight.app.timer import Timer
from baylight.control.events.ingest import Ingest
from baylight.domain.policies import Policies
from baylight.errors import DevicesHeldError
from baylight.store.pool import open_pool
from tests.support.clock import RealClock
from tests.support.uplinks import OCCUPIED, uplink
from tests.support.v2 import V2Database, sensor


@pytest.mark.parametrize("statement", ["UPDATE spaces SET name = 'held' WHERE code = 'S7'",
                                       "SELECT FROM spaces WHERE code = 'S7' FOR NO KEY UPDATE"])  # fmt: skip
async def test_h12_one_row_that_v2_holds_keeps_no_other_space_undecided(v2: V2Database, statement: str) -> None:
    ids = {n: await v2.add(f"S{n}", sensor_eui=sensor(n)) for n in range(1, 13)}
    await v2.apply("switch")
    pool = await open_pool(v2.dsn, size=2)
    ingest = Ingest(pool, RealClock(), Policies())
    batch = [uplink(sensor(n), datetime.now(UTC) - timedelta(seconds=1), OCCUPIED) for n in ids]
    decided = "SELECT count(*) FROM spaces WHERE current_state = 'OCCUPIED'"
    writes = statement.startswith("UPDATE")
    async with v2.legacy.transaction():
        await v2.legacy.execute(statement)
        if writes:
            with pytest.raises(DevicesHeldError) as error:
                await ingest.store_batch(batch)
            assert error.value.dev_euis == {sensor(7)}
        else:
            await ingest.store_batch(batch)
        assert await v2.baylight.fetchval(decided) == (11 if writes else 12)
        others = await v2.admin.fetchval("SELECT count(*) FROM public.spaces WHERE state = 'OCCUPIED'")
        assert others == 11
    await ingest.store_batch(batch)
    await v2.admin.fetchval("SELECT v2_migration.reflect_late_states()")
    assert await v2.baylight.fetchval(decided) == 12
    assert (await v2.old(ids[7]))["state"] == "OCCUPIED"
    await pool.close()


async def test_h12_the_timer_decides_the_others_too(v2: V2Database) -> None:
    for n in range(1, 13):
        await v2.add(f"S{n}", sensor_eui=sensor(n))
    await v2.apply("switch")
    pool = await open_pool(v2.dsn, size=2)
    timer = Timer(pool, RealClock(), Policies(), 25, 37)
    unknown = "SELECT count(*) FROM spaces WHERE current_state = 'UNKNOWN'"
    async with v2.legacy.transaction():
        await v2.legacy.execute("SELECT FROM spaces WHERE code = 'S7' FOR UPDATE")
        await timer.spaces()
        assert await v2.baylight.fetchval(unknown) == 14
    await timer.spaces()
    assert await v2.baylight.fetchval(unknown) == 15
    await pool.close()
