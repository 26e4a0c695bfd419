"""One light over several spaces: its state follows from all of them, whoever changes which, and in what order."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from baylight.control.downlinks.relay import Relay
from baylight.control.events.ingest import Ingest
from baylight.domain.display_loop.actuation import LoopPolicy
from baylight.domain.policies import Policies
from baylight.errors import ConflictError, InputError
from baylight.inventory import device_settings, devices, spaces
from baylight.schedule import overrides
from baylight.store.pool import Connection, Pool
from tests.support.change import NOW, by
from tests.support.clock import Clock
from tests.support.network_server import NetworkServer
from tests.support.uplinks import FREE, OCCUPIED, uplink

SIGN = "2020000000000009"
SENSORS = [f"58a0cb00000000c{n}" for n in range(4)]


async def share(db: Connection, rule: str, *, device_type: str = "kuando_busylight") -> None:
    await devices.register_display(by(db), SIGN, device_type=device_type, shared=True, shared_rule=rule)
    for n, sensor in enumerate(SENSORS):
        await devices.register_sensor(by(db), sensor)
        await spaces.create_space(by(db), f"A-{n}", sensor=sensor, display=SIGN)


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW)


@pytest.fixture
def ingest(pool: Pool, clock: Clock) -> Ingest:
    return Ingest(pool, clock, Policies())


async def wants(db: Connection) -> str | None:
    return (await devices.get_display(db, SIGN)).desired_state


async def hear(ingest: Ingest, clock: Clock, n: int, data: bytes) -> None:
    await ingest.store_batch([uplink(SENSORS[n], clock.tick(1), data)])


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("any_free", ["UNKNOWN", "FREE", "FREE", "FREE", "FREE", "FREE", "FREE", "OCCUPIED"]),
        ("all_free", ["UNKNOWN", "UNKNOWN", "UNKNOWN", "UNKNOWN", "FREE", "OCCUPIED", "OCCUPIED", "OCCUPIED"]),
        ("worst_state", ["UNKNOWN", "UNKNOWN", "UNKNOWN", "UNKNOWN", "FREE", "OCCUPIED", "OCCUPIED", "OCCUPIED"]),
    ],
)
async def test_the_light_follows_its_rule_and_an_unknown_space_is_not_free(
    db: Connection, ingest: Ingest, clock: Clock, rule: str, told: list[str]
) -> None:
    await share(db, rule)
    seen = [await wants(db)]
    for n in range(4):
        await hear(ingest, clock, n, FREE)
        seen.append(await wants(db))
    for n in range(3):
        await hear(ingest, clock, n, OCCUPIED)
    seen += [await wants(db)] if rule != "any_free" else []
    await hear(ingest, clock, 3, OCCUPIED)
    assert seen[:5] == told[:5]
    assert await wants(db) == told[-1]


async def test_a_counter_shows_how_many_are_free_and_is_sent_only_what_changes(
    db: Connection, ingest: Ingest, clock: Clock
) -> None:
    await share(db, "count", device_type="heltec_counter")
    digits = []
    for n, data in ((0, FREE), (1, FREE), (2, OCCUPIED), (3, FREE), (3, FREE), (0, OCCUPIED)):
        await hear(ingest, clock, n, data)
        code = (await devices.get_display(db, SIGN)).desired_code
        assert code is not None
        digits.append(bytes.fromhex(code).decode())
    assert digits == ["1", "2", "2", "3", "3", "2"]
    sent = await db.fetch("SELECT display_code FROM actuations ORDER BY id")
    assert [bytes.fromhex(row["display_code"]).decode() for row in sent] == ["0", "1", "2", "3", "2"]


async def test_one_uplink_batch_of_several_spaces_ends_in_the_right_light(
    pool: Pool, db: Connection, ingest: Ingest, clock: Clock
) -> None:
    await share(db, "all_free")
    at = clock.tick(1)
    await ingest.store_batch([uplink(eui, at, FREE) for eui in SENSORS])
    assert await wants(db) == "FREE"
    clock.tick(1)
    lns = NetworkServer()
    assert await Relay(pool, lns, clock, LoopPolicy()).send_due() == 1
    assert [d.data.hex()[:6] for d in lns.accepted] == ["0000ff"]
    rows = await db.fetch("SELECT new_state, status FROM actuations ORDER BY id")
    assert [tuple(row) for row in rows if row["status"] != "superseded"] == [("FREE", "queued")]


async def test_spaces_that_come_and_go_change_the_light(db: Connection, ingest: Ingest, clock: Clock) -> None:
    await share(db, "worst_state")
    for n in range(4):
        await hear(ingest, clock, n, FREE)
    later = by(db, now=NOW + timedelta(minutes=1))
    await overrides.set_override(later, "OUT_OF_ORDER", space="A-1")
    assert await wants(db) == "OUT_OF_ORDER"
    await spaces.unassign(later, "A-1", "display")
    assert await wants(db) == "FREE"
    await spaces.create_space(later, "B-1", display=SIGN)
    assert await wants(db) == "UNKNOWN"
    await spaces.delete_space(later, "B-1")
    assert await wants(db) == "FREE"


async def test_a_rule_is_changed_and_the_light_follows(db: Connection, ingest: Ingest, clock: Clock) -> None:
    await share(db, "worst_state")
    await hear(ingest, clock, 0, FREE)
    assert await wants(db) == "UNKNOWN"
    found = await device_settings.set_shared(by(db), SIGN, "any_free")
    assert (found.shared_rule, found.desired_state) == ("any_free", "FREE")
    with pytest.raises(ConflictError, match="serves A-0, A-1, A-2, A-3"):
        await device_settings.set_shared(by(db), SIGN, None)
    with pytest.raises(InputError, match="any_free"):
        await device_settings.set_shared(by(db), SIGN, "most_free")


async def test_spaces_that_change_at_the_same_moment_never_leave_a_wrong_green(
    db: Connection, pool: Pool, clock: Clock
) -> None:
    await share(db, "all_free")

    async def drive(n: int) -> None:
        ingest = Ingest(pool, clock, Policies())
        for turn in range(8):
            await hear(ingest, clock, n, OCCUPIED if (turn + n) % 2 else FREE)

    await asyncio.wait_for(asyncio.gather(*(drive(n) for n in range(4))), 60)
    states = [row["current_state"] for row in await db.fetch("SELECT current_state FROM spaces")]
    assert await wants(db) == ("FREE" if set(states) == {"FREE"} else "OCCUPIED")
