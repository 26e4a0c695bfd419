"""The stream of changes, over a real connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg
import httpx
import pytest

from baylight.access import keys
from baylight.api import events as events_route
from baylight.api import hub
from baylight.domain.conditions import Condition, ConditionKind
from baylight.insight import live
from baylight.store.pool import Pool
from tests.support.change import by
from tests.support.factories import add_actuation, add_bay
from tests.support.servers import Database, Server
from tests.support.site import Site, serving


class Stream:
    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.aiter_lines()

    async def next(self, *, within_s: float = 5) -> tuple[str, str, Any]:
        """Name, id and data of the next event; without comments and `retry:`."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(within_s):
            async for line in self._lines:
                if line and not line.startswith(":"):
                    name, _, value = line.partition(": ")
                    fields[name] = value
                elif "data" in fields:
                    return fields["event"], fields["id"], json.loads(fields["data"])
        raise EOFError

    async def until(self, name: str, *, within_s: float = 5) -> Any:
        async with asyncio.timeout(within_s):
            while (event := await self.next())[0] != name:
                pass
        return event[2]


@asynccontextmanager
async def watching(address: str, key: str) -> AsyncIterator[Stream]:
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        httpx.AsyncClient() as client,
        client.stream("GET", f"{address}/api/v1/events", headers=headers) as response,
    ):
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        yield Stream(response)


async def test_a_snapshot_then_each_change_within_a_second(site: Site, address: str) -> None:
    bay = await add_bay(site.pool, "A-1")
    async with watching(address, await site.key("read")) as stream:
        name, _, snapshot = await stream.next()
        assert name == "snapshot"
        assert [space["code"] for space in snapshot["spaces"]] == ["A-1"]
        assert snapshot["actuations"] == []

        async with site.client(await site.key("write")) as client:
            await client.put("/api/v1/spaces/A-1/maintenance", json={"on": True})
        state = await stream.until("state", within_s=1)
        assert (state["code"], state["state"], state["state_reason"]) == ("A-1", "MAINTENANCE", "maintenance")

        await site.pool.execute("UPDATE display_devices SET sync_status = 'drifted' WHERE id = $1", bay.display_id)
        await site.pool.execute("SELECT pg_notify('baylight_displays', '')")
        assert (await stream.until("display", within_s=1))["sync_status"] == "drifted"


async def test_an_actuation_is_sent_at_each_status(site: Site, address: str) -> None:
    bay = await add_bay(site.pool, "A-1")
    async with watching(address, await site.key("read")) as stream:
        await stream.until("snapshot")
        id_ = await add_actuation(site.pool, bay, datetime.now(UTC))
        assert (await stream.until("actuation"))["status"] == "pending"
        await site.pool.execute("UPDATE actuations SET status = 'sending' WHERE id = $1", id_)
        await site.pool.execute("SELECT pg_notify('baylight_displays', '')")
        assert (await stream.until("actuation"))["status"] == "sending"
    async with watching(address, await site.key("read")) as stream:
        snapshot = await stream.until("snapshot")
        assert [(one["id"], one["status"]) for one in snapshot["actuations"]] == [(str(id_), "sending")]


async def test_new_and_deleted_spaces_are_sent(site: Site, address: str) -> None:
    async with watching(address, await site.key("read")) as stream, site.client(await site.key("write")) as client:
        await stream.until("snapshot")
        await client.post("/api/v1/spaces", json={"code": "B-1"})
        await client.put("/api/v1/spaces/B-1/maintenance", json={"on": True})
        assert (await stream.until("state", within_s=1))["code"] == "B-1"
        await add_bay(site.pool, "B-2")
        await client.delete("/api/v1/spaces/B-1")
        await client.put("/api/v1/spaces/B-2/maintenance", json={"on": True})
        assert (await stream.until("gone", within_s=1))["code"] == "B-1"


async def test_a_change_that_commits_late_is_not_missed(site: Site, address: str) -> None:
    bay, other = await add_bay(site.pool, "A-1"), await add_bay(site.pool, "A-2")
    async with watching(address, await site.key("read")) as stream, site.pool.acquire() as late:
        await stream.until("snapshot")
        transaction = late.transaction()
        await transaction.start()
        await late.execute("UPDATE spaces SET current_state = 'FREE' WHERE id = $1", bay.space_id)
        await late.execute("SELECT pg_notify('baylight_displays', '')")
        await site.pool.execute("UPDATE spaces SET current_state = 'OCCUPIED' WHERE id = $1", other.space_id)
        await site.pool.execute("SELECT pg_notify('baylight_displays', '')")
        assert (await stream.until("state"))["code"] == "A-2"
        await transaction.commit()
        assert (await stream.until("state"))["code"] == "A-1"


async def test_two_watchers_receive_the_same(site: Site, address: str) -> None:
    await add_bay(site.pool, "A-1")
    key = await site.key("write")
    async with watching(address, key) as one, watching(address, key) as two, site.client(key) as client:
        await one.until("snapshot")
        await two.until("snapshot")
        await client.put("/api/v1/spaces/A-1/maintenance", json={"on": True})
        assert await one.until("state") == await two.until("state")
        assert site.app.state.hub.watchers == 2


async def test_a_quiet_stream_is_kept_alive(site: Site, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_route, "KEEP_ALIVE_S", 0.05)
    headers = {"Authorization": f"Bearer {await site.key('read')}"}
    async with (
        asyncio.timeout(5),
        httpx.AsyncClient() as client,
        client.stream("GET", f"{address}/api/v1/events", headers=headers) as response,
    ):
        async for line in response.aiter_lines():
            if line.startswith(": "):
                break
        else:
            pytest.fail("the stream ended")


async def test_the_stream_of_a_revoked_key_ends(site: Site, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_route, "KEEP_ALIVE_S", 0.05)
    text = await site.key("read")
    async with watching(address, text) as stream:
        await stream.until("snapshot")
        async with site.pool.acquire() as connection:
            await keys.revoke_key(by(connection, actor="test"), text[:11])
        with pytest.raises(EOFError):
            await stream.next()


async def test_a_slow_watcher_is_dropped_and_the_others_are_not() -> None:
    slow, quick = hub.Watcher(), hub.Watcher()
    for number in range(hub.QUEUE_LENGTH):
        assert slow.put(b"%d" % number)
    assert not slow.put(b"too much")
    assert quick.put(b"fine")
    last = None
    while not slow.queue.empty():
        last = slow.queue.get_nowait()
    assert last is None


async def test_a_watcher_of_a_large_site_receives_a_change_of_all_of_it(site: Site, address: str) -> None:
    await site.pool.execute(
        "INSERT INTO spaces (name, code) SELECT 'bay', 'A-' || n FROM generate_series(1, 1000) AS n"
    )
    async with watching(address, await site.key("read")) as stream:
        assert len((await stream.next())[2]["spaces"]) == 1000
        for state in ("MAINTENANCE", "FREE"):
            await site.pool.execute("UPDATE spaces SET current_state = $1, current_state_at = now()", state)
            await site.pool.execute("SELECT pg_notify('baylight_state', '')")
            changed = {(await stream.next())[2]["code"] for _ in range(1000)}
            assert len(changed) == 1000


async def test_the_stream_of_a_slow_watcher_ends(site: Site, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "GATHER_S", 0.01)
    await site.pool.execute(
        "INSERT INTO spaces (name, code) SELECT 'bay', 'A-' || n FROM generate_series(1, 1000) AS n"
    )
    async with watching(address, await site.key("read")) as stream:
        await stream.next()
        async with asyncio.timeout(60):
            while site.app.state.hub.watchers:
                await site.pool.execute("UPDATE spaces SET current_state_at = clock_timestamp()")
                await site.pool.execute("SELECT pg_notify('baylight_state', '')")


async def test_a_stream_ends_when_its_database_connection_is_lost(site: Site, address: str) -> None:
    await add_bay(site.pool, "A-1")
    async with watching(address, await site.key("read")) as stream:
        await stream.until("snapshot")
        await site.pool.close()
        connection = await asyncpg.connect(site.dsn)
        await connection.execute("SELECT pg_notify('baylight_displays', '')")
        await connection.close()
        with pytest.raises(EOFError):
            await stream.next()


async def test_a_stream_ends_at_once_when_the_database_goes_away(site: Site, address: str, server: Server) -> None:
    """The hub learns of no change then, and a page must not call itself live."""
    name = await site.pool.fetchval("SELECT current_database()")
    async with watching(address, await site.key("read")) as stream:
        await stream.until("snapshot")
        await server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        await server.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        with pytest.raises(EOFError):
            await stream.next()


async def test_an_open_stream_does_not_hold_up_the_shutdown(site: Site) -> None:
    key = await site.key("read")
    async with serving(site.app) as address:
        opened = watching(address, key)
        stream = await opened.__aenter__()
        await stream.until("snapshot")
        site.app.state.hub.close()
        with pytest.raises(EOFError):
            await stream.next()
        await opened.__aexit__(None, None, None)


async def test_a_stream_needs_a_key(address: str) -> None:
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"{address}/api/v1/events")).status_code == 401


async def test_i18_conditions_of_services_come_with_each_change_and_after_a_snapshot(site: Site, address: str) -> None:
    condition = Condition(
        ConditionKind.NETWORK_SERVER_AWAY, "chirpstack", datetime(2026, 11, 24, tzinfo=UTC), "refused"
    )
    async with watching(address, await site.key("read")) as stream:
        assert (await stream.next())[0] == "snapshot"
        site.conditions.append(condition)
        site.app.state.hub.wake()
        (row,) = (await stream.until("services"))["conditions"]
        assert (row["kind"], row["service"], row["evidence"]) == ("network_server_away", "chirpstack", "refused")
        assert row["meaning"] == "The network server does not answer."
        async with watching(address, await site.key("read")) as second:
            assert [(await second.next())[0] for _ in range(2)] == ["snapshot", "services"]
        site.conditions.clear()
        site.app.state.hub.wake()
        assert (await stream.until("services"))["conditions"] == []


async def test_e3_a_restore_changes_the_epoch_and_ends_the_stream(pool: Pool, database: Database) -> None:
    async with pool.acquire() as connection:
        first = await live.read_snapshot(connection)
        assert (await live.read_snapshot(connection)).epoch == first.epoch
        for function in ("pg_control_system()", "pg_walfile_name(pg_lsn)", "pg_current_wal_lsn()"):
            assert await connection.fetchval("SELECT has_function_privilege('public', $1, 'EXECUTE')", function)
    streams = hub.Hub(pool, database.dsn)
    running = asyncio.create_task(streams.run())
    try:
        watcher = streams.join()
        event = await asyncio.wait_for(watcher.queue.get(), 10)
        assert event is not None
        assert f"id: {first.epoch}:{first.last_change_id}\n".encode() in event
        assert f'"epoch":"{first.epoch}"'.encode() in event
        # As `pg_restore --clean` does: the table is made again.
        await pool.execute("CREATE TABLE restored (LIKE state_changes INCLUDING ALL)")
        await pool.execute("DROP TABLE state_changes CASCADE")
        await pool.execute("ALTER TABLE restored RENAME TO state_changes")
        streams.wake()
        assert await asyncio.wait_for(watcher.queue.get(), 10) is None
        async with pool.acquire() as connection:
            assert (await live.read_snapshot(connection)).epoch != first.epoch
    finally:
        running.cancel()
