"""Bound of JSON that people store with a thing: its depth, its size, and its number of keys."""

from __future__ import annotations

import json
from itertools import chain

from baylight.errors import InputError

MAX_DEPTH = 20
MAX_BYTES = 16 * 1024
MAX_KEYS = 200
BOUND = f"at most {MAX_DEPTH} levels, {MAX_BYTES // 1024} KiB and {MAX_KEYS} keys"


def check_json(value: object, name: str = "metadata") -> int:
    """Check that a value can be stored and read back; return its bytes. json_is_bounded() has the same bound.

    Raises InputError `json_too_big`, and `bad_json` for what cannot be stored: infinite numbers, NUL, and halves of
    characters.
    """
    keys, level, depth = 0, [value], 0
    while level := [item for item in level if isinstance(item, dict | list)]:
        depth += 1
        keys += sum(len(item) for item in level if isinstance(item, dict))
        if depth > MAX_DEPTH or keys > MAX_KEYS:
            raise too_big(name)
        level = [part for item in level for part in (chain(item, item.values()) if isinstance(item, dict) else item)]
        if any(isinstance(part, str) and "\0" in part for part in level):
            raise InputError("bad_json", f"{name} has a NUL character, which cannot be stored", field=name)
    try:
        size = len(json.dumps(value, ensure_ascii=False, allow_nan=False).encode())
    except (ValueError, TypeError) as error:
        raise InputError("bad_json", f"{name} is not JSON: {error}", field=name) from None
    if size > MAX_BYTES:
        raise too_big(name)
    return size


def too_big(name: str) -> InputError:
    return InputError("json_too_big", f"{name} may have {BOUND}", field=name)
