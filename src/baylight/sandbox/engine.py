"""QuickJS with one context for each codec. Only the worker process loads it."""

from __future__ import annotations

import re
from collections import OrderedDict
from importlib.resources import files

import quickjs

MEMORY, STACK = 16 << 20, 512 << 10
TIME_S = 0.1
"""Limit of CPU time for one call."""
MAX_CONTEXTS = 8

_CHANGES_BUILTINS = re.compile(
    r"\bprototype\b|__proto__|\bsetPrototypeOf\b|\bdefineProperty|\bdefineProperties\b|\bObject\s*\.\s*assign\b"
    r"|\b(?:Object|Array|String|Number|Boolean|BigInt|Symbol|Function|Date|Math|JSON|RegExp|Map|Set|Promise|Reflect"
    r"|Buffer|console|\w*Error|\w+Array)\s*(?:\.\s*\w+|\[[^\]]*\])\s*=[^=]"
    r"|\.\s*(?:constructor|toString|toLocaleString|valueOf|hasOwnProperty|name|message)\s*=[^=]"
)
"""Texts that may write to builtins or to inherited members. In a frozen context such a write has no effect."""
_PRELUDE = (files("baylight.sandbox") / "prelude.js").read_text("utf-8")


class Engine:
    """Engine that isolates the calls of a codec from each other.

    The codec's text runs again for each call, in a context whose builtins are frozen and whose globals are restored
    after the call. A codec that changes builtins has a new context for each call.
    """

    def __init__(self) -> None:
        self._contexts: OrderedDict[str, quickjs.Object] = OrderedDict()

    def call(self, script_id: str, source: str, function: str, text: str) -> tuple[str, str]:
        """Return ("answer", JSON text), or ("failed" or "timeout", reason)."""
        begun = self._contexts.get(script_id)
        kind, result = self._call(script_id, source, function, text, begun)
        if begun is not None and kind == "failed" and result.startswith("out of memory"):
            kind, result = self._call(script_id, source, function, text, None)  # earlier calls had used up the memory
        return kind, result

    def _call(
        self, script_id: str, source: str, function: str, text: str, begun: quickjs.Object | None
    ) -> tuple[str, str]:
        try:
            found = begun or _begin(source)
            result: str = found(function, text)
        except quickjs.JSException as error:
            self._contexts.pop(script_id, None)
            return _failure(str(error))
        except Exception as error:  # from the binding, for a value that it cannot convert to Python
            self._contexts.pop(script_id, None)
            return "failed", f"{type(error).__name__}: {error}"[:300]
        if result[1] == ".":
            self._keep(script_id, found)
        else:
            self._contexts.pop(script_id, None)
        return ("answer" if result[0] == "=" else "failed"), result[2:]

    def _keep(self, script_id: str, found: quickjs.Object) -> None:
        self._contexts[script_id] = found
        self._contexts.move_to_end(script_id)
        if len(self._contexts) > MAX_CONTEXTS:
            self._contexts.popitem(last=False)


def _begin(source: str) -> quickjs.Object:
    context = quickjs.Context()
    context.set_memory_limit(MEMORY)
    context.set_max_stack_size(STACK)
    context.set_time_limit(TIME_S)
    return context.eval(_PRELUDE)(source, not _CHANGES_BUILTINS.search(source))


def _failure(message: str) -> tuple[str, str]:
    lines = message.splitlines()
    first = lines[0].removeprefix("InternalError: ") if lines else "it throws a value without text"
    if first == "interrupted":
        return "timeout", f"it runs longer than {TIME_S * 1000:.0f} ms"
    return "failed", first[:300]
