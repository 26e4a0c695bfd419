"""One device heard through two network servers: one uplink, one change; its downlinks take the way that reaches it."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from msgspec.structs import replace

from baylight.control.downlinks.relay import Relay
from baylight.control.events.ingest import Ingest
from baylight.domain.display_loop.actuation import LoopPolicy
from baylight.domain.events import Join, Uplink
from baylight.domain.ids import DevEui
from baylight.domain.policies import Policies
from baylight.store.pool import Pool
from tests.support import factories, uplinks
from tests.support.clock import T0, Clock
from tests.support.network_server import NetworkServer
from tests.support.uplinks import FREE, OCCUPIED

APPLICATIONS = {"chirpstack": "0b7e9d1c-5a0f-4a5d-9d55-0c5d0f6f2a11", "tts": "garage/bay-017"}


@pytest.fixture
def ingest(pool: Pool) -> Ingest:
    return Ingest(pool, Clock(T0 + timedelta(minutes=10)), Policies())


def uplink(dev_eui: DevEui, f_cnt: int, data: bytes, server: str, *, at: datetime = T0, **more: Any) -> Uplink:
    through: dict[str, Any] = {"application_id": APPLICATIONS[server], "network_server": server}
    return uplinks.uplink(dev_eui, at, data, f_cnt=f_cnt, snr_db=None, gateway_id=None, **through | more)


def copy_of(first: Uplink, *, after: float = 0.4, server: str = "tts") -> Uplink:
    at = first.observed_at + timedelta(seconds=after)
    return replace(
        first, deduplication_id=str(uuid4()), observed_at=at, network_at=at, network_server=server,
        application_id=APPLICATIONS[server],
    )  # fmt: skip


async def counted(pool: Pool) -> tuple[int, int, int]:
    """Uplinks, changes of state, actuations."""
    row = await pool.fetchrow(
        "SELECT (SELECT count(*) FROM uplinks), (SELECT count(*) FROM state_changes), (SELECT count(*) FROM actuations)"
    )
    assert row is not None
    return tuple(row)


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("first_server", ["chirpstack", "tts"])
async def test_a_device_heard_through_two_servers_makes_one_uplink_and_one_change(
    pool: Pool, ingest: Ingest, together: bool, first_server: str
) -> None:
    bay = await factories.add_bay(pool, "A-01")
    first = uplink(bay.sensor_eui, 7, OCCUPIED, first_server)
    second = copy_of(first, server="tts" if first_server == "chirpstack" else "chirpstack")
    for batch in ([first, second],) if together else ([first], [second]):
        await ingest.store_batch(batch)
    assert await counted(pool) == (1, 1, 1)
    assert await pool.fetchval("SELECT network_server FROM uplinks") == first_server
    assert ingest.counts["uplink", "redelivered"] == 1
    await ingest.store_batch([second, first])
    assert await counted(pool) == (1, 1, 1)


async def test_a_copy_that_comes_late_and_behind_newer_frames_changes_nothing(pool: Pool, ingest: Ingest) -> None:
    bay = await factories.add_bay(pool, "A-01")
    came = uplink(bay.sensor_eui, 7, OCCUPIED, "chirpstack")
    left = uplink(bay.sensor_eui, 8, FREE, "chirpstack", at=T0 + timedelta(seconds=20))
    await ingest.store_batch([came, left])
    await ingest.store_batch([copy_of(left)])
    await ingest.store_batch([copy_of(came, after=-0.4)])
    assert await counted(pool) == (2, 2, 2)
    assert ingest.counts["uplink", "redelivered"] == 2


async def test_copies_that_two_processes_take_at_once_are_stored_once(pool: Pool) -> None:
    bay = await factories.add_bay(pool, "A-01")
    first = [uplink(bay.sensor_eui, n, (OCCUPIED, FREE)[n % 2], "chirpstack", at=T0 + timedelta(seconds=n))
             for n in range(20)]  # fmt: skip
    both = [Ingest(pool, Clock(T0 + timedelta(minutes=10)), Policies()) for _ in range(2)]
    for frame in first:
        await asyncio.gather(both[0].store_batch([frame]), both[1].store_batch([copy_of(frame)]))
    assert await counted(pool) == (20, 20, 20)


async def test_what_only_the_second_server_heard_counts(pool: Pool, ingest: Ingest) -> None:
    bay = await factories.add_bay(pool, "A-01")
    await ingest.store_batch([uplink(bay.sensor_eui, 7, OCCUPIED, "chirpstack")])
    await ingest.store_batch([uplink(bay.sensor_eui, 8, FREE, "tts", at=T0 + timedelta(seconds=5))])
    assert await counted(pool) == (2, 2, 2)


@pytest.mark.parametrize("change", [{"data": FREE}, {"dev_addr": "0a0b0c0d"}, {"f_port": 103}])
async def test_b7_the_same_counter_of_another_frame_or_session_is_no_copy(
    pool: Pool, ingest: Ingest, change: dict[str, Any]
) -> None:
    bay = await factories.add_bay(pool, "A-01")
    first = uplink(bay.sensor_eui, 7, OCCUPIED, "chirpstack")
    await ingest.store_batch([first])
    await ingest.store_batch([replace(copy_of(first), **change)])
    assert await pool.fetchval("SELECT count(*) FROM uplinks") == 2


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("through", ["chirpstack", "tts"])
@pytest.mark.parametrize("after", [-180, -0.4, 0, 0.4, 180])
async def test_a2_a_frame_of_the_session_is_stored_once_whatever_its_id_server_or_time(
    pool: Pool, ingest: Ingest, together: bool, through: str, after: float
) -> None:
    bay = await factories.add_bay(pool, "A-01")
    for dev_eui in (bay.sensor_eui, bay.display_eui):
        first = uplink(dev_eui, 7, OCCUPIED, "chirpstack")
        again = copy_of(first, server=through, after=after)
        for batch in ([first, again],) if together else ([first], [again]):
            await ingest.store_batch(batch)
    assert await pool.fetchval("SELECT count(*) FROM uplinks") == 2
    assert ingest.counts["uplink", "redelivered"] == 2


async def test_a_display_s_report_heard_twice_is_one_uplink(pool: Pool, ingest: Ingest) -> None:
    bay = await factories.add_bay(pool, "A-01")
    report = bytes.fromhex("d0ffffff1e00000008000000060000000000ffff00290c01")
    first = uplink(bay.display_eui, 3, report, "chirpstack", f_port=15)
    await ingest.store_batch([first])
    await ingest.store_batch([copy_of(first)])
    assert await pool.fetchval("SELECT count(*) FROM uplinks") == 1


async def way(pool: Pool, dev_eui: DevEui, table: str = "display_devices") -> tuple[str, str | None]:
    row = await pool.fetchrow(f"SELECT network_server, application_id FROM {table} WHERE dev_eui = $1", dev_eui)
    assert row is not None
    return row["network_server"], row["application_id"]


async def test_a_device_is_reached_through_the_server_that_heard_it_first_until_it_joins_another(
    pool: Pool, ingest: Ingest
) -> None:
    bay = await factories.add_bay(pool, "A-01")
    for dev_eui, table in ((bay.display_eui, "display_devices"), (bay.sensor_eui, "sensor_devices")):
        assert await way(pool, dev_eui, table) == ("chirpstack", None)
        await ingest.store_batch([uplink(dev_eui, 3, OCCUPIED, "tts")])
        assert await way(pool, dev_eui, table) == ("tts", APPLICATIONS["tts"])
        await ingest.store_batch([uplink(dev_eui, 4, OCCUPIED, "chirpstack", at=T0 + timedelta(seconds=9))])
        assert await way(pool, dev_eui, table) == ("tts", APPLICATIONS["tts"])
        at, home = T0 + timedelta(seconds=20), APPLICATIONS["chirpstack"]
        await ingest.store_batch([Join(dev_eui, str(uuid4()), at, "0a0b0c0d", home, "chirpstack")])
        assert await way(pool, dev_eui, table) == ("chirpstack", APPLICATIONS["chirpstack"])


async def test_an_application_that_was_told_at_registration_gives_way_to_the_first_that_hears(
    pool: Pool, ingest: Ingest
) -> None:
    display = await factories.add_display(pool, application_id=APPLICATIONS["chirpstack"])
    await ingest.store_batch([uplink(display["dev_eui"], 3, b"", "tts", f_port=0)])
    assert await way(pool, display["dev_eui"]) == ("tts", APPLICATIONS["tts"])


async def test_a_downlink_says_which_server_and_where_there(pool: Pool, ingest: Ingest) -> None:
    bay = await factories.add_bay(pool, "A-01")
    await ingest.store_batch(
        [uplink(bay.display_eui, 1, b"", "tts", f_port=0), uplink(bay.sensor_eui, 7, OCCUPIED, "tts")]
    )
    server, later = NetworkServer(), Clock(T0 + timedelta(minutes=10, seconds=1))
    assert await Relay(pool, server, later, LoopPolicy()).send_due() == 1
    assert [(d.network_server, d.application_id) for d in server.accepted] == [("tts", "garage/bay-017")]
