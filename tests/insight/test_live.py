"""The present: as a whole, and what changed since."""

from __future__ import annotations

from baylight.insight import live
from baylight.store.pool import Pool
from tests.support.factories import add_bay


async def test_a_snapshot_since_another_has_what_changed_and_what_committed_late(any_pool: Pool) -> None:
    early = await add_bay(any_pool, "A-1")
    late = await add_bay(any_pool, "A-2")
    await add_bay(any_pool, "A-3")
    async with any_pool.acquire() as connection, any_pool.acquire() as slow:
        transaction = slow.transaction()
        await transaction.start()
        await slow.execute("UPDATE spaces SET current_state = 'FREE' WHERE id = $1", late.space_id)
        whole = await live.read_snapshot(connection)
        assert [(row.code, row.state) for row in whole.spaces] == [
            ("A-1", "UNKNOWN"),
            ("A-2", "UNKNOWN"),
            ("A-3", "UNKNOWN"),
        ]
        await connection.execute("UPDATE display_devices SET sync_status = 'drifted' WHERE id = $1", early.display_id)
        then = await live.read_snapshot(connection, whole.horizon)
        assert [(row.code, row.sync_status) for row in then.spaces] == [("A-1", "drifted")]
        await transaction.commit()
        last = await live.read_snapshot(connection, then.horizon)
        assert ("A-2", "FREE") in [(row.code, row.state) for row in last.spaces]
        assert "A-3" not in [row.code for row in last.spaces]
        assert [row.code for row in (await live.read_snapshot(connection, last.horizon)).spaces] in ([], ["A-2"])


async def test_a_deleted_space_comes_as_deleted(any_pool: Pool) -> None:
    bay = await add_bay(any_pool, "A-1")
    async with any_pool.acquire() as connection:
        before = await live.read_snapshot(connection)
        await connection.execute(
            "UPDATE spaces SET deleted_at = now(), sensor_device_id = NULL, display_device_id = NULL WHERE id = $1",
            bay.space_id,
        )
        after = await live.read_snapshot(connection, before.horizon)
        assert [(row.code, row.deleted) for row in after.spaces] == [("A-1", True)]
        assert (await live.read_snapshot(connection)).spaces == []
