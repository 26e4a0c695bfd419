"""Clients of the brokers and network servers that the settings name, and the socket of our own API."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from functools import partial

from pydantic import SecretStr

from baylight.api.deps import Inbound
from baylight.app import tts_connections as tts
from baylight.app.intake import Intake, Parse
from baylight.app.sources import Sources
from baylight.app.tls import not_encrypted, trusting
from baylight.errors import InputError
from baylight.lns.chirpstack import events as chirpstack_events
from baylight.lns.chirpstack.channel import Api
from baylight.lns.chirpstack.devices import ChirpStackDevices
from baylight.lns.chirpstack.downlinks import ChirpStackGrpc, ChirpStackMqtt
from baylight.lns.chirpstack.topics import command_topic
from baylight.lns.mqtt.consumer import MqttConsumer
from baylight.lns.tts import events as tts_events
from baylight.ports import DeviceSource, NetworkServer
from baylight.settings import Settings

STALLED_S = 60
"""Seconds until a caller that reads nothing of its response is disconnected."""


def consumers(
    settings: Settings, intake: Intake, sources: Sources | None = None, *, tts_devices: str = "#"
) -> dict[str, MqttConsumer]:
    """Return the consumers that are set up, by what they connect to.

    `tts_devices`: end of the topic at The Things Stack; all devices by default. Raises InputError as `mqtt_consumer`
    and `tts_connections.consumers` do.
    """
    sources = sources or Sources()
    found = {"broker": mqtt_consumer(settings, intake, sources)} if settings.mqtt_host else {}
    return found | tts.consumers(settings, intake, tts_devices, sources)


def network_servers(settings: Settings, consumers: Mapping[str, MqttConsumer]) -> dict[str, NetworkServer]:
    """Return the network servers that are set up, by `network_server` of a device.

    Downlinks go by the network server's API if it is set, else by MQTT.
    Raises InputError `chirpstack_api_key_missing`, `bad_mqtt_topic`, and InputError as `ChirpStackGrpc` and
    `tts_connections.applications` do.
    """
    servers: dict[str, NetworkServer] = {}
    if settings.chirpstack_api is not None:
        servers["chirpstack"] = ChirpStackGrpc(
            settings.chirpstack_api,
            _chirpstack_key(settings),
            tls=settings.chirpstack_api_tls,
            ca=settings.chirpstack_api_ca,
            timeout_s=settings.chirpstack_api_timeout_s,
        )
    elif broker := consumers.get("broker"):
        servers["chirpstack"] = ChirpStackMqtt(broker.publish, command_topic(settings.mqtt_topic))
    if applications := tts.applications(settings, consumers):
        servers[tts_events.NETWORK_SERVER] = applications
    return servers


def inbound(settings: Settings, intake: Intake, sources: Sources | None = None) -> dict[str, Inbound]:
    """Return the webhooks that are set up, by the last part of their path."""
    sources = sources or Sources()

    def webhook(name: str, secret: SecretStr, parse: Parse) -> Inbound:
        refusals = sources.refusals_of(f"{name}_http")
        return Inbound(secret.get_secret_value(), intake.webhook(parse, refusals), refusals.refused)

    found = {}
    if secret := settings.chirpstack_http_secret:
        parse = partial(chirpstack_events.parse_http, accepted=settings.applications)
        found["chirpstack"] = webhook("chirpstack", secret, parse)
    for name, secret in tts.webhook_secrets(settings).items():
        found[name] = webhook(name, secret, tts_events.parse)
    return found


def _chirpstack_key(settings: Settings) -> str:
    """Return the key of ChirpStack's API. Raises InputError `chirpstack_api_key_missing`."""
    if settings.chirpstack_api_key is None:
        raise InputError("chirpstack_api_key_missing", "set BAYLIGHT_CHIRPSTACK_API_KEY, or unset …_CHIRPSTACK_API")
    return settings.chirpstack_api_key.get_secret_value()


def mqtt_consumer(settings: Settings, intake: Intake, sources: Sources | None = None) -> MqttConsumer:
    """Return the consumer of ChirpStack's broker. Raises InputError `bad_tls_files`, `not_encrypted`."""
    sources = sources or Sources()
    password = settings.mqtt_password
    return MqttConsumer(
        host=settings.mqtt_host,
        port=settings.mqtt_port,
        client_id=settings.mqtt_client_id,
        topic=settings.mqtt_topic,
        read=intake.reader(partial(chirpstack_events.parse, accepted=settings.applications)),
        handle=intake.storing(sources.refusals_of("broker")),
        reject=intake.reject,
        session_expiry_s=settings.mqtt_session_expiry_s,
        share_group=settings.mqtt_share_group,
        user=settings.mqtt_user,
        password=password.get_secret_value() if password else None,
        tls=_tls(settings),
        session=sources.session("broker", settings.mqtt_client_id, "chirpstack"),
        conditions=sources.conditions("broker"),
    )


def _tls(settings: Settings) -> ssl.SSLContext | None:
    """Return the TLS settings of ChirpStack's broker, or None without TLS.

    Raises InputError `bad_tls_files`, `not_encrypted`.
    """
    if not settings.mqtt_tls:
        if settings.mqtt_ca or settings.mqtt_client_cert:
            raise not_encrypted("BAYLIGHT_MQTT_CA or …_CLIENT_CERT", "BAYLIGHT_MQTT_TLS")
        return None
    context = trusting(settings.mqtt_ca, "BAYLIGHT_MQTT_CA")
    if settings.mqtt_client_cert is not None:
        files = f"BAYLIGHT_MQTT_CLIENT_CERT {settings.mqtt_client_cert}"
        if settings.mqtt_client_key is not None:
            files += f", …_CLIENT_KEY {settings.mqtt_client_key}"
        try:
            context.load_cert_chain(settings.mqtt_client_cert, settings.mqtt_client_key)
        except OSError as error:
            raise InputError("bad_tls_files", f"{files}: {error}") from error
    return context


def chirpstack_devices(settings: Settings) -> DeviceSource | None:
    """Return the source of ChirpStack's devices, or None if ChirpStack's API is not set. Raises as `Api` does."""
    if not settings.chirpstack_api or settings.chirpstack_api_key is None:
        return None
    key, tls, ca = _chirpstack_key(settings), settings.chirpstack_api_tls, settings.chirpstack_api_ca
    return ChirpStackDevices(Api(settings.chirpstack_api, key, tls, ca))


def listen(settings: Settings) -> socket.socket:
    """Open the socket of the HTTP API. Raises InputError `http_port_taken`."""
    try:
        family = socket.AF_INET6 if ":" in settings.http_host else socket.AF_INET
        listener = socket.create_server((settings.http_host, settings.http_port), family=family, backlog=128)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; its connections inherit it
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STALLED_S * 1000)
        return listener
    except OSError as error:
        why = (error.strerror or "").partition(" (while")[0]  # the rest repeats the address
        raise InputError(
            "http_port_taken",
            f"cannot listen on {settings.http_host}:{settings.http_port} ({why}): "
            "set BAYLIGHT_HTTP_PORT or BAYLIGHT_HTTP_HOST",
        ) from error
