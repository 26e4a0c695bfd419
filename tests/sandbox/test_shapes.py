"""Shapes of public codecs: scripts, bundles, legacy functions, Node's Buffer; and what outlives a call."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from baylight.codecs.ts013.calls import Answer, Call, Function, Script, decode_call
from baylight.codecs.ts013.examples import parse_examples
from baylight.errors import DeviceDataError
from baylight.sandbox.pool import Sandbox

AT = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


async def answers(sandbox: Sandbox, source: str, times: int = 3) -> list[object]:
    """Return what the codec answers for the same frame, again and again: in a new context and in a kept one."""
    outcomes = await sandbox.run([decode_call(Script("tried", source), 10, b"\x01\x02", AT)] * times)
    return [outcome.data if isinstance(outcome, Answer) else outcome for outcome in outcomes]


async def refusal(sandbox: Sandbox, source: str, function: Function = Function.DECODE_UPLINK) -> str:
    call = Call(Script("tried", source), function, '{"bytes":[1,2],"fPort":10,"data":{}}')
    (outcome,) = await sandbox.run([call])
    assert isinstance(outcome, DeviceDataError), outcome
    assert outcome.code == "codec_failed"
    return outcome.message


@pytest.mark.parametrize(
    "source",
    [
        "function helper() { return 1; } function decodeUplink(i) { return { data: this.helper() }; }",
        "var d = this.helper(); function helper() { return 1; } function decodeUplink(i) { return { data: d }; }",
        "var n = 0; function decodeUplink(i) { this.n++; return { data: n }; }",
        "var n = 0; function decodeUplink(i) { n = 1; return { data: globalThis.n }; }",
        "function helper() { return 1; } function decodeUplink(i) { return { data: this['hel' + 'per']() }; }",
        "function helper() { return 1; } function decodeUplink(i) { return { data: Function('return helper()')() }; }",
        "'use strict'; function helper() { return 1 } function decodeUplink() { return { data: globalThis.helper()} }",
        "'use strict'; function decodeUplink(i) { return { data: this === undefined ? 1 : 0 }; }",
        "function decodeUplink(i) { var inner = 1; return { data: typeof this.inner === 'undefined' ? inner : 0 }; }",
        "(function (root) { root.n = 1; })(this); function decodeUplink(i) { return { data: n }; }",
    ],
)
async def test_c1_top_level_names_are_properties_of_the_global_object(sandbox: Sandbox, source: str) -> None:
    assert await answers(sandbox, source) == [1, 1, 1]


BODY = "decodeUplink: function (i) { return { data: this.one || i.bytes[0] }; }"


@pytest.mark.parametrize(
    "source",
    [
        f"var driver; (() => {{ var e = {{ {BODY} }}; driver = e; }})();",
        f"var driver = {{ {BODY}, one: 1 }};",
        f"const driver = {{ {BODY} }};",
        f"driver = {{ {BODY} }};",
        f"(function (root, make) {{ root.driver = make(); }})(this, function () {{ return {{ {BODY} }}; }});",
        f"'use strict'; var driver = {{ {BODY} }};",
        f"var codec = {{ {BODY} }};",
        f"let codec = {{ {BODY} }};",
        "class D { decodeUplink(i) { return { data: this.one() }; } one() { return 1; } } var driver = new D();",
        f"module.exports = {{ driver: {{ {BODY} }} }};",
        f"exports.default = {{ {BODY} }};",
        "var driver = { Decoder: function (bytes, port) { return bytes[0]; } };",
    ],
)
async def test_c2_an_object_that_carries_the_functions_is_the_codec(sandbox: Sandbox, source: str) -> None:
    assert await answers(sandbox, source) == [1, 1, 1]


@pytest.mark.parametrize(
    "source",
    [
        "function Decode(fPort, bytes, variables) { return fPort * 100 + bytes[0] + Object.keys(variables).length; }",
        "function Decoder(bytes, port) { return port * 100 + bytes[0]; }",
        "function decodeUplink(i) { return { data: i.fPort * 100 + (parseInt(i.variables.limit, 10) || 1) }; }",
    ],
)
async def test_c3_legacy_decode_and_variables_work(sandbox: Sandbox, source: str) -> None:
    assert await answers(sandbox, source) == [1001, 1001, 1001]


async def test_c3_legacy_encode_works_and_variables_come_through(sandbox: Sandbox) -> None:
    encode = Script("e", "function Encode(fPort, data, variables) { return [fPort, data.red ? 1 : 0]; }")
    limit = Script("l", "function decodeUplink(i) { return { data: i.variables.limit }; }")
    assert await sandbox.run(
        [
            Call(encode, Function.ENCODE_DOWNLINK, '{"data":{"red":true},"fPort":2}'),
            Call(limit, Function.DECODE_UPLINK, '{"bytes":[1],"fPort":1,"variables":{"limit":"300"}}'),
        ]
    ) == [Answer(None, bytes=b"\x02\x01"), Answer("300")]


@pytest.mark.parametrize(
    ("source", "function", "words"),
    [
        (
            "function decodeUplink(i) { return { occupied: true }; }",
            Function.DECODE_UPLINK,
            "no `data`: it has only `occu",
        ),
        ("function decodeUplink(i) { return {}; }", Function.DECODE_UPLINK, "no `data`"),
        ("function decodeUplink(i) { return { data: undefined, errors: [] }; }", Function.DECODE_UPLINK, "no `data`"),
        ("function Decode(fPort, bytes) { }", Function.DECODE_UPLINK, "no `data`"),
        ("function decodeDownlink(i) { return { red: 1 }; }", Function.DECODE_DOWNLINK, "no `data`"),
        (
            "function encodeDownlink(i) { return { fPort: 3 }; }",
            Function.ENCODE_DOWNLINK,
            "no `bytes`: it has only `fPort`",
        ),
        ("function Encoder(data) { }", Function.ENCODE_DOWNLINK, "no `bytes`"),
    ],
)
async def test_c4_an_answer_without_its_field_is_an_error_that_names_it(
    sandbox: Sandbox, source: str, function: Function, words: str
) -> None:
    assert words in await refusal(sandbox, source, function)


async def test_c4_errors_or_null_stand_in_for_data(sandbox: Sandbox) -> None:
    sources = ["return { errors: ['bad'] };", "return { warnings: ['odd'] };", "return { data: null };"]
    calls = [decode_call(Script(s, f"function decodeUplink() {{ {s} }}"), 1, b"\x01", AT) for s in sources]
    assert await sandbox.run(calls) == [Answer(None, ("bad",)), Answer(None, (), ("odd",)), Answer(None)]


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("new Buffer('0102', 'hex').length", 2),
        ("Buffer('0102', 'hex').length", 2),
        ("new Buffer(3).length", 3),
        ("new Buffer([1, 2])[1]", 2),
        ("Buffer.from('01zz02', 'hex').length", 1),
        ("Buffer.from('012', 'hex').length", 1),
        ("Buffer.alloc(4, 'ab').toString()", "abab"),
        ("JSON.stringify(Buffer.from([1, 2]))", '{"type":"Buffer","data":[1,2]}'),
        ('Buffer.from(JSON.parse(\'{"type":"Buffer","data":[7]}\'))[0]', 7),
        ("Buffer.from([0xe2, 0x82, 0xac, 0xff, 0x41]).toString()", "\u20ac\ufffdA"),
        ("Buffer.from('\u20ac', 'utf16le').toString('hex')", "ac20"),
        ("Buffer.from('a').equals(Buffer.from([97]))", True),
        ("Buffer.from([1, 2, 3, 4, 5, 6]).readUIntBE(0, 6)", 0x010203040506),
        ("Buffer.from([255, 255, 255]).readIntLE(0, 3)", -1),
        ("Buffer.from([1, 2]).swap16().toString('hex')", "0201"),
        ("Buffer.from('hello').indexOf('l')", 2),
        ("(function () { try { Buffer.from([1]).readUInt16BE(0); } catch (e) { return e.name; } })()", "RangeError"),
        ("new TextDecoder().decode(new Uint8Array([104, 105]))", "hi"),
        ("Array.from(new TextEncoder().encode('\u00e9'))", [0xC3, 0xA9]),
        ("[console.table([1]), console.group('x'), 1][2]", 1),
        ("[1, 2, 3].at(-1)", 3),
        ("'abc'.at(-1)", "c"),
        ("Object.hasOwn({ a: 1 }, 'a')", True),
    ],
)
async def test_c5_bytes_and_texts_are_those_of_node(sandbox: Sandbox, code: str, value: object) -> None:
    assert await answers(sandbox, f"function decodeUplink(i) {{ return {{ data: {code} }}; }}") == [value] * 3


async def test_c5_named_fields_of_arrays_are_kept(sandbox: Sandbox) -> None:
    source = """function decodeUplink(i) {
        var d = []; d.taken = 1; var e = [7]; e.volts = 3; d.inner = e; d.plain = [1, [2], []]; return { data: d };
    }"""
    expected = {"taken": 1, "inner": {"0": 7, "volts": 3}, "plain": [1, [2], []]}
    assert await answers(sandbox, source) == [expected] * 3


def test_c5_hex_bytes_are_accepted_in_an_expected_output() -> None:
    given = {"type": "downlink-encode", "input": {"data": {}}, "output": {"bytes": "0aFF", "fPort": 7}}
    (example,) = parse_examples([given])
    assert example.problem(Answer(None, bytes=b"\x0a\xff", f_port=7), None) is None
    assert "bytes" in (example.problem(Answer(None, bytes=b"\x0a", f_port=7), None) or "")


ITERATORS = {
    "array": "[].values()",
    "map": "new Map().keys()",
    "set": "new Set().values()",
    "string": "''[Symbol.iterator]()",
    "matches": "'a'.matchAll(/a/g)",
    "generator": "(function* () {})()",
    "async generator": "(async function* () {})()",
    "typed array": "new Uint8Array(1).values()",
    "arguments": "(function () { return arguments; })()",
    "promise": "Promise.resolve()",
    "error": "new RangeError('x')",
    "text encoder": "new TextEncoder()",
}


@pytest.mark.parametrize("made", ITERATORS.values(), ids=ITERATORS)
@pytest.mark.parametrize("up", [1, 2, 3])
async def test_c6_no_prototype_keeps_what_a_call_writes(sandbox: Sandbox, made: str, up: int) -> None:
    source = f"""function decodeUplink(i) {{
        var p = {made};
        for (var n = 0; n < {up}; n++) p = Object.getPrototypeOf(p) || p;
        var was = p.left || 0;
        if (i.bytes[0] === 1) try {{ p.left = was + 1; }} catch (e) {{}}
        return {{ data: was }};
    }}"""
    assert await answers(sandbox, source, 4) == [0] * 4


@pytest.mark.parametrize(
    "change",
    [
        "Object.defineProperty(globalThis, 'parseInt', { writable: false })",
        "Object.defineProperty(globalThis, 'parseInt', { enumerable: true })",
        "Object.defineProperty(globalThis, 'Buffer', { get: function () { return 1; } })",
        "delete globalThis.parseFloat",
        "Object.preventExtensions(globalThis)",
        "Object.freeze(globalThis)",
        "globalThis.left = 1",
        "globalThis[Symbol.for('left')] = 1",
        "Object.setPrototypeOf(globalThis, { left: 1 })",
        "Object.getOwnPropertyDescriptor(globalThis, 'helper').get.left = 1",
        "arguments.callee.caller",
    ],
)
async def test_c6_no_attribute_of_the_global_object_outlives_a_call(sandbox: Sandbox, change: str) -> None:
    source = f"""function helper() {{}}
    function decodeUplink(i) {{
        var d = ['parseInt', 'Buffer', 'parseFloat'].map(function (name) {{
            var own = Object.getOwnPropertyDescriptor(globalThis, name) || {{}};
            return [own.writable, own.enumerable, typeof own.value === 'function' || typeof own.get === 'function'];
        }});
        var get = Object.getOwnPropertyDescriptor(globalThis, 'helper').get;
        var symbol = globalThis[Symbol.for('left')] || 0;
        var facts = [d, Object.isExtensible(globalThis), typeof left, symbol, get.left || 0];
        {change};
        return {{ data: facts }};
    }}"""
    first, *others = await answers(sandbox, source, 4)
    assert isinstance(first, list), first
    assert others == [first] * 3
