"""QuickJS with one context for each codec. Only the worker process loads it."""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass
from importlib.resources import files

import quickjs

MEMORY, STACK = 16 << 20, 512 << 10
TIME_S = 0.1
"""Limit of CPU time for one call."""
CONTEXTS_MEMORY = 96 << 20
"""Bytes of all kept contexts together; the one that was used least recently is dropped first."""
MEASURE_EVERY = 100
"""Calls of a kept context between two measurements of its memory."""
MAX_CHANGING = 1000
"""Scripts that are remembered because they change builtins."""

_TEXTS = re.compile(r"//[^\n]*|/\*.*?\*/|'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\"", re.DOTALL)
_BUILTIN = (
    r"(?:Object|Array|String|Number|Boolean|BigInt|Symbol|Function|Date|Math|JSON|RegExp|Map|Set|Promise|Reflect"
    r"|Buffer|console|\w*Error|\w+Array)\b"
)
_CHANGES_BUILTINS = re.compile(
    rf"\b{_BUILTIN}(?:\s*\.\s*prototype\b)?\s*(?:\.\s*\w+|\[[^\]]*\])\s*=[^=]"
    r"|\b__proto__\s*[.\[]"
)
"""Code that writes to builtins, perhaps on a path that the first call does not use."""
_DEFINES_BUILTINS = re.compile(rf"\b(?:defineProperty|defineProperties|assign|setPrototypeOf)\s*\(\s*{_BUILTIN}")
_HIDES_ERRORS = re.compile(r"\b(?:catch|Reflect)\b")
"""Code that does not show the error of such a call on a frozen builtin. An error that is shown needs no forecast."""
_FROZEN = re.compile(r"read-only|not extensible|not configurable|no setter|not writable|cannot define")
"""Errors of writes to frozen objects."""
_PRELUDE, _BUFFER = ((files("baylight.sandbox") / f"{name}.js").read_text("utf-8") for name in ("prelude", "buffer"))


@dataclass(slots=True)
class _Context:
    """Context that is kept. `host` is what the prelude returns."""

    context: quickjs.Context
    host: quickjs.Object
    calls: int = 0
    memory: int = 0


class Engine:
    """Engine that isolates the calls of a codec from each other.

    The codec's text runs again for each call, in a context whose globals are restored after the call. The first call
    finds out whether the codec changes builtins: if not, they are frozen then. A codec that changes builtins has a new
    context for each call.
    """

    def __init__(self) -> None:
        self._contexts: OrderedDict[str, _Context] = OrderedDict()
        self._changing: OrderedDict[str, None] = OrderedDict()
        self._limit_s = TIME_S

    @property
    def kept(self) -> list[str]:
        """Ids of the scripts whose contexts are kept, the one used least recently first."""
        return list(self._contexts)

    @property
    def memory(self) -> int:
        """Bytes of the contexts that are kept, as last measured."""
        return sum(kept.memory for kept in self._contexts.values())

    def call(
        self, script_id: str, source: str, function: str, text: str, limit_s: float | None = None
    ) -> tuple[str, str]:
        """Return ("answer", JSON text), or ("failed" or "timeout", reason). `limit_s`: of CPU time; None: TIME_S."""
        self._limit_s = limit_s or TIME_S
        kept = self._contexts.pop(script_id, None)
        if kept is None and _changes_builtins(source):
            self._changing[script_id] = None
        kind, result, state = self._call(script_id, source, function, text, kept)
        if kept is not None and kind == "failed":
            if result.startswith("out of memory"):  # earlier calls had used up the memory
                kind, result, state = self._call(script_id, source, function, text, None)
            elif _FROZEN.search(result):
                state = "b"
        if state == "b":
            self._changing[script_id] = None
            if len(self._changing) > MAX_CHANGING:
                self._changing.popitem(last=False)
            self._contexts.pop(script_id, None)
            kind, result, _ = self._call(script_id, source, function, text, None)
        return kind, result

    def _call(
        self, script_id: str, source: str, function: str, text: str, kept: _Context | None
    ) -> tuple[str, str, str]:
        try:
            if kept is not None:
                kept.context.set_time_limit(self._limit_s)
            used = kept or _begin(source, self._limit_s, keep=script_id not in self._changing)
            answer: str = used.host("call", function, text)
            state = answer[1]
            if kept is None and state == "." and used.host("settle") != ".":
                self._changing[script_id] = None
                state = "x"
        except quickjs.JSException as error:
            return *_failure(str(error), self._limit_s), "x"
        except Exception as error:  # from the binding, for a value that it cannot convert to Python
            return "failed", f"{type(error).__name__}: {error}"[:300], "x"
        if state == ".":
            self._keep(script_id, used)
        return ("answer" if answer[0] == "=" else "failed"), answer[2:], state

    def _keep(self, script_id: str, used: _Context) -> None:
        self._contexts[script_id] = used
        used.calls += 1
        if used.calls % MEASURE_EVERY == 1:
            used.memory = used.context.memory()["malloc_size"]
            while len(self._contexts) > 1 and self.memory > CONTEXTS_MEMORY:
                self._contexts.popitem(last=False)


def _changes_builtins(source: str) -> bool:
    text = _TEXTS.sub(" ", source)
    if _CHANGES_BUILTINS.search(text):
        return True
    return bool(_HIDES_ERRORS.search(text) and _DEFINES_BUILTINS.search(text))


def _begin(source: str, limit_s: float, *, keep: bool) -> _Context:
    context = quickjs.Context()
    context.set_memory_limit(MEMORY)
    context.set_max_stack_size(STACK)
    context.set_time_limit(limit_s)
    host = context.eval(_PRELUDE)
    host("begin", source, keep, _BUFFER)
    return _Context(context, host)


def _failure(message: str, limit_s: float) -> tuple[str, str]:
    lines = message.splitlines()
    first = lines[0].removeprefix("InternalError: ") if lines else "it throws a value without text"
    if first == "interrupted":
        return "timeout", f"it runs longer than {limit_s * 1000:.0f} ms"
    return "failed", first[:300]
