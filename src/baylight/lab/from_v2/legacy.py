"""Simulated application of V2. It works on V2's tables under V2's role, and measures each of its statements.

It receives the sensors' uplinks, stores readings, decides, sends the lights' downlinks, takes and ends reservations,
and serves pages.
"""

from __future__ import annotations

import asyncio
import random
import time
from base64 import b64decode, b64encode
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import asyncpg
import gmqtt
import msgspec
from gmqtt.mqtt.constants import MQTTv50

from baylight.codecs.all import sensor_codec
from baylight.domain.state import Occupancy
from baylight.errors import DeviceDataError

ROLE = "parking"
SCHEMA = (resources.files("baylight.lab.from_v2") / "v2.sql").read_text(encoding="utf-8")
CODES = {"FREE": "0000ff6400", "OCCUPIED": "ff00006400", "RESERVED": "ff00ff6400", "MAINTENANCE": "ffa5006400"}
"""Codes of V2. The one of MAINTENANCE is V2's mistake: it shows pink."""
_PAGES_EVERY_S = 0.1
_TIMER_EVERY_S = 0.2
_BOOKING_EVERY_S = 0.5
_BOOKED_S = 4.0
_CONNECT_S = 15.0


@dataclass(slots=True)
class Figures:
    """Figures of V2's statements in one phase. `longest_s`: the longest wait of V2 for one of them."""

    statements: int = 0
    longest_s: float = 0.0
    errors: list[str] = field(default_factory=list)


class _Session:
    """Connection of V2 that measures what runs on it. `measure` returns the figures of the present phase."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record], measure: Callable[[], Figures]) -> None:
        self._connection, self._measure = connection, measure

    async def run(self, sql: str, *arguments: object) -> list[asyncpg.Record]:
        """Run one statement. Raises what asyncpg raises, after it is counted."""
        figures, began = self._measure(), time.perf_counter()
        try:
            return await self._connection.fetch(sql, *arguments)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            figures.errors.append(f"{type(error).__name__}: {error}: {sql}")
            raise
        finally:
            figures.statements += 1
            figures.longest_s = max(figures.longest_s, time.perf_counter() - began)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        await self.run("BEGIN")
        try:
            yield
        except BaseException:
            await self._connection.execute("ROLLBACK")
            raise
        await self.run("COMMIT")

    async def close(self) -> None:
        await self._connection.close(timeout=5)


class LegacyApplication:
    """Application of V2.

    `sensors`: codec of each sensor by its DevEUI. `figures`: those of each phase, of which `phase` is the present one.
    `booked`: until when (monotonic) a reservation lasts, by the code of its space. `deciding`: V2 decides and sends.
    `booking`: its pages take reservations.
    """

    def __init__(self, dsn: str, sensors: Mapping[str, str], application_id: str, *, seed: int = 1) -> None:
        self._dsn, self._sensors, self._application_id = dsn, sensors, application_id
        self._chance = random.Random(seed)
        self.phase = "before"
        self.figures: defaultdict[str, Figures] = defaultdict(Figures)
        self.booked: dict[str, float] = {}
        self.deciding = False
        self.booking = False
        self._occupied: dict[str, bool] = {}
        self._uplinks: asyncio.Queue[tuple[str, bool]] = asyncio.Queue()
        self._one_decides = asyncio.Lock()
        self._broker = gmqtt.Client(f"v2-{random.getrandbits(48):012x}")
        self._broker.set_config({"reconnect_delay": 1, "reconnect_retries": -1})
        self._broker.on_message = self._received
        self._decider: _Session
        self._pages: _Session
        self._desk: _Session

    @asynccontextmanager
    async def at_work(self, host: str, port: int) -> AsyncIterator[None]:
        """Receive, read and book while the body runs. It decides from begin_deciding() on."""
        sessions = self._decider, self._pages, self._desk = [await self._session() for _ in range(3)]
        subscribed = asyncio.Event()
        self._broker.on_connect = lambda *_: self._broker.subscribe("application/+/device/+/event/up", qos=1)
        self._broker.on_subscribe = lambda *_: subscribed.set()
        async with asyncio.timeout(_CONNECT_S):
            await self._broker.connect(host, port, keepalive=30, version=MQTTv50)
            await subscribed.wait()
        parts = (
            (self._handle_uplink, 0.0),
            (self._end_reservations, _TIMER_EVERY_S),
            (self._book, _BOOKING_EVERY_S),
            (self._show_pages, _PAGES_EVERY_S),
        )
        tasks = [asyncio.create_task(self._again(part, pause_s)) for part, pause_s in parts]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._broker.disconnect()
            for session in sessions:
                await session.close()

    async def begin_deciding(self) -> None:
        """Decide each space once by its sensor's last uplink, send each light, and go on at each uplink."""
        self.deciding = True
        for space in await self._decider_run("SELECT id FROM spaces WHERE deleted_at IS NULL ORDER BY code"):
            await self._decide(space["id"], "start", always_send=True)

    async def end_deciding(self) -> None:
        """Stop the parts that decide and send. What is under way is finished before."""
        async with self._one_decides:
            self.deciding = False

    async def _session(self) -> _Session:
        connection = await asyncpg.connect(self._dsn, user=ROLE)
        return _Session(connection, lambda: self.figures[self.phase])

    # Uplinks ---------------------------------------------------------------------------------------------------------

    def _received(self, _client: object, _topic: str, payload: bytes, *_: object) -> int:
        event: dict[str, Any] = msgspec.json.decode(payload)
        dev_eui = event["deviceInfo"]["devEui"]
        codec = sensor_codec(self._sensors.get(dev_eui, ""))
        if codec is not None:
            try:
                reading = codec.decode(event.get("fPort"), b64decode(event.get("data", "")))
            except DeviceDataError:
                return 0
            if reading.occupancy is not None:
                self._occupied[dev_eui] = reading.occupancy is Occupancy.OCCUPIED
                self._uplinks.put_nowait((dev_eui, self._occupied[dev_eui]))
        return 0

    async def _handle_uplink(self) -> None:
        dev_eui, occupied = await self._uplinks.get()
        if not self.deciding:
            return
        spaces = await self._decider_run("SELECT * FROM spaces WHERE sensor_eui = $1 AND deleted_at IS NULL", dev_eui)
        for space in spaces:
            await self._decider_run(
                "INSERT INTO sensor_readings (device_eui, space_id, occupancy_state, battery, rssi, snr)"
                " VALUES ($1, $2, $3, 3.6, -81, 9)",
                dev_eui, space["id"], "OCCUPIED" if occupied else "FREE",
            )  # fmt: skip
            await self._decide(space["id"], "uplink")

    async def _decider_run(self, sql: str, *arguments: object) -> list[asyncpg.Record]:
        async with self._one_decides:
            return await self._decider.run(sql, *arguments)

    async def _decide(self, space_id: object, source: str, *, always_send: bool = False) -> None:
        """Decide one space: closed by hand, then a car, then a reservation. Send its light if the state changes."""
        async with self._one_decides:
            if not self.deciding:
                return
            async with self._decider.transaction():
                [space] = await self._decider.run("SELECT * FROM spaces WHERE id = $1 FOR UPDATE", space_id)
                reserved = await self._decider.run(
                    "SELECT id FROM reservations WHERE space_id = $1 AND status = 'active'"
                    " AND now() BETWEEN start_time AND end_time",
                    space_id,
                )
                state = "RESERVED" if reserved else "FREE"
                if self._occupied.get(space["sensor_eui"] or ""):
                    state = "OCCUPIED"
                if space["state"] == "MAINTENANCE":
                    state = "MAINTENANCE"
                if state != space["state"]:
                    await self._decider.run("UPDATE spaces SET state = $2 WHERE id = $1", space_id, state)
                    await self._decider.run(
                        "INSERT INTO state_changes (space_id, previous_state, new_state, source)"
                        " VALUES ($1, $2, $3, $4)",
                        space_id, space["state"], state, source,
                    )  # fmt: skip
            if space["display_eui"] and (always_send or state != space["state"]):
                self._send(space["display_eui"], state)

    def _send(self, dev_eui: str, state: str) -> None:
        data = b64encode(bytes.fromhex(CODES[state])).decode()
        command = {"devEui": dev_eui, "confirmed": False, "fPort": 15, "data": data}
        topic = f"application/{self._application_id}/device/{dev_eui}/command/down"
        self._broker.publish(topic, msgspec.json.encode(command), qos=1)

    # Timer and pages -------------------------------------------------------------------------------------------------

    async def _end_reservations(self) -> None:
        if self.deciding:
            ended = await self._decider_run(
                "UPDATE reservations SET status = 'completed' WHERE status = 'active' AND end_time <= now()"
                " RETURNING space_id"
            )
            for reservation in ended:
                await self._decide(reservation["space_id"], "reservation_end")

    async def _book(self) -> None:
        """Reserve one space, from now on for some seconds."""
        if not self.booking:
            return
        free = await self._desk.run(
            "SELECT id, code FROM spaces AS s WHERE state = 'FREE' AND deleted_at IS NULL AND sensor_eui IS NOT NULL"
            " AND NOT EXISTS (SELECT FROM reservations AS r WHERE r.space_id = s.id AND r.status = 'active')"
            " ORDER BY code"
        )
        if free:
            space = self._chance.choice(free)
            self.booked[space["code"]] = time.monotonic() + _BOOKED_S
            await self._desk.run(
                "INSERT INTO reservations (space_id, start_time, end_time, user_email)"
                " VALUES ($1, now(), now() + make_interval(secs => $2), 'driver@example.org')",
                space["id"], _BOOKED_S,
            )  # fmt: skip
            await self._decide(space["id"], "reservation")

    async def _show_pages(self) -> None:
        [key] = await self._pages.run("SELECT id FROM api_keys ORDER BY created_at LIMIT 1")
        await self._pages.run("UPDATE api_keys SET last_used_at = now() WHERE id = $1", key["id"])
        await self._pages.run("SELECT * FROM spaces WHERE deleted_at IS NULL ORDER BY code")
        await self._pages.run("SELECT * FROM reservations WHERE status = 'active' ORDER BY start_time")
        await self._pages.run('SELECT * FROM state_changes ORDER BY "timestamp" DESC LIMIT 20')

    async def _again(self, part: Callable[[], Awaitable[None]], pause_s: float) -> None:
        """Run a part of V2 again and again. An error is counted, and ends nothing."""
        while True:
            try:
                await part()
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                await asyncio.sleep(pause_s)  # _Session has counted it
            except Exception as error:
                self.figures[self.phase].errors.append(f"{part.__name__}: {error!r}")
                await asyncio.sleep(pause_s)
            await asyncio.sleep(pause_s)
