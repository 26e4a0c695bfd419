"""Table of the events of a display: what each one does to its deliveries, its light and its conditions.

The explanation page is generated from it, and a test compares it with the modules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from baylight.domain.conditions import ConditionKind
from baylight.domain.display_loop import decisions, due, news, sending, uplinks

_K = ConditionKind


@dataclass(frozen=True, slots=True)
class Event:
    """Row of the table. `apply`: the function. `begins`, `ends`: conditions that the event itself begins and ends.

    Besides, each proof of the desired light ends `display_wrong` and `display_undeliverable`, and each event ends
    `display_misconfigured` if the display can be commanded again.
    """

    apply: Callable[..., Any]
    delivery: str
    light: str
    begins: tuple[ConditionKind, ...] = ()
    ends: tuple[ConditionKind, ...] = ()


_UPLINK = (_K.DISPLAY_SILENT, _K.DISPLAY_REFUSED, _K.DISPLAY_WAITS_FOR_UPLINK, _K.DISPLAY_DISABLED)
EVENTS: MappingProxyType[str, Event] = MappingProxyType(
    {
        "a state is decided": Event(
            decisions.desire, "a new actuation waits; older ones are superseded", "another light may be desired",
            begins=(_K.DISPLAY_MISCONFIGURED,),
        ),
        "a person sends a command": Event(decisions.command, "a new actuation waits", "nothing changes"),
        "the display no longer serves a space": Event(
            decisions.release, "what waits fails", "nothing is desired",
        ),
        "a relay claims": Event(
            sending.claim,
            "the newest becomes `sending`; it is superseded if the light is proven already; so is what else waits",
            "nothing changes",
        ),
        "the network server accepts": Event(
            sending.accepted, "`queued`, for a short life", "the command may be received until its life ends"
        ),
        "the network server refuses": Event(
            sending.refused, "waits for its next try, or fails",
            "if the answer is not known, the command may be received until its life ends",
            begins=(_K.DISPLAY_WAITS_FOR_UPLINK, _K.DISPLAY_UNDELIVERABLE),
        ),
        "a gateway acknowledges (`tx_ack`)": Event(
            news.tx_ack, "`transmitted`; it fails at once if its counter was used before",
            "the command may be received within 2 s, and no older one any more", ends=(_K.DISPLAY_UNDELIVERABLE,),
        ),
        "a gateway acknowledges an actuation that is at an end": Event(
            news.transmitted_late, "nothing changes", "that command may be received within 2 s",
            ends=(_K.DISPLAY_UNDELIVERABLE,),
        ),
        "a gateway acknowledges before the network server's answer": Event(
            news.transmitted_early, "nothing changes", "a light that is not known may be received within 2 s"
        ),
        "a gateway acknowledges a foreign command": Event(
            news.commanded_by_other, "nothing changes", "a light that is not known may be received within 2 s",
            begins=(_K.DISPLAY_COMMANDED_BY_OTHER,),
        ),
        "the device acknowledges, or the network server stops waiting for it": Event(
            news.ack, "`acknowledged`, or it fails", "the command was received", ends=(_K.DISPLAY_UNDELIVERABLE,)
        ),
        "the network server drops the command": Event(
            news.gave_up, "`expired` or `failed`", "nothing changes", begins=(_K.DISPLAY_UNDELIVERABLE,)
        ),
        "a gateway refuses a downlink": Event(
            news.gateway_refused, "the queued command has the reason", "nothing changes",
            begins=(_K.DISPLAY_UNDELIVERABLE,),
        ),
        "the queue no longer has the command": Event(
            sending.not_found_in_queue, "it fails, and the newest is sent", "nothing changes"
        ),
        "the queue still has the command": Event(
            sending.still_queued, "it stays the only one, and is asked for later", "nothing changes",
            begins=(_K.DISPLAY_UNDELIVERABLE, _K.DISPLAY_DISABLED, _K.DISPLAY_WAITS_FOR_UPLINK),
        ),
        "the life of a command ends at a server without a queue": Event(
            sending.expired_unseen, "`expired`", "nothing changes", begins=(_K.DISPLAY_UNDELIVERABLE,)
        ),
        "the display joins": Event(
            uplinks.joined, "what is with the network server fails; the rest waits for the first uplink",
            "the lamp shows a light that is not known", begins=(_K.DISPLAY_WAITS_FOR_UPLINK,),
        ),
        "an uplink arrives": Event(
            uplinks.received, "what waited for it is sent", "a new session without a join: as a join",
            begins=(_K.DISPLAY_NOT_CLASS_C,), ends=(*_UPLINK, _K.DISPLAY_NOT_CLASS_C),
        ),
        "the network server refuses an uplink or a join": Event(
            uplinks.refused_uplink, "nothing changes", "the lamp may have restarted: a light that is not known",
            begins=(_K.DISPLAY_REFUSED,),
        ),
        "the display reports its light": Event(
            uplinks.reported, "`shown`, or it fails for another light",
            "proven, if no other command may have been received after it", begins=(_K.DISPLAY_WRONG,),
        ),
        "a deadline passes": Event(
            due.due, "a command without its report fails; what is desired is sent again",
            "after a missing report, older reports prove nothing", begins=(_K.DISPLAY_SILENT,),
        ),
        "a common cause is over": Event(due.retry_now, "what is desired is sent again at once", "nothing changes"),
    }
)  # fmt: skip
"""Events by what happens, in words."""
