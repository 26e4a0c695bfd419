"""Connections to applications of The Things Stack: any number, each with a name of its own in settings and conditions.

The connection without a name is called `the_things_stack` as a broker, and `tts` as network server and webhook. The one
with the name `annex` is called `the_things_stack_annex` and `tts_annex`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from pydantic import SecretStr

from baylight.app.intake import Intake
from baylight.app.sources import Sources
from baylight.app.tls import not_encrypted, trusting
from baylight.errors import InputError
from baylight.lns.mqtt.consumer import MqttConsumer
from baylight.lns.tts import events
from baylight.lns.tts.api import tts_api
from baylight.lns.tts.applications import TtsApplications
from baylight.lns.tts.downlinks import TtsDownlinks
from baylight.settings import Settings, TtsConnection


def consumers(settings: Settings, intake: Intake, devices: str, sources: Sources) -> dict[str, MqttConsumer]:
    """Return the consumers of The Things Stack's brokers. `devices`: end of the topic.

    Raises InputError `tts_settings_missing`, `bad_tls_files`, `not_encrypted`.
    """
    return {
        _broker(name): _consumer(settings, name, connection, intake, devices, sources)
        for name, connection in settings.tts_connections().items()
        if connection.mqtt_host is not None
    }


def applications(settings: Settings, consumers: Mapping[str, MqttConsumer]) -> TtsApplications | None:
    """Return the applications that accept downlinks, None if there is none.

    Raises InputError `tts_settings_missing`, `bad_tts_api`, `tts_application_twice`.
    """
    found = {}
    for name, connection in settings.tts_connections().items():
        if api := tts_api(connection, _prefix(name)):
            found[_network_server(name)] = TtsDownlinks(api.publish, api.application)
        elif consumer := consumers.get(_broker(name)):
            # Its MQTT server has only QoS 0.
            found[_network_server(name)] = TtsDownlinks(partial(consumer.publish, qos=0), connection.mqtt_user)
    return TtsApplications(found) if found else None


def webhook_secrets(settings: Settings) -> dict[str, SecretStr]:
    """Return the secret of each webhook, by the last part of its path."""
    return {
        _network_server(name): connection.webhook_secret
        for name, connection in settings.tts_connections().items()
        if connection.webhook_secret is not None
    }


def only_application(settings: Settings) -> str:
    """Return the id of the application if the settings name exactly one, else ""."""
    named = {connection.application for connection in settings.tts_connections().values()} - {""}
    return named.pop() if len(named) == 1 else ""


def _consumer(
    settings: Settings, name: str, connection: TtsConnection, intake: Intake, devices: str, sources: Sources
) -> MqttConsumer:
    prefix, broker = _prefix(name), _broker(name)
    if connection.mqtt_host is None or not connection.mqtt_user or connection.mqtt_key is None:
        raise InputError(
            "tts_settings_missing", f"set {prefix}MQTT_USER and {prefix}MQTT_KEY, or unset {prefix}MQTT_HOST"
        )
    if connection.mqtt_ca is not None and not connection.mqtt_tls:
        raise not_encrypted(f"{prefix}MQTT_CA", f"{prefix}MQTT_TLS")
    tls = trusting(connection.mqtt_ca, f"{prefix}MQTT_CA") if connection.mqtt_tls else None
    return MqttConsumer(
        host=connection.mqtt_host,
        port=connection.mqtt_port,
        client_id=f"{settings.mqtt_client_id}-tts{f'-{name}' if name else ''}",
        topic=f"v3/{connection.mqtt_user}/devices/{devices}",
        read=intake.reader(events.parse),
        handle=intake.storing(sources.refusals_of(broker)),
        reject=intake.reject,
        session_expiry_s=settings.mqtt_session_expiry_s,
        user=connection.mqtt_user,
        password=connection.mqtt_key.get_secret_value(),
        tls=tls,
        version=4,  # no session: this server keeps none
        conditions=sources.conditions(broker),
    )


def _prefix(name: str) -> str:
    return f"BAYLIGHT_TTS__{name.upper()}__" if name else "BAYLIGHT_TTS_"


def _broker(name: str) -> str:
    return f"the_things_stack_{name}" if name else "the_things_stack"


def _network_server(name: str) -> str:
    return f"{events.NETWORK_SERVER}_{name}" if name else events.NETWORK_SERVER
