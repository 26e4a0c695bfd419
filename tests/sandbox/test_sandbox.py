"""Codecs in real worker processes: their input, what outlives a call, and the cost of a bad one."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from baylight.codecs.ts013.calls import Answer, Call, Function, Script, decode_call
from baylight.errors import DeviceDataError, TransientError
from baylight.sandbox.pool import Sandbox
from tests.support.sandbox import AT, GOOD, call


async def data(sandbox: Sandbox, body: str, **given: bytes) -> object:
    """Return what `decodeUplink` with this body returns as data."""
    (outcome,) = await sandbox.run([call(f"function decodeUplink(input) {{ {body} }}", **given)])
    assert isinstance(outcome, Answer), outcome
    return outcome.data


async def failure(sandbox: Sandbox, source: str) -> tuple[str, str]:
    (outcome,) = await sandbox.run([call(source)])
    assert isinstance(outcome, DeviceDataError), outcome
    return outcome.code, outcome.message


async def test_a_codec_gets_bytes_port_and_a_real_date(sandbox: Sandbox) -> None:
    body = "return { data: [input.bytes, input.fPort, input.recvTime instanceof Date, input.recvTime.getTime()] };"
    assert await data(sandbox, body) == [[1, 2], 10, True, AT.timestamp() * 1000]


async def test_a_long_answer_comes_through(sandbox: Sandbox) -> None:
    body = "var text = ''; for (var n = 0; n < 3000; n++) text += n + ' '; return { data: [text, text.length] };"
    text = "".join(f"{n} " for n in range(3000))
    assert await data(sandbox, body) == [text, len(text)]


async def test_warnings_and_errors_come_through(sandbox: Sandbox) -> None:
    source = "function decodeUplink() { return { data: {}, errors: ['low'], warnings: 'odd' }; }"
    (outcome,) = await sandbox.run([call(source)])
    assert outcome == Answer({}, ("low",), ("odd",))


@pytest.mark.parametrize(
    "source",
    [
        "function decodeUplink(i) { n = 010; for (k in i.bytes) n += i.bytes[k]; return { data: n }; }",
        "module.exports = { decodeUplink: function (i) { return { data: 11 }; } };",
        "exports.decodeUplink = (i) => ({ data: 11 });",
        "if (typeof module !== 'undefined') { module.exports.decodeUplink = (i) => ({ data: 11 }); }",
        "function Decoder(bytes, port) { return bytes[0] + port; }",
        "var decodeUplink = function (i) { console.log('x', i); return { data: 11 }; };",
        "function decodeUplink(i) { with (i) { return { data: fPort + 1 }; } }",
        "const decodeUplink = ({ bytes, fPort }) => ({ data: bytes[0] + fPort }); // no end of line",
        "<!-- old comment\nfunction decodeUplink(i) { return { data: 11 }; }",
    ],
    ids=["sloppy", "module", "exports", "guarded", "legacy", "console", "with", "arrow", "html"],
)
async def test_a_codec_is_a_sloppy_script_in_any_of_the_usual_shapes(sandbox: Sandbox, source: str) -> None:
    (outcome,) = await sandbox.run([call(source)])
    assert outcome == Answer(11)


async def test_encoders_and_reverse_decoders_run(sandbox: Sandbox) -> None:
    source = """
        function encodeDownlink(input) { return { bytes: Buffer.from([input.data.red ? 255 : 0, 1]), fPort: 15 }; }
        function decodeDownlink(input) { return { data: { red: input.bytes[0] === 255 } }; }
    """
    legacy = "function Encoder(object, port) { return [object.red ? 255 : 0]; }"
    outcomes = await sandbox.run(
        [
            Call(Script("new", source), Function.ENCODE_DOWNLINK, '{"data":{"red":true}}'),
            Call(Script("new", source), Function.DECODE_DOWNLINK, '{"bytes":[255,1],"fPort":15}'),
            Call(Script("old", legacy), Function.ENCODE_DOWNLINK, '{"data":{"red":true}}'),
        ]
    )
    assert outcomes == [Answer(None, bytes=b"\xff\x01", f_port=15), Answer({"red": True}), Answer(None, bytes=b"\xff")]


async def test_a_buffer_reads_as_in_node(sandbox: Sandbox) -> None:
    body = """
        var b = Buffer.from(input.bytes);
        return { data: [b.toString('hex'), b.readUInt16BE(0), b.readInt16LE(0), b.readUIntBE(0, 3), b.slice(1).length,
            b.readFloatBE(4), Buffer.from('ff80', 'hex').readInt8(1), Buffer.from('aGk=', 'base64').toString(),
            Buffer.from('\\u00e9').length, Buffer.concat([b, b]).length, Buffer.isBuffer(b), atob('aGk='), btoa('hi'),
            b.toString('base64', 0, 2), b.writeUInt16BE(258, 0), b[1]] };
    """
    sent = bytes.fromhex("ff01020340490fdb")
    expected = [
        *("ff01020340490fdb", 0xFF01, 0x01FF, 0xFF0102, 7, pytest.approx(3.1415927), -128, "hi"),
        *(2, 16, True, "hi", "aGk=", "/wE=", 2, 2),
    ]
    assert await data(sandbox, body, data=sent) == expected


async def test_a_value_that_json_lacks_becomes_one(sandbox: Sandbox) -> None:
    body = """return { data: { nan: NaN, big: 12n, never: undefined, at: new Date(0), bad: new Date(NaN),
        text: 'a\\u0000b\\ud800', backslash: '\\\\u0000' } };"""
    assert await data(sandbox, body) == {
        "nan": None,
        "big": 12,
        "at": "1970-01-01T00:00:00.000Z",
        "bad": None,
        "text": "a\ufffdb\ufffd",
        "backslash": "\\u0000",
    }


@pytest.mark.parametrize(
    "body",
    [
        "count = typeof count === 'undefined' ? 1 : count + 1; return { data: count };",
        "globalThis.count = (globalThis.count || 0) + 1; return { data: count };",
        "seen++; return { data: seen };",
        "Array.prototype.count = (Array.prototype.count || 0) + 1; return { data: [].count };",
        "var p = Object.getPrototypeOf({}); p['n' + ''] = (p['n' + ''] || 0) + 1; return { data: p.n || 1 };",
        "var was = parseInt; parseInt = function () { return 2; }; return { data: was === parseInt ? 1 : +was('1') };",
        "console.n = (console.n || 0) + 1; return { data: console.n };",
        "Math.n = (Math.n || 0) + 1; return { data: Math.n };",
        "var f = arguments.callee; f.n = (f.n || 0) + 1; return { data: f.n };",
        "Object.defineProperty(globalThis, 'fixed', { value: (globalThis.fixed || 0) + 1 }); return { data: fixed };",
        "var e = new TypeError(); e.message = 'm'; e.name = 'n'; return { data: `${e}` === 'n: m' ? 1 : 0 };",
    ],
)
async def test_nothing_leaks_from_one_call_into_the_next(sandbox: Sandbox, body: str) -> None:
    source = f"var seen = 0; function decodeUplink(input) {{ {body} }}"
    assert await sandbox.run([call(source)] * 4) == [Answer(1)] * 4


async def test_a_codec_has_no_way_out(sandbox: Sandbox) -> None:
    names = "require process fetch XMLHttpRequest setTimeout setInterval Deno std os Worker WebAssembly importScripts"
    body = f"return {{ data: {names.split()}.filter((name) => typeof globalThis[name] !== 'undefined') }};"
    assert await data(sandbox, body) == []


async def test_a_worker_has_no_secret_and_may_open_no_file(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAYLIGHT_DATABASE_URL", "postgresql://secret")
    await sandbox.run([call(GOOD.source)])
    (pid,) = sandbox.pids
    facts = Path(f"/proc/{pid}")
    if sys.platform != "linux":
        pytest.skip("there is no /proc here")
    assert b"secret" not in (facts / "environ").read_bytes()
    found = {line[:25].strip(): line[25:].split()[0] for line in (facts / "limits").read_text().splitlines()}
    assert found["Max address space"] == str(512 << 20)
    assert found["Max file size"] == "0"


FAILURES = {
    "throws": ("throw new Error('bad frame')", "codec_failed", "bad frame"),
    "throws text": ("throw 'bad frame'", "codec_failed", "bad frame"),
    "throws null": ("throw null", "codec_failed", "out of memory"),
    "throws a trap": ("throw { toString() { for (;;); } }", "codec_timeout", "100 ms"),
    "loops": ("for (;;);", "codec_timeout", "100 ms"),
    "loops and catches": ("for (;;) { try { for (;;); } catch (e) {} }", "codec_timeout", "100 ms"),
    "backtracks": ("/(a+)+$/.test('a'.repeat(50) + '!')", "codec_timeout", "100 ms"),
    "allocates": ("var a = []; for (;;) a.push(new Array(1000).fill(1))", "codec_failed", "out of memory"),
    "allocates at once": ("new Uint8Array(1e9)", "codec_failed", "out of memory"),
    "recurses": ("return decodeUplink()", "codec_failed", "call stack"),
    "returns nothing": ("return", "codec_failed", "returns no object"),
    "returns text": ("return 'occupied'", "codec_failed", "returns no object"),
    "returns a promise": ("return Promise.resolve({ data: 1 })", "codec_failed", "asynchronous"),
    "returns itself": ("var a = {}; a.a = a; return { data: a }", "codec_failed", "circular"),
    "returns a well": ("var a = []; for (var i = 0; i < 1e5; i++) a = [a]; return { data: a }", "codec_failed", ""),
    "returns depth": ("var a = []; for (var i = 0; i < 50; i++) a = [a]; return { data: a }", "codec_failed", "deeper"),
    "throws what is no text": ("throw Symbol('x')", "codec_failed", "without text"),
    "throws much": ("throw 'long '.repeat(1e5)", "codec_failed", "long long"),
    "returns much": ("return { data: 'x'.repeat(100000) }", "codec_failed", "more than 32768"),
    "returns a getter": ("return { get data() { throw new Error('gotcha'); } }", "codec_failed", "gotcha"),
    "returns a loop": ("return { data: { toJSON() { for (;;); } } }", "codec_timeout", "100 ms"),
    "returns bad bytes": ("return { data: 1, bytes: [256] }", "codec_failed", "0 to 255"),
    "returns a bad port": ("return { data: 1, fPort: '15' }", "codec_failed", "1 to 223"),
    "breaks the host": ("Array.prototype.push = JSON.stringify = null; Object.freeze(globalThis); for (;;);",
                        "codec_timeout", "100 ms"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAILURES)
async def test_a_bad_codec_fails_its_own_call_alone(sandbox: Sandbox, name: str) -> None:
    body, code, words = FAILURES[name]
    bad = call(f"function decodeUplink() {{ {body}; }}", id="bad")
    good = decode_call(GOOD, 10, b"\x01", AT)
    first, failed, second = await sandbox.run([good, bad, good])
    assert first == second == Answer({"sum": 11})
    assert isinstance(failed, DeviceDataError)
    assert failed.code == code
    assert words in failed.message
    assert "\n" not in failed.message


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("function decodeUplink(", "SyntaxError"),
        ("var x = 1;", "there is no function decodeUplink"),
        ("throw new Error('at the start');", "at the start"),
        ("import { x } from 'y'; function decodeUplink() {}", "SyntaxError"),
    ],
)
async def test_a_script_without_a_codec_is_reported(sandbox: Sandbox, source: str, words: str) -> None:
    code, message = await failure(sandbox, source)
    assert code == "codec_failed"
    assert words in message


async def test_b5_a_codec_that_always_loops_cannot_stall_the_others(sandbox: Sandbox) -> None:
    bad, good = call("function decodeUplink() { for (;;); }", id="bad"), decode_call(GOOD, 10, b"\x01", AT)
    outcomes = await sandbox.run([bad, good] * 300)
    assert outcomes[1::2] == [Answer({"sum": 11})] * 300
    codes = [o.code for o in outcomes[::2] if isinstance(o, DeviceDataError | TransientError)]
    assert codes == ["codec_timeout"] * 3 + ["codec_suspended"] * 297


async def test_a_call_that_even_the_engine_cannot_stop_costs_its_worker(sandbox: Sandbox) -> None:
    stuck = call("function decodeUplink() { Array.prototype.sort.call({ length: 2 ** 32 }); }", id="stuck")
    good = decode_call(GOOD, 10, b"\x01", AT)
    await sandbox.run([good])
    (pid,) = sandbox.pids
    first, failed, second, suspended = await sandbox.run([good, stuck, good, stuck])
    assert first == second == Answer({"sum": 11})
    assert isinstance(failed, DeviceDataError)
    assert isinstance(suspended, TransientError)
    assert (failed.code, suspended.code) == ("codec_timeout", "codec_suspended")
    assert "500 ms" in failed.message
    assert sandbox.pids != [pid]


async def test_a_worker_killed_in_the_middle_of_a_call_loses_no_call(sandbox: Sandbox) -> None:
    slow = "function decodeUplink(i) { var t = Date.now(); while (Date.now() - t < 50); return { data: i.bytes[0] }; }"
    await sandbox.run([decode_call(GOOD, 10, b"\x01", AT)])
    (first,) = sandbox.pids
    running = asyncio.create_task(sandbox.run([call(slow, data=bytes([n])) for n in range(1, 16)]))
    await asyncio.wait([running], timeout=0.1)
    os.kill(first, signal.SIGKILL)
    assert await running == [Answer(n) for n in range(1, 16)]
    assert sandbox.pids != [first]


async def test_a_worker_killed_while_it_begins_is_followed_by_another(sandbox: Sandbox) -> None:
    running = asyncio.create_task(sandbox.run([decode_call(GOOD, 10, b"\x01", AT)]))
    while not sandbox.pids:
        await asyncio.wait([running], timeout=0.001)
    os.kill(sandbox.pids[0], signal.SIGKILL)
    assert await running == [Answer({"sum": 11})]


async def test_a_cancelled_run_leaves_a_sandbox_that_works(sandbox: Sandbox) -> None:
    running = asyncio.create_task(sandbox.run([call("function decodeUplink() { for (;;); }")] * 5))
    await asyncio.wait([running], timeout=0.2)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert await sandbox.run([decode_call(GOOD, 10, b"\x01", AT)]) == [Answer({"sum": 11})]


async def test_many_codecs_share_a_worker(sandbox: Sandbox) -> None:
    sources = [f"function decodeUplink(i) {{ return {{ data: {n} }}; }}" for n in range(40)]
    calls = [call(source, id=str(n)) for n, source in enumerate(sources)] * 2
    assert await sandbox.run(calls) == [Answer(n) for n in range(40)] * 2


async def test_a_frame_without_data_is_given_to_no_codec() -> None:
    for f_port, sent in ((0, b"\x01"), (None, b"\x01"), (2, b"")):
        with pytest.raises(DeviceDataError) as raised:
            decode_call(GOOD, f_port, sent, AT)
        assert raised.value.code == "no_data"


async def test_closing_ends_the_workers() -> None:
    sandbox = Sandbox(workers=2)
    await asyncio.gather(*(sandbox.run([decode_call(GOOD, 10, b"\x01", AT)]) for _ in range(4)))
    pids = sandbox.pids
    await sandbox.close()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
