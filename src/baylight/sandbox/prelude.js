// Runs in each context before the codec. It defines what codecs expect of their host, and the only way to call them.
// In a frozen context no change that a call makes outlives the call.
(function (global) {
  "use strict";

  const { parse, stringify } = JSON;
  const { apply, ownKeys, getPrototypeOf, getOwnPropertyDescriptor, defineProperty, deleteProperty, isExtensible } = Reflect;
  const { freeze, is, keys, assign } = Object;
  const { isArray } = Array;
  const { join } = Array.prototype;
  const CompiledFunction = Function;
  const evaluate = eval;
  const MAX_ANSWER_LENGTH = 32768;

  function define(name, value) {
    defineProperty(global, name, { value, writable: true, enumerable: false, configurable: true });
  }

  const quiet = () => undefined;
  const CONSOLE = "assert clear count countReset debug dir dirxml error group groupCollapsed groupEnd info log table time"
    + " timeEnd timeLog trace warn";
  define("console", Object.fromEntries(CONSOLE.split(" ").map((name) => [name, quiet])));

  // What Node has and this engine lacks.
  const at = function (n) {
    const index = Math.trunc(n) || 0;
    return this[index < 0 ? this.length + index : index];
  };
  const lastIndex = function (test, self) {
    for (let n = this.length - 1; n >= 0; n--) if (apply(test, self, [this[n], n, this])) return n;
    return -1;
  };
  const last = function (test, self) { return this[apply(lastIndex, this, [test, self])]; };
  const lacking = [
    [Array.prototype, { at, findLast: last, findLastIndex: lastIndex }],
    [getPrototypeOf(Uint8Array.prototype), { at, findLast: last, findLastIndex: lastIndex }],
    [String.prototype, { at }],
    [Object, { hasOwn: (one, key) => getOwnPropertyDescriptor(Object(one), key) !== undefined }],
    // A codec's JSON may hold whole numbers of 64 bits.
    [BigInt.prototype, { toJSON() { return Number(this); } }],
  ];
  for (const [target, methods] of lacking) {
    for (const name of keys(methods)) {
      if (!(name in target)) defineProperty(target, name, { value: methods[name], writable: true, configurable: true });
    }
  }
  define("module", undefined);
  define("exports", undefined);

  // Builtins -----------------------------------------------------------------------------------------------------------

  function builtins() {
    const seen = new Set();
    const waiting = [global, function* () {}, async function () {}, async function* () {}, [][Symbol.iterator](),
      new Map()[Symbol.iterator](), new Set()[Symbol.iterator](), ""[Symbol.iterator](), "".matchAll(/x/g),
      (function () { return getOwnPropertyDescriptor(arguments, "callee").get; })()];
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
    return Array.from(seen);
  }

  function recorded(one) {
    const names = ownKeys(one);
    const own = names.map((key) => getOwnPropertyDescriptor(one, key));
    return { one, names, own, above: getPrototypeOf(one), extensible: isExtensible(one) };
  }

  const sameProperty = (a, b) => b !== undefined && is(a.value, b.value) && a.get === b.get && a.set === b.set
    && a.writable === b.writable && a.enumerable === b.enumerable && a.configurable === b.configurable;

  function isAsRecorded({ one, names, own, above, extensible }) {
    if (isExtensible(one) !== extensible || getPrototypeOf(one) !== above || ownKeys(one).length !== names.length) return false;
    for (let n = 0; n < names.length; n++) {
      if (!sameProperty(own[n], getOwnPropertyDescriptor(one, names[n]))) return false;
    }
    return true;
  }

  // Methods of arrays that no codec uses as the name of a field. Those of other names become accessors, which are slower.
  const METHODS = new Set(["push", "pop", "shift", "slice", "splice", "map", "forEach", "join", "indexOf", "concat"]);
  let spent = false;

  // A frozen property cannot be shadowed by assignment. An accessor lets `error.message = …` work as ever.
  function letShadow(holder) {
    for (const key of ownKeys(holder)) {
      const { value, writable, configurable, enumerable } = getOwnPropertyDescriptor(holder, key);
      if (!writable || !configurable || (isArray(holder) && METHODS.has(key))) continue;
      const get = () => value;
      const set = function (given) {
        if (this === holder) spent = true; // the codec changes a builtin: it needs a context of its own
        else defineProperty(this, key, { value: given, writable: true, enumerable: true, configurable: true });
      };
      defineProperty(holder, key, { get: freeze(get), set: freeze(set), enumerable, configurable: true });
    }
  }

  function freezeAll(all) {
    const errors = [Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError];
    for (const holder of [Object, Function, Array, ...errors]) letShadow(holder.prototype);
    for (const one of all) freeze(one);
  }

  // The codec ----------------------------------------------------------------------------------------------------------

  const NAMES = ["decodeUplink", "encodeDownlink", "decodeDownlink", "Decoder", "Encoder", "Decode", "Encode"];
  const FIELDS = { decodeUplink: "data", decodeDownlink: "data", encodeDownlink: "bytes" };
  let compiled, host, reach, holders;

  const after = (end) => (end < 0 ? end : end + 2);

  // Scanned, not matched: an expression over many comments tries each of their ends again and again.
  function isStrict(source) {
    for (let at = 0; ;) {
      if (/\s/.test(source[at])) at += 1;
      else if (source.startsWith("//", at)) at = source.indexOf("\n", at);
      else if (source.startsWith("/*", at)) at = after(source.indexOf("*/", at + 2));
      else return source.startsWith('"use strict"', at) || source.startsWith("'use strict'", at);
      if (at < 0) return false;
    }
  }

  // Names of the variables and functions that the text declares at its top. Nothing of the text runs.
  function declared(source) {
    const before = recorded(global);
    try {
      evaluate(`throw null;\n${source}`);
    } catch {
      // always: either the throw, or a text that cannot be compiled
    }
    const names = ownKeys(global).filter((key) => !before.names.includes(key));
    for (const name of names) deleteProperty(global, name);
    before.names.forEach((key, n) => defineProperty(global, key, before.own[n]));
    return names;
  }

  function load(source) {
    const names = declared(source);
    const lexical = Array.from(source.matchAll(/\b(?:let|const|class)\s+([A-Za-z_$][\w$]*)/g), (match) => match[1]);
    holders = Array.from(new Set(["driver", ...names, ...lexical]));
    const found = NAMES.map((name) => `${name}: typeof ${name} === "function" ? ${name} : undefined`).join(", ");
    // A function's body is parsed in sloppy mode, like a script. Unlike a script's, its variables are new for each call.
    compiled = new CompiledFunction("$host", `${isStrict(source) ? "'use strict';" : ""}
      $host(($name, $value, $set) => $set ? eval($name + " = $value") : eval($name));
      ${source}\n;return { ${found} };`);
    freeze(compiled.prototype);
    freeze(compiled);
    host = freeze((given) => { reach = given; });
    for (const name of names) { // as in a script, they are properties of the global object
      const get = freeze(() => reach(name)), set = freeze((value) => reach(name, value, true));
      defineProperty(global, name, { get, set, enumerable: true, configurable: false });
    }
  }

  const hasFunction = (one, name) =>
    one !== null && (typeof one === "object" || typeof one === "function") && typeof one[name] === "function";

  // An object at the top of the text that carries the function, such as `var driver = …`.
  function holderOf(wanted) {
    for (const name of holders) {
      const one = reach(`typeof ${name} === "object" || typeof ${name} === "function" ? ${name} : undefined`);
      if (hasFunction(one, wanted)) return one;
    }
  }

  function finder(module, exports, own) {
    return (wanted) => {
      if (own[wanted] !== undefined) return (...given) => apply(own[wanted], undefined, given);
      const all = [module.exports, exports, module.exports && module.exports.driver, module.exports && module.exports.default];
      const holder = all.find((one) => hasFunction(one, wanted)) || holderOf(wanted);
      return holder && ((...given) => holder[wanted](...given));
    };
  }

  function result(name, input, find) {
    const wanted = find(name);
    if (wanted !== undefined) {
      const answer = wanted(input);
      if (answer === null || typeof answer !== "object") throw new TypeError(`${name} returns no object`);
      if (typeof answer.then === "function") throw new TypeError(`${name} is asynchronous`);
      return answer;
    }
    const { bytes, data, fPort, variables } = input;
    const legacy = name === "decodeUplink" ? [["Decoder", bytes, fPort, variables], ["Decode", fPort, bytes, variables]]
      : name === "encodeDownlink" ? [["Encoder", data, fPort, variables], ["Encode", fPort, data, variables]] : [];
    for (const [old, ...given] of legacy) {
      const call = find(old);
      if (call !== undefined) return { [FIELDS[name]]: call(...given) };
    }
    throw new TypeError(`there is no function ${name}`);
  }

  const said = (value) => (isArray(value) ? value.length > 0 : Boolean(value));

  function complete(name, answer) {
    const field = FIELDS[name];
    if (answer[field] !== undefined || said(answer.errors) || said(answer.warnings)) return answer;
    const others = keys(answer).filter((key) => answer[key] !== undefined).slice(0, 5).join("`, `");
    throw new TypeError(`the answer of ${name} has no \`${field}\`${others && `: it has only \`${others}\``}`);
  }

  // JSON has no arrays with named fields, which codecs make of `var data = []; data.taken = 1`. They become objects.
  function named(key, value) {
    if (!isArray(value)) return value;
    const names = keys(value), final = names[names.length - 1];
    return final === undefined || `${final >>> 0}` === final ? value : assign({}, value);
  }

  function ask(name, text) {
    const exports = {};
    const module = { exports };
    define("module", module);
    define("exports", exports);
    const own = apply(compiled, global, [host]);
    const input = parse(text);
    if (typeof input.recvTime === "string") input.recvTime = new Date(input.recvTime);
    if (input.variables === undefined) input.variables = {};
    const { data, errors, warnings, fPort, bytes } = complete(name, result(name, input, finder(module, exports, own)));
    const list = bytes === undefined || bytes === null ? undefined : Array.from(bytes);
    const answer = stringify({ data, errors, warnings, fPort, bytes: list }, named);
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

  let globals, before;

  function isClean() {
    for (const key of ownKeys(global)) if (!globals.known.has(key) && !deleteProperty(global, key)) return false;
    return isAsRecorded(globals);
  }

  // First letter: "=" an answer, "!" what was thrown. Second: "." if the context may be used again, "x" if not, and
  // "b" if the call has changed a builtin of a frozen context, so that its answer is not to be used.
  function call(name, text) {
    let answer, usable = globals !== undefined;
    spent = false;
    try {
      answer = ["=", ask(name, text)];
    } catch (error) {
      answer = ["!", messageOf(error)];
      usable = usable && answer[1] !== "out of memory";
    }
    reach = undefined;
    define("module", undefined);
    define("exports", undefined);
    // Joined, not added: sums of long texts are ropes, which the binding cannot convert.
    return apply(join, [answer[0], spent ? "b" : usable && isClean() ? "." : "x", answer[1]], [""]);
  }

  // After the first call: freeze the builtins, and return ".", unless the call has changed one of them.
  function settle() {
    const unchanged = before.every(isAsRecorded);
    if (unchanged) freezeAll(before.map(({ one }) => one));
    before = undefined;
    return unchanged ? "." : "x";
  }

  function begin(source, keep, buffer) {
    const install = () => evaluate(buffer)(define);
    if (keep) {
      install();
    } else {
      for (const name of ["Buffer", "atob", "btoa", "TextDecoder", "TextEncoder"]) {
        const get = () => (install(), global[name]);
        defineProperty(global, name, { get, set: (value) => define(name, value), enumerable: false, configurable: true });
      }
    }
    load(source);
    if (keep) {
      before = builtins().map(recorded);
      globals = recorded(global);
      globals.known = new Set(globals.names);
    }
  }

  return (act, ...given) => (act === "begin" ? begin(...given) : act === "settle" ? settle() : call(...given));
})(globalThis);
