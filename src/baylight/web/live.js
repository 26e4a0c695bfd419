// The live page. Data: one stream of events from the API, kept in two maps; each event touches what it names.

const WORDS = {
  FREE: "Free", OCCUPIED: "Occupied", RESERVED: "Reserved",
  MAINTENANCE: "Maintenance", OUT_OF_ORDER: "Out of order", UNKNOWN: "Unknown",
};
const MARKS = {
  pending: ["…", "The light is being changed"],
  drifted: ["≠", "The light shows something else than it must"],
  unreachable: ["!", "The light does not answer"],
  misconfigured: ["×", "The light has no code for this state"],
  unknown: ["?", "Nobody knows yet what the light shows"],
};
const SILENCE_MS = 40_000; // a comment comes every 15 s
const MOST_ACTUATIONS = 12;

const $ = (id) => document.getElementById(id);
const spaces = new Map(); // id -> { row, tile }
const floors = new Map(); // location -> its elements
const actuations = new Map(); // id -> row
const natural = new Intl.Collator(undefined, { numeric: true });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
let heardAt = null;
let changed = [];

// ---- small things

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function icon(state) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", "#" + state);
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}

const word = (state) => WORDS[state] ?? state;
const chip = (state) => make("span", { class: "chip " + state }, icon(state), word(state));

function when(text) {
  const at = new Date(text);
  const today = at.toDateString() === new Date().toDateString();
  return make("time", { datetime: text, title: day.format(at) }, (today ? clock : day).format(at));
}

/** A sentence of the API, its instants in the viewer's time. */
function local(text) {
  return text.split(/(\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d))/).map((part, place) => (place % 2 ? when(part) : part));
}

// ---- spaces

function mark(row) {
  return row.display && row.sync_status !== "in_sync" ? (MARKS[row.sync_status] ?? MARKS.unknown) : null;
}

const needsAttention = (row) => mark(row) !== null && row.sync_status !== "pending";

function place(row) {
  const before = spaces.get(row.id);
  const tile = before?.tile ?? newTile(row.id);
  spaces.set(row.id, { row, tile });
  const sign = mark(row);
  const shows = row.display_state && row.display_state !== row.state ? "light: " + word(row.display_state) : null;
  tile.className = `bay ${row.state}${needsAttention(row) ? " marked" : ""}`;
  tile.title = `${row.name} · since ${day.format(new Date(row.since))}`;
  tile.setAttribute("aria-label", [row.code, word(row.state), shows, sign?.[1]].filter(Boolean).join(", "));
  tile.replaceChildren(
    make("span", { class: "code" }, row.code),
    make("span", { class: "state" }, icon(row.state), word(row.state)),
    ...(shows ? [make("span", { class: "light" }, shows.toLowerCase())] : []),
    ...(sign ? [make("span", { class: "mark " + row.sync_status }, sign[0])] : []),
  );
  if (!before || before.row.location !== row.location || before.row.code !== row.code) settle(row, tile);
  return before?.row;
}

function newTile(id) {
  const tile = make("button", { type: "button" });
  tile.addEventListener("click", () => explain(spaces.get(id).row));
  return tile;
}

function settle(row, tile) {
  const bays = floor(row.location ?? "").bays;
  tile.dataset.code = row.code;
  const after = [...bays.children].find((other) => other !== tile && natural.compare(other.dataset.code, row.code) > 0);
  bays.insertBefore(tile, after ?? null);
}

function floor(location) {
  if (floors.has(location)) return floors.get(location);
  const parts = location.split("/");
  const name = parts.pop() || "Without a location";
  const above = parts.length ? make("span", {}, parts.join(" › ") + " › ") : "";
  const made = {
    counts: make("p", { class: "counts" }),
    share: make("div", { class: "share", "aria-hidden": "true" }),
    bays: make("div", { class: "bays" }),
  };
  made.section = make(
    "section", { class: "floor" },
    make("header", {}, make("h2", {}, above, name), made.counts), made.share, made.bays,
  );
  made.section.dataset.location = location;
  const after = [...$("floors").children].find((other) => natural.compare(other.dataset.location, location) > 0);
  $("floors").insertBefore(made.section, after ?? null);
  floors.set(location, made);
  return made;
}

function remove(id) {
  spaces.get(id)?.tile.remove();
  spaces.delete(id);
}

function count() {
  const all = {};
  const each = new Map();
  let marked = 0;
  for (const { row } of spaces.values()) {
    const counts = each.get(row.location ?? "") ?? {};
    each.set(row.location ?? "", counts);
    counts[row.state] = (counts[row.state] ?? 0) + 1;
    all[row.state] = (all[row.state] ?? 0) + 1;
    marked += needsAttention(row) ? 1 : 0;
  }
  for (const [location, made] of floors) {
    const counts = each.get(location);
    if (!counts) {
      made.section.remove();
      floors.delete(location);
      continue;
    }
    made.counts.replaceChildren(...told(counts));
    made.share.replaceChildren(
      ...Object.keys(WORDS).filter((state) => counts[state]).map((state) => {
        const part = make("i", { class: state });
        part.style.flexGrow = counts[state];
        return part;
      }),
    );
  }
  $("totals").replaceChildren(
    ...Object.keys(WORDS)
      .filter((state) => all[state] || state === "FREE" || state === "OCCUPIED")
      .map((state) => make("li", {}, make("b", {}, String(all[state] ?? 0)), " " + word(state).toLowerCase())),
  );
  $("only").hidden = marked === 0 && !$("attention").checked;
  $("attention-text").textContent = marked === 1 ? "1 light needs attention" : `${marked} lights need attention`;
  document.title = `${all.FREE ?? 0} free · Baylight`;
}

function told(counts) {
  const free = counts.FREE ?? 0;
  const total = Object.values(counts).reduce((sum, amount) => sum + amount, 0);
  const others = Object.keys(WORDS)
    .filter((state) => state !== "FREE" && counts[state])
    .map((state) => `${counts[state]} ${word(state).toLowerCase()}`);
  return [make("b", {}, `${free} free`), ` of ${total}${others.length ? " · " + others.join(" · ") : ""}`];
}

// ---- actuations

function drawActuations() {
  const newest = [...actuations.values()].sort((a, b) => (a.id < b.id ? 1 : -1));
  for (const old of newest.splice(MOST_ACTUATIONS)) actuations.delete(old.id);
  $("actuations").replaceChildren(
    ...newest.map((row) =>
      make(
        "li", {},
        when(row.created_at),
        make("span", {}, make("b", {}, row.space), " → " + word(row.new_state).toLowerCase()),
        make("span", { class: "status " + row.status }, row.status),
        row.error && row.status === "failed" ? make("small", {}, row.error) : null,
      ),
    ),
  );
}

// ---- why

async function explain(row) {
  $("why-title").textContent = row.code;
  $("why-body").replaceChildren(make("p", {}, "Asking…"));
  if (!$("why").open) $("why").showModal();
  try {
    const answer = await ask(`/api/v1/spaces/${encodeURIComponent(row.code)}/why`);
    const told = await answer.json();
    if (!answer.ok) throw new Error(told.detail);
    $("why-body").replaceChildren(...explanation(told));
  } catch (error) {
    $("why-body").replaceChildren(make("p", { class: "problem" }, `No answer: ${error.message}`));
  }
}

function part(title, ...content) {
  return make("section", {}, make("h3", {}, title), ...content);
}

function facts(pairs) {
  const list = make("dl", { class: "facts" });
  for (const [name, value] of pairs) {
    if (value !== null && value !== undefined) list.append(make("dt", {}, name), make("dd", {}, ...[value].flat()));
  }
  return list;
}

function light(seen) {
  if (!seen || (!seen.state && !seen.code)) return null;
  const swatch = make("i", { class: "swatch" });
  if (seen.rgb) swatch.style.backgroundColor = seen.rgb;
  const text = [seen.state ? word(seen.state).toLowerCase() : "none of its states", seen.colour].filter(Boolean).join(", ");
  return [swatch, text, ...(seen.at ? [" · ", when(seen.at)] : [])];
}

function explanation(why) {
  const { space, display, uplink, cause } = why;
  const parts = [
    make("p", {}, chip(space.state), " since ", when(space.state_at)),
    part(
      "Rules that apply, the first wins",
      make("ol", { class: "rules" }, ...why.rules.map((rule) =>
        make("li", {}, make("span", {}, rule.state ? chip(rule.state) : ""), make("span", {}, ...local(rule.detail))),
      )),
    ),
  ];
  if (cause) {
    parts.push(part(cause.kind === "override" ? "Override" : "Reservation", facts([
      ["from", when(cause.from_at)], ["until", cause.until_at ? when(cause.until_at) : "it is ended"],
      ["by", cause.actor], ["reason", cause.reason],
    ])));
  }
  parts.push(part("Light", display
    ? facts([
      ["must show", light(display.desired)],
      ["was sent", light(display.commanded) ?? "nothing"],
      ["reports", light(display.reported) ?? "nothing yet"],
      ["in short", display.sync_status === "in_sync" ? "It shows what it must." : (MARKS[display.sync_status]?.[1] ?? "")],
      ["last heard", display.last_seen_at && when(display.last_seen_at)],
      ["DevEUI", make("span", { class: "mono" }, display.dev_eui)],
    ])
    : make("p", {}, "This space has no display.")));
  parts.push(part("Sensor", uplink
    ? facts([
      ["says", uplink.occupancy ? word(uplink.occupancy).toLowerCase() : `nothing about the bay (${uplink.outcome})`],
      ["heard", when(uplink.received_at)],
      ["data", make("span", { class: "mono" }, `${uplink.data || "none"} on port ${uplink.f_port}`)],
      ["signal", uplink.rssi_dbm === null ? null : `${uplink.rssi_dbm} dBm, SNR ${uplink.snr_db} dB`],
      ["DevEUI", make("span", { class: "mono" }, uplink.dev_eui)],
    ])
    : make("p", {}, space.sensor_dev_eui ? `${space.sensor_dev_eui} was never heard.` : "This space has no sensor.")));
  if (why.actuations.length) {
    parts.push(part("Actuations", ...why.actuations.map(({ actuation: one, colour }) =>
      make(
        "div", { class: "delivery" },
        make("b", {}, word(one.new_state)), colour ? ` (${colour}) ` : " ",
        make("span", { class: "status " + one.status }, one.status),
        one.downlink_error ? make("p", { class: "problem" }, one.downlink_error) : null,
        make("ol", { class: "steps" },
          make("li", {}, when(one.created_at), `decided: ${one.trigger_type.replaceAll("_", " ")}`),
          ...one.steps.map((step) => make("li", {}, when(step.at), [step.kind, step.detail].filter(Boolean).join(": ")))),
      ))));
  }
  return parts;
}

// ---- news for those who listen instead of look: at most one sentence each three seconds

setInterval(() => {
  if (changed.length === 0) return;
  $("news").textContent = changed.length > 3 ? `${changed.length} spaces changed` : changed.join(", ");
  changed = [];
}, 3000);

// ---- the stream

const take = {
  snapshot(body) {
    const known = new Set(body.spaces.map((row) => row.id));
    for (const id of [...spaces.keys()]) if (!known.has(id)) remove(id);
    body.spaces.forEach(place);
    actuations.clear();
    body.actuations.forEach((row) => actuations.set(row.id, row));
    drawActuations();
  },
  state(row) {
    const before = place(row);
    if (before && before.state !== row.state) changed.push(`${row.code} is ${word(row.state).toLowerCase()}`);
  },
  display: place,
  gone: (row) => remove(row.id),
  actuation(row) {
    actuations.set(row.id, row);
    drawActuations();
  },
};

let counting = false;
function receive(text) {
  let name = "message";
  let data = "";
  for (const line of text.split("\n")) {
    if (line.startsWith("event: ")) name = line.slice(7);
    if (line.startsWith("data: ")) data += line.slice(6);
  }
  if (!data || !take[name]) return;
  take[name](JSON.parse(data));
  if (counting) return;
  counting = true;
  requestAnimationFrame(() => {
    counting = false;
    count();
  });
}

function connection(is, text) {
  if ($("connection").textContent !== text) $("connection").textContent = text;
  $("connection").dataset.is = is;
  document.body.classList.toggle("lost", is === "lost");
}

const ask = (path, options = {}) =>
  fetch(path, { ...options, cache: "no-store", headers: { Authorization: `Bearer ${sessionStorage.getItem("key")}` } });

/** Reads one stream to its end. Returns false if the key was refused. */
async function watch(connected) {
  const stop = new AbortController();
  let silence = setTimeout(() => stop.abort(), SILENCE_MS);
  try {
    const answer = await ask("/api/v1/events", { signal: stop.signal });
    if (answer.status === 401 || answer.status === 403) return false;
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    let told = false;
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return true;
      clearTimeout(silence);
      silence = setTimeout(() => stop.abort(), SILENCE_MS);
      const events = (rest + value).split("\n\n");
      rest = events.pop();
      events.forEach(receive);
      told ||= events.some((event) => event.startsWith("event: snapshot"));
      if (!told) continue;
      heardAt = new Date();
      connected();
      connection("live", "Live");
    }
  } finally {
    clearTimeout(silence);
  }
}

async function run() {
  $("ask").hidden = true;
  $("watch").hidden = false;
  let wait = 1000;
  while (sessionStorage.getItem("key")) {
    let accepted = true;
    try {
      accepted = await watch(() => (wait = 1000));
    } catch { /* lost; told below */ }
    if (!sessionStorage.getItem("key")) return;
    if (!accepted) return askForKey("This key is unknown or revoked.");
    connection("lost", heardAt ? `Connection lost, data as of ${clock.format(heardAt)}` : "No connection, trying again");
    await new Promise((resume) => setTimeout(resume, wait * (0.75 + Math.random() / 2)));
    wait = Math.min(wait * 2, 30_000);
  }
}

function askForKey(reason = "") {
  sessionStorage.removeItem("key");
  connection("none", "Not connected");
  for (const id of [...spaces.keys()]) remove(id);
  actuations.clear();
  count();
  $("totals").replaceChildren();
  document.title = "Baylight";
  $("refused").textContent = reason;
  $("watch").hidden = true;
  $("ask").hidden = false;
  $("key").focus();
}

// ---- begin

for (const [name, [sign, text]] of Object.entries(MARKS)) {
  $("legend").append(make("dt", { class: "mark " + name }, sign), make("dd", {}, text));
}
$("attention").addEventListener("change", (event) => {
  document.body.classList.toggle("attention", event.target.checked);
  count();
});
$("close").addEventListener("click", () => $("why").close());
$("why").addEventListener("click", (event) => event.target === $("why") && $("why").close());
$("leave").addEventListener("click", () => {
  sessionStorage.removeItem("key");
  location.reload();
});
$("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("key", $("key").value.trim());
  $("key").value = "";
  run();
});
function keyFromAddress() {
  const given = new URLSearchParams(location.hash.slice(1)).get("key");
  if (given) {
    sessionStorage.setItem("key", given);
    history.replaceState(null, "", location.pathname);
  }
  return Boolean(given);
}
addEventListener("hashchange", () => keyFromAddress() && location.reload());
keyFromAddress();
if (sessionStorage.getItem("key")) run();
else askForKey();
