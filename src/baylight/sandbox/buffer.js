// Bytes and texts: the part of Node's Buffer that payload codecs use, atob, btoa, TextDecoder and TextEncoder.
(function (define) {
  "use strict";

  const { construct, setPrototypeOf } = Reflect;
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

  function toUtf8(text) {
    const bytes = [];
    for (const letter of String(text)) {
      let code = letter.codePointAt(0);
      if (code >= 0xd800 && code < 0xe000) code = 0xfffd; // half of a pair
      if (code < 0x80) bytes.push(code);
      else if (code < 0x800) bytes.push(0xc0 | (code >> 6), 0x80 | (code & 63));
      else if (code < 0x10000) bytes.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
      else bytes.push(0xf0 | (code >> 18), 0x80 | ((code >> 12) & 63), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
    }
    return bytes;
  }

  // The decoder of the WHATWG encoding standard: each damaged sequence becomes one U+FFFD.
  function fromUtf8(bytes, fatal) {
    let text = "", code = 0, needed = 0, low = 0x80, high = 0xbf;
    const damaged = () => {
      if (fatal) throw new TypeError("The encoded data was not valid for encoding utf-8");
      text += "\ufffd";
      needed = 0;
      [low, high] = [0x80, 0xbf];
    };
    for (const byte of bytes) {
      if (needed > 0 && (byte < low || byte > high)) damaged();
      else if (needed > 0) {
        [low, high] = [0x80, 0xbf];
        code = (code << 6) | (byte & 63);
        if (--needed === 0) text += String.fromCodePoint(code);
        continue;
      }
      if (byte < 0x80) text += String.fromCharCode(byte);
      else if (byte >= 0xc2 && byte <= 0xdf) [needed, code] = [1, byte & 31];
      else if (byte >= 0xe0 && byte <= 0xef) {
        if (byte === 0xe0) low = 0xa0;
        if (byte === 0xed) high = 0x9f;
        [needed, code] = [2, byte & 15];
      } else if (byte >= 0xf0 && byte <= 0xf4) {
        if (byte === 0xf0) low = 0x90;
        if (byte === 0xf4) high = 0x8f;
        [needed, code] = [3, byte & 7];
      } else damaged();
    }
    if (needed > 0) damaged();
    return text;
  }

  const latin1 = (bytes) => Array.from(bytes, (b) => String.fromCharCode(b)).join("");
  const codes = (text) => Array.from({ length: text.length }, (_, n) => text.charCodeAt(n) & 255);
  define("atob", (text) => latin1(fromBase64(text)));
  define("btoa", (text) => toBase64(codes(String(text))));

  function encoded(text, encoding) {
    switch (String(encoding || "utf8").toLowerCase()) {
      case "hex": return (/^(?:[0-9a-f]{2})*/i.exec(text)[0].match(/../g) || []).map((pair) => parseInt(pair, 16));
      case "base64": case "base64url": return fromBase64(text);
      case "ascii": case "latin1": case "binary": return codes(text);
      case "ucs2": case "ucs-2": case "utf16le": case "utf-16le":
        return Array.from(text.split("")).flatMap((letter) => [letter.charCodeAt(0) & 255, letter.charCodeAt(0) >> 8]);
      case "utf8": case "utf-8": return toUtf8(text);
      default: throw new TypeError(`Unknown encoding: ${encoding}`);
    }
  }

  function decoded(bytes, encoding) {
    switch (String(encoding || "utf8").toLowerCase()) {
      case "hex": return Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
      case "base64": return toBase64(bytes);
      case "base64url": return toBase64(bytes).replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, "");
      case "ascii": return latin1(bytes.map((b) => b & 127));
      case "latin1": case "binary": return latin1(bytes);
      case "ucs2": case "ucs-2": case "utf16le": case "utf-16le":
        return Array.from({ length: bytes.length >> 1 }, (_, n) =>
          String.fromCharCode(bytes[2 * n] | (bytes[2 * n + 1] << 8))).join("");
      case "utf8": case "utf-8": return fromUtf8(bytes, false);
      default: throw new TypeError(`Unknown encoding: ${encoding}`);
    }
  }

  // A function, not a class: old codecs call it without `new`.
  function Buffer(value, encoding, length) {
    let given = [value, encoding, length];
    if (typeof value === "string") given = [encoded(value, encoding)];
    else if (value && value.type === "Buffer" && Array.isArray(value.data)) given = [value.data];
    else if (!(value instanceof ArrayBuffer)) given = [value];
    return construct(Uint8Array, given, new.target || Buffer);
  }
  setPrototypeOf(Buffer, Uint8Array);
  Buffer.prototype = Object.create(Uint8Array.prototype, {
    constructor: { value: Buffer, writable: true, configurable: true },
  });

  function check(buffer, at, length) {
    if (!Number.isInteger(at) || at < 0 || at + length > buffer.length) {
      throw new RangeError(`The value of "offset" is out of range: ${at}`);
    }
  }

  function add(target, methods) {
    for (const name of Object.keys(methods)) {
      Object.defineProperty(target, name, { value: methods[name], writable: true, configurable: true });
    }
  }

  add(Buffer, {
    from(value, encoding, length) {
      if (typeof value === "number" || value === undefined || value === null) {
        throw new TypeError("The first argument must be a string, a Buffer or an array");
      }
      return new Buffer(value, encoding, length);
    },
    alloc(size, fill, encoding) {
      const made = new Buffer(size);
      return fill === undefined ? made : made.fill(fill, 0, size, encoding);
    },
    allocUnsafe(size) { return new Buffer(size); },
    byteLength(value, encoding) { return typeof value === "string" ? encoded(value, encoding).length : value.byteLength; },
    concat(list, length) {
      const all = list.flatMap((part) => Array.from(part));
      if (length === undefined) return new Buffer(all);
      return new Buffer(Array.from({ length }, (_, n) => all[n] || 0));
    },
    compare(a, b) { return a.compare(b); },
    isBuffer(value) { return value instanceof Buffer; },
    isEncoding(name) {
      return /^(hex|base64(url)?|ascii|latin1|binary|utf-?8|ucs-?2|utf-?16le)$/i.test(String(name));
    },
  });

  function sized(method) {
    return function (...given) {
      const length = given.pop();
      if (!(length >= 1 && length <= 6)) throw new RangeError(`The value of "byteLength" is out of range: ${length}`);
      check(this, given[given.length - 1], length);
      return method(this, length, ...given);
    };
  }

  const little = (buffer, length, at) => buffer.subarray(at, at + length).reduceRight((sum, byte) => sum * 256 + byte, 0);
  const big = (buffer, length, at) => buffer.subarray(at, at + length).reduce((sum, byte) => sum * 256 + byte, 0);
  const signed = (read) => (buffer, length, at) => {
    const value = read(buffer, length, at);
    return value < 2 ** (8 * length - 1) ? value : value - 2 ** (8 * length);
  };
  const write = (order) => (buffer, length, value, at) => {
    let rest = value < 0 ? value + 2 ** (8 * length) : value;
    for (let n = 0; n < length; n++, rest = Math.floor(rest / 256)) buffer[at + (order < 0 ? length - 1 - n : n)] = rest % 256;
    return at + length;
  };

  function found(value, encoding) {
    return typeof value === "number" ? [value & 255] : typeof value === "string" ? encoded(value, encoding) : value;
  }

  add(Buffer.prototype, {
    slice(from, to) { return this.subarray(from, to); },
    toString(encoding, from, to) { return decoded(Array.from(this.subarray(from, to)), encoding); },
    toJSON() { return { type: "Buffer", data: Array.from(this) }; },
    equals(other) { return this.compare(other) === 0; },
    compare(other) {
      for (let n = 0; n < Math.min(this.length, other.length); n++) {
        if (this[n] !== other[n]) return this[n] < other[n] ? -1 : 1;
      }
      return Math.sign(this.length - other.length);
    },
    copy(target, at = 0, from = 0, to = this.length) {
      const part = this.subarray(from, Math.min(to, from + target.length - at));
      target.set(part, at);
      return part.length;
    },
    fill(value, from = 0, to = this.length, encoding) {
      const bytes = found(value, typeof from === "string" ? from : encoding);
      const begin = typeof from === "string" ? 0 : from;
      for (let n = begin; n < to && bytes.length > 0; n++) this[n] = bytes[(n - begin) % bytes.length];
      return this;
    },
    write(text, at, length, encoding) {
      const named = [at, length, encoding].find((one) => typeof one === "string");
      const begin = typeof at === "number" ? at : 0;
      const part = encoded(text, named).slice(0, Math.min(typeof length === "number" ? length : this.length, this.length - begin));
      this.set(part, begin);
      return part.length;
    },
    indexOf(value, from = 0, encoding) {
      const bytes = found(value, encoding);
      for (let n = from < 0 ? Math.max(0, this.length + from) : from; n + bytes.length <= this.length; n++) {
        if (bytes.every((byte, i) => this[n + i] === byte)) return n;
      }
      return -1;
    },
    includes(value, from, encoding) { return this.indexOf(value, from, encoding) >= 0; },
    readUIntLE: sized(little), readUIntBE: sized(big), readIntLE: sized(signed(little)), readIntBE: sized(signed(big)),
    writeUIntLE: sized(write(1)), writeUIntBE: sized(write(-1)), writeIntLE: sized(write(1)), writeIntBE: sized(write(-1)),
  });
  for (const [name, width] of [["swap16", 2], ["swap32", 4], ["swap64", 8]]) {
    add(Buffer.prototype, {
      [name]() {
        if (this.length % width) throw new RangeError(`Buffer size must be a multiple of ${8 * width}-bits`);
        for (let n = 0; n < this.length; n += width) this.subarray(n, n + width).reverse();
        return this;
      },
    });
  }

  const kinds = { UInt8: "Uint8", Int8: "Int8", UInt16: "Uint16", Int16: "Int16", UInt32: "Uint32", Int32: "Int32",
    Float: "Float32", Double: "Float64", BigUInt64: "BigUint64", BigInt64: "BigInt64" };
  for (const [kind, view] of Object.entries(kinds)) {
    const bytes = parseInt(view.match(/\d+/)[0], 10) / 8;
    for (const order of bytes === 1 ? [""] : ["LE", "BE"]) {
      const on = (buffer, at) => {
        check(buffer, at, bytes);
        return new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
      };
      const methods = {
        [`read${kind}${order}`](at = 0) { return on(this, at)[`get${view}`](at, order === "LE"); },
        [`write${kind}${order}`](value, at = 0) {
          on(this, at)[`set${view}`](at, value, order === "LE");
          return at + bytes;
        },
      };
      for (const name of Object.keys(methods)) {
        add(Buffer.prototype, { [name]: methods[name], [name.replace("UInt", "Uint")]: methods[name] });
      }
    }
  }
  for (const name of ["UIntLE", "UIntBE"]) {
    const alias = name.replace("UInt", "Uint");
    add(Buffer.prototype, {
      [`read${alias}`]: Buffer.prototype[`read${name}`], [`write${alias}`]: Buffer.prototype[`write${name}`],
    });
  }
  define("Buffer", Buffer);

  const viewed = (value) => value === undefined ? [] :
    ArrayBuffer.isView(value) ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength) : new Uint8Array(value);
  define("TextDecoder", class TextDecoder {
    constructor(label = "utf-8", { fatal = false, ignoreBOM = false } = {}) {
      const names = { utf8: "utf-8", "utf-8": "utf-8", ascii: "latin1", latin1: "latin1", "iso-8859-1": "latin1",
        "utf-16le": "utf16le", "utf-16": "utf16le" };
      this.encoding = names[String(label).trim().toLowerCase()];
      if (this.encoding === undefined) throw new RangeError(`The "${label}" encoding is not supported`);
      Object.assign(this, { fatal, ignoreBOM });
    }
    decode(value) {
      const bytes = Array.from(viewed(value));
      const text = this.encoding === "utf-8" ? fromUtf8(bytes, this.fatal) : decoded(bytes, this.encoding);
      return !this.ignoreBOM && text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
    }
  });
  define("TextEncoder", class TextEncoder {
    get encoding() { return "utf-8"; }
    encode(text = "") { return new Uint8Array(toUtf8(text)); }
  });
});
