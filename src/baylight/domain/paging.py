"""Size of a page of rows: one rule for the API, the command line and the functions behind them."""

from __future__ import annotations

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
