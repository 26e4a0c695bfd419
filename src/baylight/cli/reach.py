"""Check of the settings: their names are known, and the servers that they name answer."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from baylight.insight.doctor import Finding
    from baylight.lns.mqtt.consumer import MqttConsumer
    from baylight.settings import Settings
    from baylight.store.pool import Connection

PATIENCE_S = 5.0
EVERY_S = 0.05


async def reach(settings: Settings, connection: Connection) -> list[Finding]:
    """Connect to the servers of the settings. This does not disturb a running `serve`.

    The client id is another one, and the topics have no publisher.
    """
    from baylight.app import connections
    from baylight.app.intake import Intake
    from baylight.errors import InputError
    from baylight.insight import doctor, services
    from baylight.lns.chirpstack.downlinks import ChirpStackGrpc
    from baylight.log import configure

    configure(level="error")  # each fault is reported once, as a finding
    findings = [_known(), await _walls()]
    beside = {
        "mqtt_client_id": f"{settings.mqtt_client_id}-doctor",
        "mqtt_topic": "baylight/doctor",
        "mqtt_share_group": None,
        "mqtt_session_expiry_s": 0,
    }
    intake = Intake(_store_nothing, lambda: None)
    consumers = connections.consumers(settings.model_copy(update=beside), intake, tts_devices="baylight-doctor/up")
    pings: dict[str, Callable[[], Awaitable[None]]] = {
        name.replace("_", " "): partial(_ping_broker, consumer) for name, consumer in consumers.items()
    }
    if settings.mqtt_host and settings.chirpstack_api is None:
        pings["broker"] = partial(_ping_broker, consumers["broker"], settings.mqtt_topic)
    try:
        servers = connections.network_servers(settings, consumers)
    except InputError as error:
        wrong = doctor.Finding(
            "network server", False, error.message, "correct the setting: `baylight serve` ends at it"
        )
        return [*findings, wrong, *await doctor.reach(pings)]
    findings.append(await doctor.check_servers(connection, servers))
    chirpstack = servers.get("chirpstack")
    if not isinstance(chirpstack, ChirpStackGrpc):
        return findings + await doctor.reach(pings)
    chirpstack.reported.update(await services.list_reported_displays(connection, "chirpstack"))
    pings["network server"] = chirpstack.ping
    try:
        return findings + await doctor.reach(pings)
    finally:
        await chirpstack.close()


async def _store_nothing(_: object) -> None: ...


def _known() -> Finding:
    from baylight.insight.doctor import Finding
    from baylight.settings import misspelt

    wrong = misspelt(os.environ)
    if not wrong:
        return Finding("settings", True, "each is known")
    unknown = "; ".join(f"{name} is not known: is {meant} meant?" for name, meant in wrong.items())
    return Finding("settings", False, unknown, "set the right name, for this one has no effect")


async def _walls() -> Finding:
    """Start a worker for JavaScript codecs, and name the walls around it. Only seccomp stops all acts."""
    from baylight.errors import TransientError
    from baylight.insight.doctor import Finding
    from baylight.sandbox.pool import Sandbox
    from baylight.sandbox.walls import SECCOMP

    sandbox = Sandbox(workers=1)
    try:
        built = await sandbox.walls()
    except TransientError as error:
        return Finding("sandbox", False, error.message, "see the log of `baylight serve`")
    finally:
        await sandbox.close()
    missing = "; ".join(f"no {name}: {why}" for name, why in built.items() if why)
    held = ", ".join(name for name, why in built.items() if not why) or "none"
    detail = f"walls that hold: {held}" + (f" ({missing})" if missing else "")
    if not built[SECCOMP]:
        return Finding("sandbox", True, detail)
    return Finding("sandbox", False, detail, "run Baylight where the kernel and the container allow seccomp filters")


async def _ping_broker(consumer: MqttConsumer, events: str | None = None) -> None:
    """Connect to a broker. `events`: topic of events; check that commands that go with it would be read.

    The command has no valid content and names no device, so ChirpStack logs an error and does nothing.
    """
    from baylight.errors import TransientError
    from baylight.lns.chirpstack.topics import command_topic

    running = asyncio.create_task(consumer.run())
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not consumer.connected:
                await asyncio.wait([running], timeout=EVERY_S)
        topic = command_topic(events).of("00000000-0000-0000-0000-000000000000", "0" * 16) if events else None
        if topic is not None and not await consumer.publish(topic, b"{}"):
            raise TransientError(
                "chirpstack_not_subscribed",
                f"no client has subscribed to {topic}: start ChirpStack, or let BAYLIGHT_MQTT_TOPIC have the prefix of "
                "ChirpStack's event_topic and command_topic",
            )
    except TimeoutError:
        raise TransientError("broker_away", f"the MQTT broker does not let us in: {consumer.outage}") from None
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
