"""Behaviour of ChirpStack that is reproduced, faults on top of it, and the speed of time."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Behaviours of ChirpStack v4, each of which can be switched off, and its durations in seconds.

    Numbers in brackets are those of the conformance suite. Durations are divided by `speed`, except `reorder_s`
    and `rx_timestamp_max_drift_s`. A command's expiry is compared with the real clock.
    """

    unordered_events: bool = True
    """(1) A task of its own publishes each event: up to `reorder_s` late, in any order (integration tasks are spawned,
    not queued)."""
    duplicates: float = 0.0
    """(1) Share of events published twice, with the same deduplication id."""
    loss: float = 0.0
    """(1) Share of events never published (QoS 0, a restart of ChirpStack)."""
    emit_fields: bool = True
    """(2) JSON has false, 0 and "" of integration messages, too (pbjson's emit_fields); an empty `object`,
    `relayRxInfo` or `joinServerContext` is absent. Off: defaults are left out, as in its documents."""
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
    """(11) After a join or an activation, nothing is sent before the device's first uplink, and no expiry is checked
    (issues 559, 694). The scheduler selects the device nonetheless, at its place in the batch."""
    fcnt_reuse_after_flush: bool = True
    """(12) A frame whose item was flushed in flight does not advance FCntDown (downlink/tx_ack.rs looks for the item
    first). The next frame has the same counter, and a device that received the first drops it as a replay."""
    foreign_device_unauthenticated: bool = True
    """(13) A tenant's key with another tenant's (or no) device is answered UNAUTHENTICATED without a text. Off:
    NOT_FOUND."""
    txack_without_application_tags: bool = True
    """(14) The tags of a txack lack those of the application (downlink/tx_ack.rs)."""

    # Faults of the air, of the gateways' clocks and of ChirpStack itself; none of them by default -------------------

    downlink_loss: float = 0.0
    """Share of transmitted downlinks that a device does not receive. A path of a device can have a share of its own."""
    uplink_loss: float = 0.0
    """Share of uplinks that a gateway does not receive; for each gateway separately."""
    mac_downlinks: float = 0.0
    """Share of uplinks that ChirpStack answers with MAC commands alone: such a frame uses FCntDown, and a queue item
    waits for another window. 1.0 for each uplink of a device that never answers LinkADRReq."""
    lost_increments: float = 0.0
    """Share of tx_acks after which FCntDown stands still although the txack is published, as when an uplink's session
    overwrites it. Device.lost_increments forces it for one device."""
    session_write_s: float = 0.0
    """Time from the reading of a device's session for an uplink to its writing. An increment of FCntDown by a tx_ack in
    between is lost. The real one needs 0.005-0.02 s, and until the class A downlink if there is one."""
    gateway_qos: int = 0
    """QoS between gateways and ChirpStack. 1: what gateways send while ChirpStack is stopped is delivered at its start,
    handled in parallel; 0: it is lost."""

    # Times and sizes -----------------------------------------------------------------------------------------------

    speed: float = 1.0
    reorder_s: float = 0.02
    deduplication_s: float = 0.215
    """Time from a frame's reception (nsTime) to its event (time): 0.2 s of deduplication and the handling."""
    parallel_s: float = 0.01
    """Duration of the handling of one frame of a backlog, during which others are handled."""
    rx_timestamp_max_drift_s: float = 30.0
    """A gateway's time further off than this is replaced by ChirpStack's."""
    scheduler_interval_s: float = 1.0
    scheduler_batch: int = 100
    """Devices per run, lowest EUI first."""
    scheduler_lock_s: float = 2.0
    """Time after its selection in which a device is not selected again ([network.scheduler]:
    scheduler_lock_duration). It alone locks a device that waits for its first uplink."""
    class_a_lock_s: float = 5.0
    """Time after an uplink of a device in which class C sends nothing to it."""
    class_c_lock_s: float = 5.0
    """Time after each class C try in which nothing is sent to the device. Recommended for many displays: 1-2 s."""
    class_c_timeout_s: float = 10.0
    downlink_data_delay_s: float = 0.1
    """Time from an uplink's event to its class A downlink (get_downlink_data_delay)."""
    gateway_s: float = 0.04
    """Time from the scheduler to the gateway's answer."""
    downlink_frame_ttl_s: float = 30.0
    """Time after which a tx_ack is ignored."""
    airtime_s: float = 0.2
    rx1_delay_s: float = 1.0
    join_accept_s: float = 1.0
    """Time from a join event until the device has the join-accept. EU868: 5 s in RX1."""
    join_retry_s: float = 10.0
    """Time from a join request without an answer to the next one."""
    max_payload: int = 51
    """Bytes at RX2's data rate (EU868 DR0: 51, DR3: 115, from DR4: 222)."""
    max_payload_rx1: int = 222
    """Bytes in the window after an uplink (DR5)."""
    qos: int = 1
    """QoS of events and of the command subscription; ChirpStack's default is 0, Baylight's documents ask for 1."""


class GatewayMode(StrEnum):
    """Reaction of a gateway to a downlink."""

    OK = "ok"
    SILENT = "silent"
    """Gateway that is off or unreachable."""
    NACK = "nack"
    """Gateway that refuses, with the reason of GatewayState."""
    MUTE = "mute"
    """Gateway that transmits, but whose answer never reaches ChirpStack."""
    DEAF = "deaf"
    """Gateway that accepts, but whose transmission reaches no device."""
    LATE = "late"
    """Gateway that transmits at once and answers `late_s` after that."""
    STALLED = "stalled"
    """Gateway whose connection stands still: frames of both directions wait until its mode changes."""


@dataclass(frozen=True, slots=True)
class GatewayState:
    """Mode of a gateway. `reason`: status of a refusal. `late_s`: delay of the answer in mode LATE."""

    mode: GatewayMode = GatewayMode.OK
    reason: str = "TOO_LATE"
    late_s: float = 0.0


REASONS = (
    "IGNORED", "TOO_LATE", "TOO_EARLY", "COLLISION_PACKET", "COLLISION_BEACON", "TX_FREQ", "TX_POWER", "GPS_UNLOCKED",
    "QUEUE_FULL", "INTERNAL_ERROR", "DUTY_CYCLE_OVERFLOW",
)  # fmt: skip
"""Reasons of a refusal (gw.TxAckStatus)."""


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
