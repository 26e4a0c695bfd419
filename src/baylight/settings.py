"""Settings from the environment (`BAYLIGHT_…`). `baylight settings` prints them with their descriptions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from baylight.errors import InputError

_LEVEL = re.compile(r'[!"$-*,\-.0-~]{1,100}')
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_NAME = re.compile("[a-z0-9]+(_[a-z0-9]+)*")
_DATABASE_URL = re.compile(
    r"postgres(ql)?://([^/?#\[\]\s]*@)?[^/?#@\s]*(/[^/?#@\s]*)?(\?[a-z_]+=[^?#&@\s]*(&[a-z_]+=[^?#&@\s]*)*)?"
)
BAD_DATABASE_URL = (
    "BAYLIGHT_DATABASE_URL: not postgresql://user:secret@host:port/name, or a parameter after ? is wrong. "
    "In a password, write / as %2F, # as %23, ? as %3F, @ as %40, [ as %5B, ] as %5D and % as %25"
)
"""Text without any part of the address: a character that is not encoded makes the password look like a host or port."""
MAX_NAME = 30
"""Characters of the name of a connection, which becomes part of a client id."""
MAX_TOPIC = 500


def _level(value: str | None) -> str | None:
    """Accept what a topic or a client id can carry."""
    if value and not _LEVEL.fullmatch(value):
        raise ValueError("1 to 100 visible ASCII characters are needed, without #, + and /")
    return value


def _no_user(value: str | None) -> str | None:
    """Accept the address of a server. It is shown in errors, logs and conditions, so it must hold no password."""
    if value and "@" in value:
        raise ValueError("an address without user and password is needed: these have settings of their own")
    return value


class TtsConnection(BaseModel):
    """Connection to one application of The Things Stack. Each field is described at `Settings.tts_<field>`."""

    model_config = ConfigDict(extra="forbid")

    mqtt_host: str | None = None
    mqtt_port: int = Field(8883, ge=1, le=65535)
    mqtt_user: str = ""
    mqtt_key: SecretStr | None = None
    mqtt_tls: bool = True
    mqtt_ca: Path | None = None
    api: str | None = None
    api_key: SecretStr | None = None
    api_application: str = ""
    api_webhook: str = ""
    webhook_secret: SecretStr | None = Field(None, min_length=16)

    @field_validator("*", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: object, info: ValidationInfo) -> object:
        """Read an empty value as unset. See `Settings`."""
        assert info.field_name is not None
        return None if value == "" and cls.model_fields[info.field_name].default is None else value

    @field_validator("mqtt_host", "api")
    @classmethod
    def _has_no_user(cls, value: str | None) -> str | None:
        return _no_user(value)

    @field_validator("mqtt_user", "api_application", "api_webhook")
    @classmethod
    def _is_level(cls, value: str) -> str | None:
        return _level(value)

    @property
    def application(self) -> str:
        """Id of the application, without its tenant; "" if it is not named."""
        return (self.api_application if self.api else "") or self.mqtt_user.partition("@")[0]


class Settings(BaseSettings):
    """Settings of `baylight serve`. Each field's description is its documentation."""

    model_config = SettingsConfigDict(env_prefix="BAYLIGHT_", env_nested_delimiter="__", extra="ignore")

    @field_validator("*", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: object, info: ValidationInfo) -> object:
        """Read `BAYLIGHT_…=` as unset, because many turn a setting off like that in a file of settings."""
        assert info.field_name is not None
        return None if value == "" and cls.model_fields[info.field_name].default is None else value

    @field_validator("mqtt_host", "chirpstack_api", "tts_mqtt_host", "tts_api")
    @classmethod
    def _has_no_user(cls, value: str | None) -> str | None:
        return _no_user(value)

    @field_validator("mqtt_client_id", "mqtt_share_group", "tts_mqtt_user", "tts_api_application", "tts_api_webhook")
    @classmethod
    def _is_level(cls, value: str | None) -> str | None:
        return _level(value)

    @field_validator("tts")
    @classmethod
    def _are_names(cls, value: dict[str, TtsConnection]) -> dict[str, TtsConnection]:
        for name in value:
            if len(name) > MAX_NAME or not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no name: up to {MAX_NAME} lower-case letters and digits, with single _")
        return value

    @field_validator("mqtt_client_id")
    @classmethod
    def _is_named(cls, value: str) -> str:
        if not value:
            raise ValueError("a client id is needed: the broker keeps the session under it")
        return value

    @field_validator("mqtt_topic")
    @classmethod
    def _is_filter(cls, value: str) -> str:
        """Accept a filter that every broker accepts, and that names no shared subscription."""
        if value.startswith("$share/"):
            raise ValueError("set BAYLIGHT_MQTT_SHARE_GROUP instead of $share/…")
        levels = value.split("/")
        wild = any(("#" in level and level != "#") or ("+" in level and level != "+") for level in levels)
        if not value or len(value) > MAX_TOPIC or _CONTROL.search(value) or wild or "#" in levels[:-1]:
            raise ValueError(
                f"no topic filter of 1 to {MAX_TOPIC} characters; + stands for a whole level, # for the end"
            )
        return value

    @field_validator("chirpstack_applications")
    @classmethod
    def _are_levels(cls, value: str) -> str:
        names = [name.strip() for name in value.split(",") if name.strip()]
        if not all(_LEVEL.fullmatch(name) for name in names):
            raise ValueError("give application ids separated by commas")
        return ",".join(names)

    database_url: SecretStr | None = Field(
        None, description="PostgreSQL 15 to 18, e.g. postgresql://baylight:…@db.example/baylight"
    )
    database_pool_size: int = Field(
        10,
        ge=2,
        le=100,
        description="maximum number of connections for the work of one process; the API has as many more",
    )

    mqtt_host: str = Field("127.0.0.1", description="MQTT 5 broker that ChirpStack publishes to; empty: no broker")
    mqtt_port: int = Field(1883, ge=1, le=65535, description="its port (8883 with TLS)")
    mqtt_user: str | None = Field(None, description="user name at the broker")
    mqtt_password: SecretStr | None = Field(None, description="password at the broker")
    mqtt_tls: bool = Field(False, description="connect with TLS")
    mqtt_ca: Path | None = Field(None, description="CA certificates (PEM) to trust instead of the system's")
    mqtt_client_cert: Path | None = Field(None, description="client certificate (PEM)")
    mqtt_client_key: Path | None = Field(None, description="its private key (PEM)")
    mqtt_client_id: str = Field(
        "baylight", description="client id, another for each process; its session at the broker outlives a restart"
    )
    mqtt_session_expiry_s: int = Field(
        7 * 86400, ge=60, le=2**32 - 1, description="seconds that the broker keeps messages for an absent process"
    )
    mqtt_share_group: str | None = Field(
        None, description="name of the MQTT 5 shared subscription; set it (the same for all) to run several processes"
    )
    mqtt_topic: str = Field(
        "application/+/device/+/event/+",
        description="ChirpStack's event topics; a prefix in it also stands before the topics of commands",
    )
    chirpstack_applications: str = Field(
        "", description="ids of the ChirpStack applications whose events are accepted, separated by commas; empty: all"
    )

    chirpstack_api: str | None = Field(
        None, description="host:port of ChirpStack's gRPC API; unset: downlinks go by MQTT command/down"
    )
    chirpstack_api_key: SecretStr | None = Field(
        None,
        description="API key made in ChirpStack's web interface: of the devices' tenant, not read-only",
    )
    chirpstack_api_tls: bool = Field(False, description="use TLS for the gRPC API")
    chirpstack_api_ca: Path | None = Field(None, description="CA certificates (PEM) to trust instead of the system's")
    uplinks_kept: bool = Field(
        False,
        description="gateways and ChirpStack's connection to them keep uplinks while ChirpStack is away (QoS 1, a "
        "session at the broker); false: after an absence the states of spaces are unproven until the next report",
    )
    chirpstack_api_timeout_s: float = Field(
        5.0,
        ge=0.1,
        le=15,
        description="seconds to wait for its answer; after that the queue shows whether the downlink arrived",
    )

    tts_mqtt_host: str | None = Field(
        None, description="The Things Stack's MQTT server, e.g. eu1.cloud.thethings.network; unset: no connection to it"
    )
    tts_mqtt_port: int = Field(8883, ge=1, le=65535, description="its port (1883 without TLS)")
    tts_mqtt_user: str = Field(
        "", description="the application there, e.g. garage@ttn: Baylight reads its uplinks and sends its downlinks"
    )
    tts_mqtt_key: SecretStr | None = Field(
        None, description="API key of that application, with the rights to read its traffic and to write downlinks"
    )
    tts_mqtt_tls: bool = Field(True, description="connect with TLS")
    tts_mqtt_ca: Path | None = Field(None, description="CA certificates (PEM) to trust instead of the system's")

    tts_api: str | None = Field(
        None,
        description="The Things Stack's HTTP API, e.g. https://eu1.cloud.thethings.network: downlinks go by it, and "
        "a refusal is reported at once; unset: downlinks go by MQTT",
    )
    tts_api_key: SecretStr | None = Field(
        None, description="API key of the application there, with the right to write downlink application traffic"
    )
    tts_api_application: str = Field("", description="id of that application, e.g. garage")
    tts_api_webhook: str = Field("", description="id of its webhook that sends the uplinks to Baylight")

    chirpstack_http_secret: SecretStr | None = Field(
        None,
        min_length=16,
        description="secret that ChirpStack's HTTP integration sends to /inbound/chirpstack in the header "
        "X-Baylight-Secret; set: its events are accepted. An event that also comes by MQTT counts once",
    )
    tts_webhook_secret: SecretStr | None = Field(
        None,
        min_length=16,
        description="secret that The Things Stack's webhook (JSON) sends to /inbound/tts in the header "
        "X-Baylight-Secret; set: its messages are accepted, those included that its MQTT loses while no client is "
        "connected",
    )
    tts: dict[str, TtsConnection] = Field(
        {},
        description="further applications of The Things Stack, each with a NAME of your choice: "
        "BAYLIGHT_TTS__NAME__MQTT_HOST and so on, as for BAYLIGHT_TTS_MQTT_HOST and all other BAYLIGHT_TTS_…",
    )

    http_host: str = Field("127.0.0.1", description="address that the API and the live page listen on")
    http_port: int = Field(8080, ge=0, le=65535, description="their port; 0: a free one")

    reserved_soon_s: int = Field(
        900, ge=0, le=31 * 86400, description="seconds before its start from which a reservation is shown"
    )
    reserved_hides_occupied: bool = Field(
        False, description="show RESERVED even while the sensor reports OCCUPIED during a reservation"
    )
    downlink_ttl_s: int = Field(
        60, ge=5, le=86400, description="longest time in seconds that a downlink stays in the network server's queue"
    )
    report_timeout_s: int = Field(
        30,
        ge=5,
        le=86400,
        description="longest time in seconds that a display has to report what it shows, if it was asked to",
    )
    uplink_retention_months: int = Field(
        25, ge=1, le=1200, description="months of uplinks kept; older partitions are dropped"
    )
    actuation_retention_months: int = Field(37, ge=1, le=1200, description="months of actuations kept")

    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="lowest level that is written")
    log_readable: bool = Field(False, description="lines for people instead of JSON")

    @property
    def applications(self) -> frozenset[str]:
        """Ids of the ChirpStack applications whose events are accepted. Empty: all."""
        return frozenset(filter(None, self.chirpstack_applications.split(",")))

    def tts_connections(self) -> dict[str, TtsConnection]:
        """Return the connections to The Things Stack by name: those that are named, after the one without a name ("").

        A connection may have no host, API or secret, and then is not used.
        """
        unnamed = {name: getattr(self, f"tts_{name}") for name in TtsConnection.model_fields}
        return {"": TtsConnection.model_construct(**unnamed), **self.tts}

    def dsn(self) -> str:
        """Return the URL of the database. Raises InputError `no_database`, `bad_database`."""
        if self.database_url is None:
            raise InputError(
                "no_database",
                "set BAYLIGHT_DATABASE_URL, e.g. postgresql://baylight@127.0.0.1/baylight"
                " (without one: `baylight demo`)",
            )
        url = self.database_url.get_secret_value()
        if not _DATABASE_URL.fullmatch(url):
            raise InputError("bad_database", BAD_DATABASE_URL)
        return url


def misspelt(names: Iterable[str]) -> dict[str, str]:
    """Return variables that are no setting but look like one, with that setting.

    Others may belong to other programs.
    """
    known = [field.upper() for field in Settings.model_fields]
    found = {}
    for name in sorted(names):
        prefix, ours, rest = name.upper().partition("BAYLIGHT_")
        if prefix or not ours or rest in known or rest.startswith(("TEST_", "TTS__")):
            continue  # a wrong name below TTS__ is an error
        if like := get_close_matches(rest, known, n=1, cutoff=0.8):
            found[name] = f"BAYLIGHT_{like[0]}"
    return found
