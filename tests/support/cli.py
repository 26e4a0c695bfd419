"""The `baylight` command in tests: `cli` and `garage` in tests/cli/conftest.py are fixtures of this type."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from click.testing import Result

SENSOR, DISPLAY = "58a0cb00000000a1", "2020000000000001"
"""DevEUIs of the two devices of the garage."""
Cli = Callable[..., Result]


def data(result: Result) -> Any:
    """Return what a command printed as JSON."""
    return json.loads(result.stdout)
