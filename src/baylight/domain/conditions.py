"""Conditions: what is wrong with a display, a sensor, a gateway or a service. What is done about it stands elsewhere.

One table, KINDS, feeds SQL, the API, the page, doctor, the metrics and the reference page.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType


class Subject(StrEnum):
    """Thing that a condition concerns. Its id: UUID of a device, id of a gateway, or name of a service."""

    DISPLAY = "display"
    SENSOR = "sensor"
    GATEWAY = "gateway"
    SERVICE = "service"


class ConditionKind(StrEnum):
    """Kind of a condition. Its first word is its subject, except for services."""

    DISPLAY_SILENT = "display_silent"
    DISPLAY_WRONG = "display_wrong"
    DISPLAY_MISCONFIGURED = "display_misconfigured"
    DISPLAY_UNDELIVERABLE = "display_undeliverable"
    DISPLAY_COMMANDED_BY_OTHER = "display_commanded_by_other"
    DISPLAY_NOT_CLASS_C = "display_not_class_c"
    DISPLAY_WAITS_FOR_UPLINK = "display_waits_for_uplink"
    DISPLAY_DISABLED = "display_disabled"
    DISPLAY_REFUSED = "display_refused"
    SENSOR_SILENT = "sensor_silent"
    SENSOR_REFUSED = "sensor_refused"
    SENSOR_FRAMES_MISSING = "sensor_frames_missing"
    SENSOR_UNDECODABLE = "sensor_undecodable"
    CODEC_SUSPENDED = "codec_suspended"
    GATEWAY_REFUSES = "gateway_refuses"
    GATEWAY_NO_ACK = "gateway_no_ack"
    GATEWAY_AIRTIME = "gateway_airtime"
    NETWORK_SERVER_AWAY = "network_server_away"
    NETWORK_SERVER_KEY_REFUSED = "network_server_key_refused"
    NETWORK_SERVER_NOT_SET = "network_server_not_set"
    BROKER_AWAY = "broker_away"
    BROKER_FORBIDS_PUBLISHING = "broker_forbids_publishing"
    BROKER_SESSION_LOST = "broker_session_lost"
    BROKER_CLIENT_ID_SHARED = "broker_client_id_shared"
    BROKER_QOS_0 = "broker_qos_0"
    NO_EVENTS = "no_events"
    MESSAGES_REFUSED = "messages_refused"
    DATABASE_AWAY = "database_away"
    BACKLOG = "backlog"
    SANDBOX_AWAY = "sandbox_away"


@dataclass(frozen=True, slots=True)
class Kind:
    """Row of the table of kinds. `remedy`: what a person does about it."""

    subject: Subject
    meaning: str
    remedy: str


_K = ConditionKind
KINDS: MappingProxyType[ConditionKind, Kind] = MappingProxyType(
    {
        _K.DISPLAY_SILENT: Kind(
            Subject.DISPLAY,
            "The display does not answer its commands, or sends no uplink for longer than its type allows.",
            "Check the power and the radio of the display.",
        ),
        _K.DISPLAY_WRONG: Kind(
            Subject.DISPLAY,
            "The display answers, and reports another light than it must show.",
            "Look at the light. Check the codes of its type, and that nothing else commands it.",
        ),
        _K.DISPLAY_MISCONFIGURED: Kind(
            Subject.DISPLAY,
            "Baylight cannot command the display: it has no code for the state, or it is disabled in Baylight.",
            "Add the code with `baylight device codes`, or enable the display.",
        ),
        _K.DISPLAY_UNDELIVERABLE: Kind(
            Subject.DISPLAY,
            "No command reaches the display: the network server refuses it, or no gateway acknowledges it.",
            "Follow the evidence; check the gateway near the display, and that it acknowledges downlinks.",
        ),
        _K.DISPLAY_COMMANDED_BY_OTHER: Kind(
            Subject.DISPLAY,
            "The network server sent a downlink to the display that Baylight did not make.",
            "Find who else commands the light: another installation, or a person in the network server's page.",
        ),
        _K.DISPLAY_NOT_CLASS_C: Kind(
            Subject.DISPLAY,
            "The network server serves the display as class A. A command waits for the display's next uplink.",
            "Enable class C in the device profile; then let the display join, or activate it again.",
        ),
        _K.DISPLAY_WAITS_FOR_UPLINK: Kind(
            Subject.DISPLAY,
            "The network server sends nothing before the display's first uplink since its join or activation.",
            "Wait for its uplink; if none comes, switch the display off and on.",
        ),
        _K.DISPLAY_DISABLED: Kind(
            Subject.DISPLAY,
            "The display is disabled in the network server.",
            "Enable the device in the network server.",
        ),
        _K.DISPLAY_REFUSED: Kind(
            Subject.DISPLAY,
            "The network server refuses the display's joins or uplinks.",
            "Follow the evidence: correct the key, or reset the frame counter or the join nonces of the device.",
        ),
        _K.SENSOR_SILENT: Kind(
            Subject.SENSOR,
            "The sensor reports no occupancy for longer than its type allows.",
            "Check the battery and the radio of the sensor.",
        ),
        _K.SENSOR_REFUSED: Kind(
            Subject.SENSOR,
            "The network server refuses the sensor's uplinks or joins.",
            "Follow the evidence: reset the frame counter of the device in the network server, or correct its key.",
        ),
        _K.SENSOR_FRAMES_MISSING: Kind(
            Subject.SENSOR,
            "Uplinks of the sensor are missing: its frame counter has gaps.",
            "Check the gateways, and the settings that keep uplinks while the network server is away.",
        ),
        _K.SENSOR_UNDECODABLE: Kind(
            Subject.SENSOR,
            "The newest uplinks of the sensor cannot be decoded.",
            "Check the device type of the sensor, and its codec.",
        ),
        _K.CODEC_SUSPENDED: Kind(
            Subject.SENSOR,
            "The JavaScript codec of the sensor is suspended: its uplinks wait to be decoded.",
            "Correct the codec, and activate the new version.",
        ),
        _K.GATEWAY_REFUSES: Kind(
            Subject.GATEWAY,
            "The gateway refuses downlinks.",
            "Follow the reason in the evidence, in the gateway's settings.",
        ),
        _K.GATEWAY_NO_ACK: Kind(
            Subject.GATEWAY,
            "The gateway acknowledges no downlink.",
            "Check that the gateway is online, and that its packet forwarder sends acknowledgements.",
        ),
        _K.GATEWAY_AIRTIME: Kind(
            Subject.GATEWAY,
            "The gateway has nearly used the airtime that its sub-band allows in an hour.",
            "Set a faster RX2 data rate, or add a gateway.",
        ),
        _K.NETWORK_SERVER_AWAY: Kind(
            Subject.SERVICE,
            "The network server does not answer.",
            "Start the network server, or correct its address in the settings.",
        ),
        _K.NETWORK_SERVER_KEY_REFUSED: Kind(
            Subject.SERVICE,
            "The network server refuses the API key.",
            "Make a key of the tenant that owns the devices, not read-only, and set it.",
        ),
        _K.NETWORK_SERVER_NOT_SET: Kind(
            Subject.SERVICE,
            "Displays are reached through a network server that is not set up.",
            "Set the network server in the settings, or move the displays.",
        ),
        _K.BROKER_AWAY: Kind(
            Subject.SERVICE,
            "The MQTT broker does not answer, or refuses the connection.",
            "Start the broker, or correct address and credentials in the settings.",
        ),
        _K.BROKER_FORBIDS_PUBLISHING: Kind(
            Subject.SERVICE,
            "The MQTT broker forbids Baylight to publish commands.",
            "Give Baylight's user the right to write application/+/device/+/command/down.",
        ),
        _K.BROKER_SESSION_LOST: Kind(
            Subject.SERVICE,
            "The MQTT broker lost Baylight's session: events may be missing.",
            "Set the broker's persistence as the how-to says; the marks go with the devices' next uplinks.",
        ),
        _K.BROKER_CLIENT_ID_SHARED: Kind(
            Subject.SERVICE,
            "Another client uses the same MQTT client id.",
            "Give each process its own BAYLIGHT_MQTT_CLIENT_ID.",
        ),
        _K.BROKER_QOS_0: Kind(
            Subject.SERVICE,
            "Events come with QoS 0: a broken connection or a restart loses some.",
            "Set qos=1 in the network server's MQTT integration, and let the broker allow QoS 1.",
        ),
        _K.NO_EVENTS: Kind(
            Subject.SERVICE,
            "No event comes in from the network server.",
            "Check the topic, the rights to read at the broker, and the network server's integration.",
        ),
        _K.MESSAGES_REFUSED: Kind(
            Subject.SERVICE,
            "Messages come in that Baylight refuses.",
            "Follow the evidence; the integration must send JSON for the accepted applications.",
        ),
        _K.DATABASE_AWAY: Kind(
            Subject.SERVICE,
            "The database does not answer, or accepts no changes.",
            "Start PostgreSQL, free its disk, or correct BAYLIGHT_DATABASE_URL.",
        ),
        _K.BACKLOG: Kind(
            Subject.SERVICE,
            "Messages wait longer than 30 s to be stored.",
            "Check the load of the database.",
        ),
        _K.SANDBOX_AWAY: Kind(
            Subject.SERVICE,
            "No worker runs JavaScript codecs.",
            "See the log; install the extra for JavaScript codecs.",
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Cause:
    """Condition of another subject that explains this one: it is shown beneath that one."""

    kind: ConditionKind
    subject_id: str


@dataclass(frozen=True, slots=True)
class Condition:
    """Condition that lasts. `since` does not change while it lasts; `evidence`: the newest facts, in words."""

    kind: ConditionKind
    subject_id: str
    since: datetime
    evidence: str
    cause: Cause | None = None
