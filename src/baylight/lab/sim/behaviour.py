"""Behaviour of ChirpStack that is reproduced, faults on top of it, and the speed of time."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Behaviours of ChirpStack v4, each of which can be switched off, and its durations in seconds.

    Numbers in brackets are those of the conformance suite. Durations are divided by `speed`, except `reorder_s`. A
    command's expiry is compared with the real clock.
    """

    unordered_events: bool = True
    """(1) A task of its own publishes each event: up to `reorder_s` late, in any order (integration tasks are spawned,
    not queued)."""
    duplicates: float = 0.0
    """(1) Share of events published twice, with the same deduplication id."""
    loss: float = 0.0
    """(1) Share of events never published (QoS 0, a restart of ChirpStack)."""
    emit_fields: bool = True
    """(2) JSON has every field, false, 0, "" and null included (pbjson's emit_fields, for the integration messages
    only). Off: defaults are left out, as in its documents."""
    server_made_grpc_ids: bool = True
    """(3) gRPC Enqueue ignores the client's id (api/device.rs). MQTT's id is kept. A duplicate of a queued id breaks
    the primary key; it is dropped with a line in the server's log."""
    one_downlink_at_a_time: bool = True
    """(4) FIFO per device, one try per lock; an item that waits for the device's ack blocks those behind it
    ([network.scheduler]: class_c_lock_duration)."""
    txack_after_gateway_ok: bool = True
    """(5) A txack is published after the gateway accepted the frame. Off: also if it never did."""
    silent_gateway_resends: bool = True
    """(6) Without an answer of the gateway an item is tried for ever, without an event (chirpstack issues 324, 605).
    Off: it is dropped after the first try."""
    gateway_nack_without_id: bool = True
    """(7) A gateway's refusal gives the log DOWNLINK_GATEWAY with empty context; the item stays."""
    expiry_and_size_logs: bool = True
    """(8) The logs EXPIRED and DOWNLINK_PAYLOAD_SIZE carry the queue_item_id, and the item is gone. ChirpStack checks
    both only when it is about to send the item. Off: the item is gone without a log."""
    ack_timeout_nack: bool = True
    """(9) Without an ack of the device within `class_c_timeout_s` there is an event ack with acknowledged false and
    deduplicationId "". The item is never transmitted again."""
    flush_on_join: bool = True
    """(10) A join empties the queue silently (profile's flush_queue_on_activate; issue 216)."""
    first_uplink_rule: bool = True
    """(11) After a join, nothing is sent before the device's first uplink, and no expiry is checked (issues 559,
    694)."""
    fcnt_reuse_after_flush: bool = True
    """(12) A frame whose item was flushed in flight does not advance FCntDown (downlink/tx_ack.rs looks for the item
    first). The next frame has the same counter, and a device that received the first drops it as a replay."""
    foreign_device_unauthenticated: bool = True
    """(13) A tenant's key with another tenant's (or no) device is answered UNAUTHENTICATED without a text. Off:
    NOT_FOUND."""
    txack_without_application_tags: bool = True
    """(14) The tags of a txack lack those of the application (downlink/tx_ack.rs)."""

    speed: float = 1.0
    reorder_s: float = 0.02
    scheduler_interval_s: float = 1.0
    scheduler_batch: int = 100
    """Devices per run, lowest EUI first."""
    class_a_lock_s: float = 5.0
    """Time after an uplink of a device in which class C sends nothing to it."""
    class_c_lock_s: float = 5.0
    """Time after each try in which nothing is sent to the device. Recommended for many displays: 1-2 s."""
    class_c_timeout_s: float = 10.0
    gateway_s: float = 0.1
    """Time from the scheduler to the gateway's answer."""
    airtime_s: float = 0.2
    rx1_delay_s: float = 1.0
    max_payload: int = 51
    """Bytes at RX2's data rate (EU868 DR0: 51, DR3: 115, from DR4: 222)."""
    qos: int = 1
    """QoS of events and of the command subscription; ChirpStack's default is 0, Baylight's documents ask for 1."""


class GatewayMode(StrEnum):
    """Reaction of a gateway to a downlink."""

    OK = "ok"
    SILENT = "silent"
    """Gateway that is off or unreachable."""
    NACK = "nack"
    """Gateway that refuses (TOO_LATE)."""
    MUTE = "mute"
    """Gateway that transmits, but whose answer never reaches ChirpStack."""


@dataclass(slots=True)
class Faults:
    """Faults that can be switched on and off at run time."""

    lose_answers: bool = False
    """gRPC: the command is accepted, the answer never arrives."""
    answer_after_txack: bool = False
    """gRPC: the answer to Enqueue comes after its txack was published."""
    late_s: float = 0.0
    """gRPC: real seconds from the command's acceptance to the answer."""
    slow_s: float = 0.0
    """gRPC: real seconds before a call is processed."""
