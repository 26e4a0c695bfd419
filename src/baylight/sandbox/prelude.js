// Runs in each context before the codec. It defines what codecs expect of their host, and the only way to call them.
// In a frozen context no change that a call makes outlives the call.
(function (global) {
  "use strict";

  const { parse, stringify } = JSON;
  const { apply, ownKeys, getPrototypeOf, getOwnPropertyDescriptor, deleteProperty } = Reflect;
  const { freeze, is } = Object;
  const { join } = Array.prototype;
  const CompiledFunction = Function;
  const MAX_ANSWER_LENGTH = 32768;

  function define(name, value) {
    Object.defineProperty(global, name, { value, writable: true, enumerable: false, configurable: true });
  }

  const quiet = () => undefined;
  define("console", { log: quiet, debug: quiet, info: quiet, warn: quiet, error: quiet, trace: quiet });

  const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

  function fromBase64(text) {
    const bytes = [];
    let bits = 0, count = 0;
    for (const letter of String(text).replace(/-/g, "+").replace(/_/g, "/").replace(/[=\s]/g, "")) {
      const value = ALPHABET.indexOf(letter);
      if (value < 0) throw new TypeError("not base64");
      bits = (bits << 6) | value;
      count += 6;
      if (count >= 8) {
        count -= 8;
        bytes.push((bits >> count) & 255);
      }
    }
    return bytes;
  }

  function toBase64(bytes) {
    let text = "";
    for (let i = 0; i < bytes.length; i += 3) {
      const left = bytes.length - i;
      const bits = (bytes[i] << 16) | ((left > 1 ? bytes[i + 1] : 0) << 8) | (left > 2 ? bytes[i + 2] : 0);
      text += ALPHABET[bits >> 18] + ALPHABET[(bits >> 12) & 63];
      text += (left > 1 ? ALPHABET[(bits >> 6) & 63] : "=") + (left > 2 ? ALPHABET[bits & 63] : "=");
    }
    return text;
  }

  const latin1 = (bytes) => Array.from(bytes, (b) => String.fromCharCode(b)).join("");
  const codes = (text) => Array.from(String(text), (letter) => letter.charCodeAt(0) & 255);
  define("atob", (text) => latin1(fromBase64(text)));
  define("btoa", (text) => toBase64(codes(text)));

  function encoded(text, encoding) {
    switch (String(encoding || "utf8").toLowerCase()) {
      case "hex": return (text.match(/[0-9a-fA-F]{2}/g) || []).map((pair) => parseInt(pair, 16));
      case "base64": return fromBase64(text);
      case "ascii": case "latin1": case "binary": return codes(text);
      default: return codes(unescape(encodeURIComponent(text)));
    }
  }

  // The part of Node's Buffer that payload codecs use.
  class Buffer extends Uint8Array {
    static from(value, encoding) {
      return new Buffer(typeof value === "string" ? encoded(value, encoding) : value);
    }
    static alloc(size) {
      return new Buffer(size);
    }
    static concat(list) {
      return new Buffer(list.flatMap((part) => Array.from(part)));
    }
    static isBuffer(value) {
      return value instanceof Buffer;
    }
    slice(from, to) {
      return this.subarray(from, to);
    }
    toString(encoding, from, to) {
      const part = Array.from(this.subarray(from, to));
      switch (String(encoding || "utf8").toLowerCase()) {
        case "hex": return part.map((b) => b.toString(16).padStart(2, "0")).join("");
        case "base64": return toBase64(part);
        case "ascii": return latin1(part.map((b) => b & 127));
        case "latin1": case "binary": return latin1(part);
        default:
          try {
            return decodeURIComponent(escape(latin1(part)));
          } catch {
            return latin1(part.map((b) => (b < 128 ? b : 0xfffd)));
          }
      }
    }
    readUIntBE(at, length) {
      let value = 0;
      for (let i = 0; i < length; i++) value = value * 256 + this[at + i];
      return value;
    }
    readUIntLE(at, length) {
      let value = 0;
      for (let i = length - 1; i >= 0; i--) value = value * 256 + this[at + i];
      return value;
    }
    readIntBE(at, length) {
      const value = this.readUIntBE(at, length);
      return value < 2 ** (8 * length - 1) ? value : value - 2 ** (8 * length);
    }
    readIntLE(at, length) {
      const value = this.readUIntLE(at, length);
      return value < 2 ** (8 * length - 1) ? value : value - 2 ** (8 * length);
    }
  }
  const kinds = { UInt8: "Uint8", Int8: "Int8", UInt16: "Uint16", Int16: "Int16", UInt32: "Uint32", Int32: "Int32",
    Float: "Float32", Double: "Float64" };
  for (const [kind, view] of Object.entries(kinds)) {
    for (const order of view.endsWith("8") ? [""] : ["LE", "BE"]) {
      const bytes = view.endsWith("8") ? 1 : parseInt(view.match(/\d+/)[0], 10) / 8;
      const on = (buffer) => new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
      const methods = {
        [`read${kind}${order}`](at = 0) {
          return on(this)[`get${view}`](at, order === "LE");
        },
        [`write${kind}${order}`](value, at = 0) {
          on(this)[`set${view}`](at, value, order === "LE");
          return at + bytes;
        },
      };
      for (const [name, value] of Object.entries(methods)) {
        for (const alias of [name, name.replace("UInt", "Uint")]) {
          Object.defineProperty(Buffer.prototype, alias, { value, writable: true, configurable: true });
        }
      }
    }
  }
  define("Buffer", Buffer);
  define("module", undefined);
  define("exports", undefined);
  // A codec's JSON may hold whole numbers of 64 bits.
  Object.defineProperty(BigInt.prototype, "toJSON", { value() { return Number(this); }, configurable: true });

  function freezeAll() {
    const seen = new Set();
    const waiting = [global, function* () {}, async function () {}, async function* () {}, [][Symbol.iterator](),
      new Map()[Symbol.iterator](), new Set()[Symbol.iterator](), ""[Symbol.iterator](), "".matchAll(/x/g)];
    while (waiting.length > 0) {
      const one = waiting.pop();
      if (one === null || (typeof one !== "object" && typeof one !== "function") || seen.has(one)) continue;
      seen.add(one);
      waiting.push(getPrototypeOf(one));
      for (const key of ownKeys(one)) {
        const { value, get, set } = getOwnPropertyDescriptor(one, key);
        waiting.push(value, get, set);
      }
    }
    seen.delete(global);
    for (const one of seen) freeze(one);
  }

  let names, values, above, compiled;
  const NAMES = ["decodeUplink", "encodeDownlink", "decodeDownlink", "Decoder", "Encoder"];

  function load(source) {
    const found = NAMES.map((name) => `${name}: typeof ${name} === "function" ? ${name} : undefined`).join(", ");
    // A function's body is parsed in sloppy mode, like a script. Unlike a script's, its variables are new for each call.
    compiled = new CompiledFunction(`${source}\n;return { ${found} };`);
    freeze(compiled.prototype);
    freeze(compiled);
  }

  function isClean() {
    for (const key of ownKeys(global)) if (!names.has(key) && !deleteProperty(global, key)) return false;
    let i = 0;
    for (const key of names) {
      const own = getOwnPropertyDescriptor(global, key);
      if (own === undefined || !is(own.value, values[i++])) return false;
    }
    return getPrototypeOf(global) === above;
  }

  function ask(name, text) {
    const exports = {};
    const module = { exports };
    define("module", module);
    define("exports", exports);
    const own = compiled();
    const find = (wanted) => [own[wanted], module.exports && module.exports[wanted], exports[wanted]]
      .find((value) => typeof value === "function");
    const input = parse(text);
    if (typeof input.recvTime === "string") input.recvTime = new Date(input.recvTime);
    const wanted = find(name);
    let result;
    if (wanted !== undefined) {
      result = wanted(input);
      if (result === null || typeof result !== "object") throw new TypeError(`${name} returns no object`);
      if (typeof result.then === "function") throw new TypeError(`${name} is asynchronous`);
    } else if (name === "decodeUplink" && find("Decoder") !== undefined) {
      result = { data: find("Decoder")(input.bytes, input.fPort) };
    } else if (name === "encodeDownlink" && find("Encoder") !== undefined) {
      result = { bytes: find("Encoder")(input.data, input.fPort) };
    } else {
      throw new TypeError(`there is no function ${name}`);
    }
    const { data, errors, warnings, fPort, bytes } = result;
    const list = bytes === undefined || bytes === null ? undefined : Array.from(bytes);
    const answer = stringify({ data, errors, warnings, fPort, bytes: list });
    if (answer.length > MAX_ANSWER_LENGTH) {
      throw new RangeError(`the answer has more than ${MAX_ANSWER_LENGTH} characters`);
    }
    return answer;
  }

  function messageOf(error) {
    if (error === null) return "out of memory"; // there was not even enough memory for an error
    try {
      const text = error !== null && typeof error === "object" && "message" in error ? error.message : error;
      return `${text}`.slice(0, 300).replace(/[\0\ud800-\udfff]/gu, "\ufffd");
    } catch {
      return "it throws a value without text";
    }
  }

  // First letter: "=" an answer, "!" what was thrown; then "." if the context may be used again, else "x".
  function call(name, text) {
    let result, spent = false;
    try {
      result = ["=", ask(name, text)];
    } catch (error) {
      result = ["!", messageOf(error)];
      spent = result[1] === "out of memory";
    }
    define("module", undefined);
    define("exports", undefined);
    // Joined, not added: sums of long texts are ropes, which the binding cannot convert.
    return apply(join, [result[0], names !== undefined && !spent && isClean() ? "." : "x", result[1]], [""]);
  }

  return function begin(source, frozen) {
    if (frozen) {
      freezeAll();
      names = new Set(ownKeys(global));
      values = Array.from(names, (key) => getOwnPropertyDescriptor(global, key).value);
      above = getPrototypeOf(global);
    }
    load(source);
    return call;
  };
})(globalThis);
