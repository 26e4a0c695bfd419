"""Size of a page of rows, and the time that it covers: one rule for the API, the command line and all below them."""

from __future__ import annotations

from datetime import datetime

from baylight.errors import InputError

PAGE_SIZE = 100
"""Default number of rows of a page."""
MAX_PAGE_SIZE = 500


def check_page_size(limit: int) -> int:
    """Return `limit`. Raises InputError `bad_limit`.

    The API reads one row more than a page has, to find out whether there is another page.
    """
    if not 1 <= limit <= MAX_PAGE_SIZE + 1:
        raise InputError("bad_limit", f"a page has 1 to {MAX_PAGE_SIZE} items", limit=limit)
    return limit


def check_range(from_at: datetime | None, until_at: datetime | None) -> dict[str, datetime | None]:
    """Return both ends as parameters. Raises InputError `bad_times` if no instant lies between them."""
    if from_at is not None and until_at is not None and from_at >= until_at:
        raise InputError("bad_times", "`until` must be after `from`")
    return {"from_at": from_at, "until_at": until_at}
