"""Lights as a driver sees them: they show the true state, whatever happens to them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from baylight.lab.sim.devices import DIM_GREEN, Busylight
from tests.support.eventually import eventually, until
from tests.support.stage import GREEN, RED, Stage

IMPATIENT = {"report_timeout": timedelta(seconds=1)}


@pytest.fixture(params=[0, 1], ids=["Bosch TPS110", "Browan TBMS100"])
def number(request: pytest.FixtureRequest) -> int:
    """Return the number of a bay."""
    return int(request.param)


async def test_a_car_comes_and_the_light_turns_red_it_goes_and_the_light_turns_green(stage: Stage, number: int) -> None:
    bay = stage.bays[number]
    async with stage.program():
        await stage.begin()
        assert bay.light.code == GREEN
        await stage.park.arrive(bay.code)
        await stage.shows(bay, RED)
        await stage.all_proven()
        await stage.park.leave(bay.code)
        await stage.shows(bay, GREEN)
        await stage.all_proven()
    assert await stage.statuses(bay) == ["shown"] * 3
    changes = await stage.pool.fetch(
        "SELECT previous_state, new_state, reason FROM state_changes WHERE space_id = $1 ORDER BY id",
        stage.spaces[bay.code],
    )
    assert [tuple(c) for c in changes] == [
        ("UNKNOWN", "FREE", "sensor"), ("FREE", "OCCUPIED", "sensor"), ("OCCUPIED", "FREE", "sensor")
    ]  # fmt: skip


async def test_b3_the_history_of_a_light_distinguishes_three_proofs(stage: Stage) -> None:
    bay = stage.bays[0]
    async with stage.program():
        await stage.begin()
        await stage.park.arrive(bay.code)
        await stage.shows(bay, RED)
        await stage.all_proven()
    row = await stage.pool.fetchrow(
        "SELECT * FROM actuations WHERE display_deveui = $1 ORDER BY id DESC LIMIT 1", bay.display_eui
    )
    assert row is not None
    assert row["downlink_queue_id"] in {item.id for _, item in stage.fake.accepted}
    # ChirpStack's clock is ours here. The order is: decided, handed over, sent by a gateway, reported by the lamp.
    assert row["created_at"] <= row["sent_at"] <= row["shown_at"]
    assert row["created_at"] <= row["transmitted_at"] <= row["shown_at"]
    steps = await stage.pool.fetch("SELECT kind FROM actuation_events WHERE actuation_id = $1", row["id"])
    assert {s["kind"] for s in steps} == {"sending", "queued", "tx_ack", "reported"}


async def test_a_light_that_shows_the_wrong_code_receives_the_right_one_again(stage: Stage) -> None:
    bay = stage.bays[0]
    async with stage.program():
        await stage.park.arrive(bay.code)
        await stage.begin()
        bay.light.code = GREEN
        bay.light.report()
        await stage.shows(bay, RED)
        await stage.all_proven()
    drift = await stage.pool.fetchval("SELECT detail FROM actuation_events WHERE kind = 'drift'")
    assert drift == f"reports {GREEN.hex()}, must show {RED.hex()}"
    newest = await stage.pool.fetchrow("SELECT trigger_type, status FROM actuations ORDER BY id DESC LIMIT 1")
    assert newest is not None
    assert tuple(newest) == ("reconciliation", "shown")


async def test_a_light_that_shows_another_colour_than_the_commanded_one_is_never_in_sync(stage: Stage) -> None:
    bay = stage.bays[0]
    async with stage.program(loop=IMPATIENT):
        await stage.begin()
        bay.light.shows_wrong = DIM_GREEN
        await stage.park.arrive(bay.code)
        await stage.becomes(bay, "sync_status", "unreachable")
        assert "shown" not in (await stage.statuses(bay))[1:]
        bay.light.shows_wrong = None
        await stage.shows(bay, RED)
        await stage.all_proven()


async def test_b2_after_a_power_cut_the_light_is_lit_again_once_its_uplink_is_received(
    stage: Stage, number: int
) -> None:
    bay = stage.bays[number]
    async with stage.program():
        await stage.park.arrive(bay.code)
        await stage.begin()
        bay.light.power_cut()
        assert bay.light.code == DIM_GREEN
        await stage.shows(bay, RED)
        await stage.all_proven()
    assert await stage.pool.fetchval(
        "SELECT count(*) >= 1 FROM actuations WHERE display_deveui = $1 AND trigger_type = 'rejoin_recovery'",
        bay.display_eui,
    )
    assert await stage.pool.fetchval("SELECT last_join_at IS NOT NULL FROM display_devices WHERE dev_eui = $1",
                                     bay.display_eui)  # fmt: skip


async def test_b2_after_a_power_cut_while_a_command_is_on_its_way_the_light_is_right_again(stage: Stage) -> None:
    bay = stage.bays[0]
    async with stage.program():
        await stage.begin()
        await stage.park.arrive(bay.code)
        await eventually(stage.pool, "SELECT count(*) = 1 FROM actuations WHERE new_state = 'OCCUPIED'")
        bay.light.power_cut()
        await stage.park.leave(bay.code)
        await stage.park.arrive(bay.code)
        await stage.shows(bay, RED)
        await stage.all_proven()


async def test_b2_after_a_power_cut_while_a_command_is_handed_over_the_light_is_right_again_at_once(
    stage: Stage,
) -> None:
    """The join empties the queue of a command whose answer is still on its way. If Baylight waited for the expiry of
    that command, the light would be wrong for a minute."""
    bay = stage.bays[0]
    async with stage.program(downlink_ttl_s=600):
        await stage.begin()
        stage.fake.faults.late_s = 1.0
        before = len(stage.fake.accepted)
        await stage.park.arrive(bay.code)
        await stage.fake.until(lambda: len(stage.fake.accepted) > before)
        bay.light.power_cut()
        await stage.shows(bay, RED)
        await stage.all_proven()
    assert (await stage.statuses(bay))[-2:] == ["failed", "shown"]


async def test_b2_after_power_cuts_of_all_lights_at_once_all_are_right_again(stage: Stage) -> None:
    async with stage.program():
        await stage.begin()
        for bay in stage.bays:
            await stage.park.arrive(bay.code)
            bay.light.power_cut()
        for bay in stage.bays:
            await stage.shows(bay, RED)
        await stage.all_proven()


async def test_a_deaf_light_is_pending_then_unreachable_and_recovers(stage: Stage) -> None:
    bay = stage.bays[0]
    async with stage.program(loop=IMPATIENT):
        await stage.begin()
        bay.light.deaf = True
        await stage.park.arrive(bay.code)
        for status in ("pending", "unreachable"):
            await stage.becomes(bay, "sync_status", status)
        assert set((await stage.statuses(bay))[1:]) <= {"failed", "pending", "sending", "queued", "transmitted"}
        assert bay.light.code == GREEN
        shown = await stage.pool.fetchval("SELECT display_state FROM spaces WHERE id = $1", stage.spaces[bay.code])
        assert shown is None, "the lamp may have received the command"
        bay.light.deaf = False
        await stage.shows(bay, RED)
        await stage.all_proven()
    assert (await stage.statuses(bay))[-1] == "shown"


async def test_a_display_receives_no_commands_except_codes_of_its_light(stage: Stage) -> None:
    async with stage.program():
        await stage.begin()
        for bay in stage.bays:
            await stage.park.arrive(bay.code)
        await until(lambda: all(bay.light.code == RED for bay in stage.bays))
    assert all(isinstance(bay.light, Busylight) and not bay.light.bricked for bay in stage.bays)
    assert all((item.f_port, len(item.data), item.data[5:]) == (15, 6, b"\x01") for _, item in stage.fake.accepted)
