// The stream of events from the API. Each event changes what it names.

import * as actuations from "./actuations.js";
import { ask, getKey } from "./api.js";
import { $, clockTime, make, when } from "./elements.js";
import { count, keepOnly, place, remove } from "./tiles.js";
import { word } from "./words.js";

const SILENCE_MS = 40_000; // the API sends a comment every 15 s
const NEWS_MS = 3_000;
const FIRST_PAUSE_MS = 1_000;
const MAX_PAUSE_MS = 30_000;
let receivedAt = null;
let changed = [];
let counting = false;
let troubled = false; // a service has a condition: what the page shows may be old

const handlers = {
  snapshot(body) {
    keepOnly(new Set(body.spaces.map((row) => row.id)));
    body.spaces.forEach(place);
    actuations.replaceAll(body.actuations);
    handlers.services({ conditions: [] }); // if there are any, they follow
  },
  services(body) {
    troubled = body.conditions.length > 0;
    $("services").hidden = !troubled;
    $("services").replaceChildren(...body.conditions.map((c) => make("li", {},
      make("b", {}, `${c.meaning.replace(/\.$/, "")} (${c.service}), since `, when(c.since), ". "),
      `${c.remedy} `, make("small", {}, c.evidence))));
  },
  state(row) {
    const before = place(row);
    if (before && before.state !== row.state) changed.push(`${row.code} is ${word(row.state)}`);
  },
  display: place,
  gone: (row) => remove(row.id),
  actuation: actuations.put,
};

// For screen readers: at most one sentence in 3 s.
setInterval(() => {
  if (changed.length === 0) return;
  $("news").textContent = changed.length > 3 ? `${changed.length} spaces changed` : changed.join(", ");
  changed = [];
}, NEWS_MS);

function receive(text) {
  let name = "message";
  let data = "";
  for (const line of text.split("\n")) {
    if (line.startsWith("event: ")) name = line.slice(7);
    if (line.startsWith("data: ")) data += line.slice(6);
  }
  if (!data || !handlers[name]) return;
  handlers[name](JSON.parse(data));
  if (counting) return;
  counting = true;
  requestAnimationFrame(() => {
    counting = false;
    count();
  });
}

export function showConnection(is, text) {
  if ($("connection").textContent !== text) $("connection").textContent = text;
  $("connection").dataset.is = is;
  document.body.classList.toggle("lost", is === "lost");
}

/** Reads one stream to its end. Returns false if the key is refused. */
async function read(connected) {
  const stop = new AbortController();
  let silence = setTimeout(() => stop.abort(), SILENCE_MS);
  try {
    const answer = await ask("api/v1/events", { signal: stop.signal });
    if (answer.status === 401 || answer.status === 403) return false;
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    let complete = false; // the snapshot has arrived
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return true;
      clearTimeout(silence);
      silence = setTimeout(() => stop.abort(), SILENCE_MS);
      const events = (rest + value).split("\n\n");
      rest = events.pop();
      events.forEach(receive);
      complete ||= events.some((event) => event.startsWith("event: snapshot"));
      if (!complete) continue;
      receivedAt = new Date();
      connected();
      if (troubled) showConnection("troubled", "Connected, with trouble");
      else showConnection("live", "Live");
    }
  } finally {
    clearTimeout(silence);
  }
}

/** Reads streams, one after the other, as long as there is a key. Returns false if the key is refused. */
export async function watch() {
  let pause = FIRST_PAUSE_MS;
  while (getKey()) {
    let accepted = true;
    try {
      accepted = await read(() => (pause = FIRST_PAUSE_MS));
    } catch { /* the connection is lost, as shown below */ }
    if (!getKey()) return true;
    if (!accepted) return false;
    showConnection("lost", receivedAt ? `Connection lost, data from ${clockTime(receivedAt)}` : "No connection, trying again");
    await new Promise((resume) => setTimeout(resume, pause * (0.75 + Math.random() / 2)));
    pause = Math.min(pause * 2, MAX_PAUSE_MS);
  }
  return true;
}
