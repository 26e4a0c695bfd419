// The list of the newest actuations.

import { $, make, when } from "./elements.js";
import { word } from "./words.js";

const MAX_SHOWN = 12;
const actuations = new Map(); // id -> row

export function replaceAll(rows) {
  actuations.clear();
  rows.forEach((row) => actuations.set(row.id, row));
  draw();
}

export function put(row) {
  actuations.set(row.id, row);
  draw();
}

function draw() {
  const newest = [...actuations.values()].sort((a, b) => (a.id < b.id ? 1 : -1));
  for (const old of newest.splice(MAX_SHOWN)) actuations.delete(old.id);
  $("actuations").replaceChildren(
    ...newest.map((row) =>
      make(
        "li", {},
        when(row.created_at),
        make("span", {}, make("b", {}, row.space), " → " + word(row.new_state)),
        make("span", { class: "status " + row.status }, row.status),
        row.downlink_error && row.status === "failed" ? make("small", {}, row.downlink_error) : null,
      ),
    ),
  );
}
