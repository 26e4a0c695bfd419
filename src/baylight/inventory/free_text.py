"""Free text that people write."""

from __future__ import annotations

from baylight.errors import CONTROL, InputError

MAX_NOTES_LENGTH = 2000


def check_notes(notes: str | None) -> str | None:
    """Return notes that can be stored. Raises InputError `bad_text`."""
    if notes is not None and (len(notes) > MAX_NOTES_LENGTH or CONTROL.search(notes)):
        raise InputError("bad_text", f"notes have at most {MAX_NOTES_LENGTH} characters, and no control characters")
    return notes
