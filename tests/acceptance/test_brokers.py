"""Brokers with prefixes, rules of access, lost sessions and short lives, up to lights and conditions."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from baylight.app.program import Program
from baylight.domain.conditions import ConditionKind
from baylight.errors import TransientError
from baylight.lab.embedded.broker import EmbeddedBroker, MosquittoBroker, find_mosquitto
from baylight.lab.embedded.postgres import EmbeddedPostgres
from baylight.lab.sim.events import APPLICATION, device_info, encode, event_topic, up_payload
from baylight.settings import Settings
from baylight.store import migrate
from baylight.store.pool import Pool, open_pool
from tests.support import factories
from tests.support.eventually import eventually, until
from tests.support.mqtt import Inbox, consumer_of, numbers, running
from tests.support.servers import Database
from tests.support.stage import RED, Stage, stage_on
from tests.support.uplinks import OCCUPIED

Broker = EmbeddedBroker | MosquittoBroker
FAILED_FOR = "SELECT count(DISTINCT space_id) FROM actuations WHERE status = 'failed' AND downlink_error ~ $1"
OTHER = "0b7e9d1c-5a0f-4a5d-9d55-0c5d0f6f2a11"
LOSES_NOTHING = "autosave_interval 1\nautosave_on_changes true\n"
"""Settings of Mosquitto with which it writes each message before it accepts the next."""


@asynccontextmanager
async def program_on(database: Database, broker: Broker, **more: Any) -> AsyncIterator[Program]:
    settings: dict[str, Any] = {
        "database_url": SecretStr(database.dsn),
        "mqtt_host": broker.host,
        "mqtt_port": broker.port,
        "http_port": 0,
    }
    program = Program(Settings(**settings | more))
    stopping = asyncio.Event()
    task = asyncio.create_task(program.run(stopping))
    try:
        await until(lambda: task.done() or (program.started.is_set() and program.consumers["broker"].connected))
        yield program
    finally:
        stopping.set()
        await task


def up(dev_eui: str, application_id: str = APPLICATION, *, f_cnt: int = 0) -> bytes:
    """Return an event with OCCUPIED."""
    info = device_info(dev_eui, application_id=application_id)
    return encode(up_payload(info, 102, OCCUPIED, f_cnt=f_cnt, deduplication_id=str(uuid4())))


def lasts(program: Program, kind: ConditionKind) -> bool:
    return any(condition.kind is kind for condition in program.conditions.open())


async def test_b3_an_event_on_the_topic_of_another_application_rebinds_no_display(stage: Stage) -> None:
    bay = stage.bays[0]
    address = "SELECT application_id FROM display_devices WHERE dev_eui = $1"
    async with stage.program() as program:
        await stage.begin()
        # Both forgeries need the right to write one topic only: the attacker's own, or a device's of another tenant.
        await stage.fake.publish_raw(event_topic(OTHER, bay.display_eui, "up"), up(bay.display_eui, OTHER))
        await stage.fake.publish_raw(event_topic(OTHER, bay.display_eui, "up"), up(bay.display_eui))
        await until(lambda: program.ingest.counts["rejected", "application_mismatch"] == 1)
        await until(lambda: program.ingest.counts["uplink", "display_report"] > 0)
        assert await stage.pool.fetchval(address, bay.display_eui) == stage.fake.application_id
        await stage.park.arrive(bay.code)
        await stage.shows(bay, RED)


async def test_b3_events_of_applications_that_are_not_accepted_are_counted(stage: Stage) -> None:
    bay = stage.bays[0]
    async with stage.program(chirpstack_applications=f"{OTHER}x,{stage.fake.application_id}") as program:
        await stage.begin()
        await stage.fake.publish_raw(event_topic(OTHER, bay.display_eui, "up"), up(bay.display_eui, OTHER))
        await until(lambda: program.ingest.counts["ignored", "other_application"] == 1)


async def test_b4_a_prefix_stands_before_events_and_commands(
    database: Database, pool: Pool, broker: EmbeddedBroker
) -> None:
    bay = await factories.add_bay(pool, "A-01")
    commands = Inbox()
    chirpstack = consumer_of(broker, commands, client_id="chirpstack", topic="garage/application/+/device/+/command/+")
    topic = "garage/application/+/device/+/event/+"
    async with running(chirpstack), program_on(database, broker, mqtt_topic=topic):
        report = up(bay.display_eui)
        await chirpstack.publish(f"garage/{event_topic(APPLICATION, bay.display_eui, 'up')}", report)
        await chirpstack.publish(f"garage/{event_topic(APPLICATION, bay.sensor_eui, 'up')}", up(bay.sensor_eui))
        await eventually(pool, "SELECT current_state FROM spaces", equals="OCCUPIED")
        await until(lambda: bool(commands.done))
        assert bay.display_eui in commands.done[0]
        await chirpstack.stop()


async def test_i10_a_broker_that_forbids_publishing_fails_the_command_and_is_a_condition(
    database: Database, pool: Pool, tmp_path: Path
) -> None:
    """With `max_queued_messages 0` Mosquitto 2.0 also closes the connection: 20 displays must not keep it away.

    In 1 of 12 runs it closes before its PUBACK is read. Then the command fails with `broker_away` first, so there are
    at most 3 closed connections for a topic, and 2 more.
    """
    if find_mosquitto() is None:
        pytest.skip("Mosquitto is not installed: apt-get install mosquitto")
    acl = tmp_path / "acl"
    acl.write_text("topic read #\ntopic write application/+/device/+/event/+\n")
    acl.chmod(0o600)
    broker = MosquittoBroker(tmp_path / "mosquitto", more=f"acl_file {acl}\n")
    await asyncio.to_thread(broker.start)
    bays = [await factories.add_bay(pool, f"A-{n:02}") for n in range(20)]
    try:
        with capture_logs() as lines:
            async with program_on(database, broker) as program:
                sender = consumer_of(broker, Inbox(), client_id="chirpstack", topic="none")
                async with running(sender):
                    for bay in bays:
                        for dev_eui in (bay.display_eui, bay.sensor_eui):
                            await sender.publish(event_topic(APPLICATION, dev_eui, "up"), up(dev_eui))

                    async def all_refused() -> bool:
                        return await pool.fetchval(FAILED_FOR, "not authorized, 0x87") == len(bays)

                    await until(all_refused, deadline_s=60)
                    assert lasts(program, ConditionKind.BROKER_FORBIDS_PUBLISHING)
                    await sender.stop()
        assert [line["event"] for line in lines].count("broker_away") <= 5
    finally:
        broker.stop()


async def test_b9_a_broker_that_loses_our_session_is_a_condition_and_the_first_connection_is_not(
    database: Database, pool: Pool, mosquitto: MosquittoBroker
) -> None:
    stored = "SELECT evidence ~ 'lost the session' FROM conditions WHERE kind = 'broker_session_lost'"
    async with program_on(database, mosquitto) as program:
        assert not lasts(program, ConditionKind.BROKER_SESSION_LOST)
    async with program_on(database, mosquitto) as program:
        assert not lasts(program, ConditionKind.BROKER_SESSION_LOST)
    await asyncio.to_thread(mosquitto.stop)
    mosquitto.forget()
    await asyncio.to_thread(mosquitto.start)
    async with program_on(database, mosquitto):
        await eventually(pool, stored)


async def test_b9_a_lost_session_makes_states_unproven_until_the_next_reports(
    database: Database, pool: Pool, mosquitto: MosquittoBroker
) -> None:
    bays = [await factories.add_bay(pool, code) for code in ("A-01", "A-02")]
    marked = "SELECT array_agg(unproven_reason::text ORDER BY dev_eui) FROM sensor_devices"
    sender = consumer_of(mosquitto, Inbox(), client_id="chirpstack", topic="none")
    async with running(sender), program_on(database, mosquitto) as program:
        for bay in bays:
            await sender.publish(event_topic(APPLICATION, bay.sensor_eui, "up"), up(bay.sensor_eui))
        await eventually(pool, "SELECT count(*) FROM spaces WHERE current_state = 'OCCUPIED'", equals=2)
        await asyncio.to_thread(mosquitto.stop)
        await until(lambda: not program.consumers["broker"].connected)
        mosquitto.forget()
        await asyncio.to_thread(mosquitto.start)
        await eventually(pool, marked, equals=["session_lost", "session_lost"])
        await until(lambda: sender.connected)
        first = bays[0].sensor_eui
        await sender.publish(event_topic(APPLICATION, first, "up"), up(first, f_cnt=1))
        await eventually(pool, "SELECT unproven_reason FROM sensor_devices WHERE dev_eui = $1", first, equals=None)
        assert lasts(program, ConditionKind.BROKER_SESSION_LOST)
        await sender.stop()


KILLS = 3


async def test_b9_mosquitto_that_is_killed_loses_at_most_the_last_message(tmp_path: Path) -> None:
    """Mosquitto 2.0.11 acknowledges a message before its store is written: the last one before a kill can be lost."""
    if find_mosquitto() is None:
        pytest.skip("Mosquitto is not installed: apt-get install mosquitto")
    broker = MosquittoBroker(tmp_path / "mosquitto", more=LOSES_NOTHING)
    await asyncio.to_thread(broker.start)
    chance, inbox, accepted = random.Random(9), Inbox(), set[str]()
    sender = consumer_of(broker, Inbox(), client_id="sender", topic="none")
    receiver = consumer_of(broker, inbox)

    async def send() -> None:
        for number in numbers(100_000):
            try:
                await sender.publish(f"t/{number}", number.encode())
                accepted.add(number)
            except TransientError:
                await until(lambda: sender.connected)

    def lost() -> int:
        return len(accepted - set(inbox.done))

    try:
        async with running(sender), running(receiver):
            sending = asyncio.create_task(send())
            for _ in range(KILLS):
                before = len(accepted)
                await until(lambda before=before: len(accepted) > before + 20)
                if chance.random() < 0.5:
                    inbox.opened.clear()  # messages wait in the broker
                await asyncio.sleep(chance.random())  # the kill comes at a random moment
                await asyncio.to_thread(broker.kill)
                inbox.opened.set()
                await asyncio.to_thread(broker.start)
            await until(lambda: sender.connected and receiver.connected)
            sending.cancel()
            await until(lambda: lost() <= KILLS, lambda: f"lost {lost()} in {KILLS} kills")
            await asyncio.gather(sender.stop(), receiver.stop())
    finally:
        broker.stop()


@pytest.mark.parametrize("away_s", [[8.0], [0.5, 1.0, 0.2, 1.0, 0.5]], ids=["long", "flapping"])
async def test_b10_events_are_stored_within_two_seconds_after_the_database_is_back(
    own_postgres: EmbeddedPostgres, mosquitto: MosquittoBroker, away_s: list[float]
) -> None:
    await migrate.upgrade(own_postgres.dsn())
    pool = await open_pool(own_postgres.dsn(), size=2)
    async with stage_on(Database(own_postgres.dsn()), pool, mosquitto, bays=6) as stage, stage.program():
        await stage.begin()
        for pause_s in away_s:
            await own_postgres.stop()
            for bay in stage.bays:
                bay.sensor.heartbeat()
            await stage.fake.settled()
            await asyncio.sleep(pause_s)  # the subject is a delay
            await own_postgres.start()
        since, begun = time.monotonic(), datetime.now(UTC)
        await until(lambda: _stored_since(pool, begun, len({bay.sensor_eui for bay in stage.bays})))
        took_s = time.monotonic() - since
    pool.terminate()
    assert took_s < 2


async def _stored_since(pool: Pool, at: datetime, devices: int) -> bool:
    try:
        sql = "SELECT count(DISTINCT dev_eui) >= $2 FROM uplinks WHERE received_at >= $1"
        return bool(await pool.fetchval(sql, at, devices))
    except Exception:
        return False
