// One tile for each space, by floor, with counts.

import { explain } from "./dialog.js";
import { $, fullTime, icon, make } from "./elements.js";
import { byWord, CONDITIONS, MARKS, REASONS, UNPROVEN, word, WORDS } from "./words.js";

const spaces = new Map(); // id -> { row, tile }
const floors = new Map(); // location -> its elements
const natural = new Intl.Collator(undefined, { numeric: true });

/** Returns sign and meaning of what is wrong with a light, or of what is in progress; null: neither. */
function mark(row) {
  if (!row.display_dev_eui) return null;
  const [sign, meaning] = row.sync_status === "in_sync" ? ["!", ""] : (MARKS[row.sync_status] ?? MARKS.unknown);
  const wrong = row.conditions.map((kind) => CONDITIONS[kind] ?? kind).join("; ");
  return wrong || meaning ? [sign, wrong || meaning] : null;
}

const needsAttention = (row) => mark(row) !== null && (row.sync_status !== "pending" || row.conditions.length > 0);

/** Shows a row of the stream. Returns the row before, if there was one. */
export function place(row) {
  const before = spaces.get(row.id);
  const tile = before?.tile ?? newTile(row.id);
  spaces.set(row.id, { row, tile });
  const sign = mark(row);
  const shows = row.display_state && row.display_state !== row.state ? "light: " + word(row.display_state) : null;
  tile.className = `bay ${row.state}${needsAttention(row) ? " marked" : ""}`;
  const reason = row.unproven && (REASONS[row.unproven.reason] ?? row.unproven.reason);
  const claims = reason && row.state !== "UNKNOWN"; // a space that is unknown claims nothing that may be wrong
  const doubt = claims ? `${UNPROVEN}: ${reason}` : reason;
  tile.title = [row.name, `since ${fullTime(row.state_at)}`, doubt, needsAttention(row) && sign[1]].filter(Boolean).join(" · ");
  tile.setAttribute("aria-label", [row.code, word(row.state), doubt, shows, sign?.[1]].filter(Boolean).join(", "));
  tile.replaceChildren(
    make("span", { class: "code" }, row.code),
    make("span", { class: "state" }, icon(row.state), make("span", {}, word(row.state))),
    ...(claims ? [make("span", { class: "unproven" }, UNPROVEN)] : []),
    ...(shows ? [make("span", { class: "light" }, shows)] : []),
    ...(sign ? [make("span", { class: "mark " + row.sync_status }, sign[0])] : []),
  );
  if (!before || before.row.location !== row.location || before.row.code !== row.code) insert(row, tile);
  return before?.row;
}

function newTile(id) {
  const tile = make("button", { type: "button" });
  tile.addEventListener("click", () => explain(spaces.get(id).row));
  return tile;
}

function insert(row, tile) {
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

export function remove(id) {
  spaces.get(id)?.tile.remove();
  spaces.delete(id);
}

/** Removes all spaces but those with these ids. */
export function keepOnly(ids) {
  for (const id of [...spaces.keys()]) if (!ids.has(id)) remove(id);
}

/** Counts all spaces, for each floor and for the page. */
export function count() {
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
  for (const [location, made] of floors) countFloor(location, made, each.get(location));
  $("totals").replaceChildren(
    ...[...byWord(all)]
      .filter(([text, amount]) => amount || text === WORDS.FREE || text === WORDS.OCCUPIED)
      .map(([text, amount]) => make("li", {}, make("b", {}, String(amount)), " " + text)),
  );
  $("only").hidden = marked === 0 && !$("attention").checked;
  $("attention-text").textContent = marked === 1 ? "1 light needs attention" : `${marked} lights need attention`;
  document.title = `${all.FREE ?? 0} free · Baylight`;
}

function countFloor(location, made, counts) {
  if (!counts) {
    made.section.remove();
    floors.delete(location);
    return;
  }
  const total = Object.values(counts).reduce((sum, amount) => sum + amount, 0);
  const others = [...byWord(counts)].filter(([text, amount]) => amount && text !== WORDS.FREE);
  const texts = [` of ${total}`, ...others.map(([text, amount]) => `${amount} ${text}`)];
  made.counts.replaceChildren(make("b", {}, `${counts.FREE ?? 0} ${WORDS.FREE}`), texts.join(" · "));
  made.share.replaceChildren(
    ...Object.keys(WORDS).filter((state) => counts[state]).map((state) => {
      const part = make("i", { class: state });
      part.style.flexGrow = counts[state];
      return part;
    }),
  );
}
