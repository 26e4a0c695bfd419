"""The engine itself: for which codecs a context is kept, and how many."""

from __future__ import annotations

import json

import pytest

from baylight.sandbox.engine import Engine

INPUT = '{"bytes":[1],"fPort":1}'


def run(engine: Engine, source: str, *, id: str = "tried", times: int = 3) -> list[object]:
    found = []
    for _ in range(times):
        kind, text = engine.call(id, source, "decodeUplink", INPUT)
        assert kind == "answer", text
        found.append(json.loads(text)["data"])
    return found


@pytest.mark.parametrize(
    "source",
    [
        "// the prototype of a codec\nfunction decodeUplink(i) { return { data: 1 }; }",
        "var text = 'Array.prototype.sum = 1'; function decodeUplink(i) { return { data: 1 }; }",
        "function D() {} D.prototype.one = function () { return 1; };"
        "function decodeUplink() { return { data: new D().one() }; }",
        "function decodeUplink(i) { return { data: Array.prototype.slice.call(i.bytes)[0] }; }",
        "function decodeUplink(i) { return { data: Object.assign({}, { a: 1 }).a }; }",
        "function decodeUplink() { var e = new Error('x'); e.message = 1; return { data: e.message }; }",
        "function decodeUplink(i) { var o = {}; o['to' + 'String'] = 1; return { data: o.toString }; }",
        "function decodeUplink(i) { var d = []; d.values = 1; return { data: d.values }; }",
    ],
)
def test_c7_a_codec_that_changes_no_builtin_keeps_its_context(source: str) -> None:
    engine = Engine()
    assert run(engine, source) == [1, 1, 1]
    assert engine.kept == ["tried"]


@pytest.mark.parametrize(
    "source",
    [
        "Array.prototype.one = function () { return this[0]; };"
        "function decodeUplink(i) { return { data: i.bytes.one() }; }",
        "var p = Object.getPrototypeOf([]); p['o' + 'ne'] = 1;"
        "function decodeUplink(i) { return { data: i.bytes.one }; }",
        "function decodeUplink(i) { Math.round = function () { return 1; }; return { data: Math.round(9) }; }",
        "class X { static set(i) { i.bytes.constructor.one = 1; } }"
        "function decodeUplink(i) { X.set(i); return { data: Array.one }; }",
    ],
)
def test_c7_a_codec_that_changes_builtins_works_in_contexts_of_its_own(source: str) -> None:
    engine = Engine()
    assert run(engine, source) == [1, 1, 1]
    assert engine.kept == []


def test_c7_a_builtin_that_is_changed_only_later_is_changed_then() -> None:
    engine = Engine()
    source = """function decodeUplink(i) {
        if (i.bytes[0] > 1) i.bytes['__pro' + 'to__'].find = 5;
        return { data: [].find === 5 ? 5 : null };
    }"""
    assert run(engine, source) == [None] * 3
    assert engine.call("tried", source, "decodeUplink", '{"bytes":[2],"fPort":1}') == ("answer", '{"data":5}')
    assert run(engine, source) == [None] * 3


def test_c7_sixty_interleaved_codecs_keep_their_contexts() -> None:
    engine = Engine()
    for n in range(60):
        run(engine, f"function decodeUplink(i) {{ return {{ data: {n} }}; }}", id=str(n), times=1)
    assert engine.kept == [str(n) for n in range(60)]


def test_c7_kept_contexts_are_bounded_by_their_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("baylight.sandbox.engine.CONTEXTS_MEMORY", 4 << 20)
    engine = Engine()
    for n in range(30):
        run(engine, f"function decodeUplink(i) {{ return {{ data: {n} }}; }}", id=str(n), times=1)
    assert engine.memory <= 4 << 20
    assert 1 < len(engine.kept) < 30
    assert engine.kept[-1] == "29"
