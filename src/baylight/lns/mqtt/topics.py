"""Topics and topic filters of MQTT (MQTT 5, 4.7)."""

from __future__ import annotations

import re
from collections.abc import Callable

MAX_TOPIC_BYTES = 65_535
_FORBIDDEN = re.compile("[#+\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_SHARED = re.compile(r"\$share/[^/]+/")


def can_publish(topic: str) -> bool:
    """Return whether every broker accepts a message with this topic. Some close the connection at a bad one."""
    return bool(topic) and not _FORBIDDEN.search(topic) and len(topic.encode()) <= MAX_TOPIC_BYTES


def matcher(topic_filter: str) -> Callable[[str], bool]:
    """Return a function that returns whether a topic matches the filter, which may be that of a shared subscription."""
    levels = _SHARED.sub("", topic_filter, count=1).split("/")
    rest = levels[-1] == "#"
    pattern = "/".join("[^/]*" if level == "+" else re.escape(level) for level in levels[: -1 if rest else None])
    if rest:
        pattern = f"{pattern}(/.*)?" if levels[:-1] else ".*"
    form = re.compile(pattern, re.DOTALL)
    return lambda topic: form.fullmatch(topic) is not None
