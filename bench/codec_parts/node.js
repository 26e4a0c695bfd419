// Runs codecs in Node: a line of JSON on standard input for each, {source, calls: [[function, input]]}, and a line of JSON
// on standard output, a list of [text of the answer, text of what was thrown]. The functions are found as
// docs/reference/codecs.md describes.
"use strict";
const vm = require("node:vm");
const readline = require("node:readline");

const FIELDS = { decodeUplink: "data", decodeDownlink: "data", encodeDownlink: "bytes" };
const quiet = new Proxy({}, { get: () => () => undefined });

const RUN = `(function ($name, $text, $exports, $names) {
  const has = (one, name) => one !== null && ["object", "function"].includes(typeof one) && typeof one[name] === "function";
  const value = (name) => { try { return (0, eval)(name); } catch { return undefined; } };
  const find = (name) => {
    const own = value(name);
    if (typeof own === "function") return own;
    const all = [$exports.module.exports, $exports.exports, ($exports.module.exports || {}).driver,
      ($exports.module.exports || {}).default, ...["driver", ...$names].map(value)];
    const holder = all.find((one) => has(one, name));
    return holder && holder[name].bind(holder);
  };
  const input = JSON.parse($text);
  if (typeof input.recvTime === "string") input.recvTime = new Date(input.recvTime);
  if (input.variables === undefined) input.variables = {};
  const { bytes, data, fPort, variables } = input;
  const ways = [[$name, (f) => f(input)]];
  if ($name === "decodeUplink") {
    ways.push(["Decoder", (f) => ({ data: f(bytes, fPort, variables) })], ["Decode", (f) => ({ data: f(fPort, bytes, variables) })]);
  } else if ($name === "encodeDownlink") {
    ways.push(["Encoder", (f) => ({ bytes: f(data, fPort, variables) })], ["Encode", (f) => ({ bytes: f(fPort, data, variables) })]);
  }
  for (const [name, use] of ways) {
    const f = find(name);
    if (f === undefined) continue;
    const answer = use(f);
    if (answer === null || typeof answer !== "object" || typeof answer.then === "function") throw new TypeError("no answer");
    return answer;
  }
  throw new TypeError("there is no function " + $name);
})`;

function named(key, value) {
  if (typeof value === "bigint") return Number(value);
  if (!Array.isArray(value)) return value;
  const names = Object.keys(value), final = names[names.length - 1];
  return final === undefined || String(final >>> 0) === final ? value : { ...value };
}

const said = (value) => (Array.isArray(value) ? value.length > 0 : Boolean(value));

function ask(script, names, name, text) {
  const box = { console: quiet, Buffer, atob, btoa, TextDecoder, TextEncoder, exports: {} };
  box.module = { exports: box.exports };
  const context = vm.createContext(box);
  script.runInContext(context, { timeout: 2000 });
  box.$ask = [vm.runInContext(RUN, context), name, text, box, names];
  const answer = vm.runInContext("$ask[0]($ask[1], $ask[2], $ask[3], $ask[4])", context, { timeout: 2000 });
  if (answer[FIELDS[name]] === undefined && !said(answer.errors) && !said(answer.warnings)) throw new TypeError("no field");
  const { data, errors, warnings, fPort, bytes } = answer;
  const list = bytes === undefined || bytes === null ? undefined : Array.from(bytes);
  return JSON.stringify({ data, errors, warnings, fPort, bytes: list }, named);
}

function run({ source, calls }) {
  let script;
  const names = Array.from(source.matchAll(/\b(?:var|let|const|class|function)\s+([A-Za-z_$][\w$]*)/g), (match) => match[1]);
  return calls.map(([name, text]) => {
    try {
      script ||= new vm.Script(source);
      return [ask(script, names, name, text), null];
    } catch (error) {
      return [null, String((error && error.message) || error).slice(0, 300)];
    }
  });
}

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  process.stdout.write(JSON.stringify(run(JSON.parse(line))) + "\n");
});
