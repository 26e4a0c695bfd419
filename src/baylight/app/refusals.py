"""Count the messages of a source that are refused, and report them as a condition with cause and remedy."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable

from baylight.domain.conditions import ConditionKind
from baylight.domain.events import Ignored, Message, Rejected
from baylight.ports import Conditions

WINDOW_S = 900
BUCKET_S = 60
MIN_SHARE = 0.05
"""Share of refused messages in the window below which they are single bad ones, not a wrong setting."""
NOT_ACCEPTED = ("other_application", "outside_topic")
"""Reasons for which messages are ignored by a choice of the operator. They are a fault only if no other ones come."""
CAUSES = {
    "bad_json": "they are not JSON: set json=true in ChirpStack's integration, or the format JSON in The Things Stack",
    "bad_topic": "their topics are no event topics of ChirpStack: correct BAYLIGHT_MQTT_TOPIC",
    "bad_dev_eui": "topic and event name different devices, or none: find what else publishes on these topics",
    "application_mismatch": "topic and event name different applications: find what else publishes on these topics, "
    "and limit the right to write at the broker",
    "bad_application_id": "no topic of a command can carry their application id: find what else publishes events",
    "other_application": "their application is not in BAYLIGHT_CHIRPSTACK_APPLICATIONS: add it, or correct it",
    "outside_topic": "their topics are not in BAYLIGHT_MQTT_TOPIC: correct it",
    "secret_refused": "the header X-Baylight-Secret is missing or wrong: set it in the network server's integration",
    "encrypted_payload": "their payloads are encrypted: let the network server decrypt them",
    "not_stored": "the database refuses them: see rejected_messages, and report it",
}


class Refusals:
    """Messages of one source in the last WINDOW_S seconds, accepted and refused."""

    def __init__(self, conditions: Conditions, clock: Callable[[], float] = time.monotonic) -> None:
        self._conditions = conditions
        self._clock = clock
        self._buckets: deque[tuple[float, Counter[str]]] = deque()

    def note(self, messages: Iterable[Message]) -> None:
        """Count messages that are stored."""
        reasons = [_reason(message) for message in messages]
        self._bucket().update(reasons)
        if any(reasons):
            self.judge()

    def refused(self, reason: str) -> None:
        """Count a message that was refused before it was read."""
        self._bucket()[reason] += 1
        self.judge()

    def judge(self) -> None:
        """Begin or end the condition."""
        total: Counter[str] = Counter()
        oldest = self._clock() - WINDOW_S
        while self._buckets and self._buckets[0][0] < oldest:
            self._buckets.popleft()
        for _, counts in self._buckets:
            total += counts
        accepted = total.pop("", 0)
        if accepted:
            for reason in NOT_ACCEPTED:
                total.pop(reason, None)
        refused = total.total()
        if not refused or refused < MIN_SHARE * (accepted + refused):
            self._conditions.end(ConditionKind.MESSAGES_REFUSED)
            return
        causes = "; ".join(
            f"{count} {reason}: {CAUSES.get(reason, 'see rejected_messages')}" for reason, count in total.most_common(3)
        )
        text = f"{refused} of {accepted + refused} messages of the last {WINDOW_S // 60} minutes were refused: {causes}"
        self._conditions.begin(ConditionKind.MESSAGES_REFUSED, text)

    def _bucket(self) -> Counter[str]:
        now = self._clock()
        if not self._buckets or now - self._buckets[-1][0] >= BUCKET_S:
            self._buckets.append((now, Counter()))
        return self._buckets[-1][1]


def _reason(message: Message) -> str:
    """Return why a message is refused, or "" for one that is accepted or has no use."""
    if isinstance(message, Rejected):
        return message.reason
    if isinstance(message, Ignored) and message.reason in NOT_ACCEPTED:
        return message.reason
    return ""
