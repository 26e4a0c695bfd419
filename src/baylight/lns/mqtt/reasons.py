"""Reason codes of MQTT 5 (2.4), in words that say what to do."""

from __future__ import annotations

_WORDS = {
    0x81: "a malformed packet",
    0x82: "a protocol error",
    0x83: "an error of the broker's own",
    0x87: "the user has no right to it: give it at the broker",
    0x89: "the broker is busy",
    0x8B: "the broker shuts down",
    0x8D: "no keep-alive came in time",
    0x8E: "another client connected with our client id",
    0x8F: "the broker does not accept this topic filter",
    0x93: "more messages than the broker allows",
    0x95: "a packet is too large",
    0x97: "a quota of the broker is used up",
    0x98: "an administrator of the broker ended it",
    0x9E: "the broker has no shared subscriptions: unset BAYLIGHT_MQTT_SHARE_GROUP, and run one process",
    0xA2: "the broker has no wildcard subscriptions: use another broker",
}


def in_words(reason: int) -> str:
    """Return the words of a reason code, with the code."""
    words = _WORDS.get(reason)
    return f"{words} (reason {reason:#x})" if words else f"reason {reason:#x}"
