"""The engine itself: for which codecs a context is kept, and how many."""

from __future__ import annotations

import json
import time

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
        "if (!Object.assign) Object.defineProperty(Object, 'assign', { value: function (a, b) { return a; } });"
        "function decodeUplink(i) { return { data: 1 }; }",
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


def test_c7_a_text_that_begins_with_many_comments_is_read_once() -> None:
    source = (
        "/* a part */\n// of it\n" * 400 + "{} /* the end */ function decodeUplink(i) { return { data: typeof this }; }"
    )
    engine, began = Engine(), time.process_time()
    assert run(engine, "/* a comment */\n" * 3000 + source) == ["object"] * 3
    assert run(engine, "// a comment\n/* strict */ 'use strict';" + source, id="strict") == ["undefined"] * 3
    assert engine.call("nothing", "// only a comment", "decodeUplink", INPUT)[0] == "failed"
    assert time.process_time() - began < 2  # it was minutes


def test_c7_a_builtin_that_is_defined_only_later_is_defined_then() -> None:
    source = """function decodeUplink(i) {
      if (i.bytes[0] === CALL) { BEGIN Object.defineProperty(Array.prototype, 'total', { value: 7 }); END }
      return { data: [].total || 0 };
    }"""
    for begin, end in (("", ""), ("try {", "} catch (e) {}")):
        text = source.replace("CALL", "1").replace("BEGIN", begin).replace("END", end)
        engine = Engine()
        found = [
            json.loads(engine.call("late", text, "decodeUplink", json.dumps({"bytes": [n]}))[1]) for n in (0, 1, 0)
        ]
        assert found == [{"data": 0}, {"data": 7}, {"data": 0}]
