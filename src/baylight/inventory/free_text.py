"""Free text that people write."""

from __future__ import annotations

import re

from baylight.errors import InputError

MAX_NOTES_LENGTH = 2000
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters but tab and line ends, and lone surrogates."""


def check_notes(notes: str | None) -> str | None:
    """Return notes that can be stored. Raises InputError `bad_text`."""
    if notes is not None and (len(notes) > MAX_NOTES_LENGTH or _CONTROL.search(notes)):
        raise InputError("bad_text", f"notes have at most {MAX_NOTES_LENGTH} characters, and no control characters")
    return notes
