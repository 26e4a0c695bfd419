"""What errors quote."""

from __future__ import annotations

import pytest

from baylight.errors import shorten


@pytest.mark.parametrize(("text", "limit", "shown"), [("a" * 40, 40, "a" * 40), ("abcdef", 5, "abcde…"), ("", 5, "")])
def test_a_quoted_text_ends_at_the_limit_and_shows_that_it_goes_on(text: str, limit: int, shown: str) -> None:
    assert shorten(text, limit) == shown


def test_messages_quote_40_characters() -> None:
    assert shorten("a" * 41) == "a" * 40 + "…"
