// The dialog that explains a space: rules, cause, light, sensor, deliveries.

import { ask } from "./api.js";
import { $, chip, local, make, when } from "./elements.js";
import { MARKS, REASONS, SYNCED, UNPROVEN, word } from "./words.js";

/** Opens the dialog for a row of the stream. */
export async function explain(row) {
  $("why-title").textContent = row.code;
  $("why-body").replaceChildren(make("p", {}, "Loading…"));
  if (!$("why").open) $("why").showModal();
  try {
    const answer = await ask(`api/v1/spaces/${encodeURIComponent(row.code)}/why`);
    const why = await answer.json();
    if (!answer.ok) throw new Error(why.detail);
    $("why-body").replaceChildren(
      make("p", {}, chip(row.state), " since ", when(row.state_at)),
      ...(why.space.unproven && why.space.state !== "UNKNOWN" ? [doubt(why.space.unproven)] : []),
      rules(why.rules),
      ...(why.cause ? [cause(why.cause)] : []),
      ...why.conditions.map(condition),
      light(why.display),
      sensor(why.uplink, row.sensor_dev_eui),
      ...(why.actuations.length ? [part("Actuations", ...why.actuations.map(delivery))] : []),
    );
  } catch (error) {
    $("why-body").replaceChildren(make("p", { class: "problem" }, `No answer: ${error.message}`));
  }
}

const part = (title, ...content) => make("section", {}, make("h3", {}, title), ...content);

const mono = (text) => make("span", { class: "mono" }, text);

/** Pairs of name and value; those without a value are left out. */
function facts(pairs) {
  const list = make("dl", { class: "facts" });
  for (const [name, value] of pairs) {
    if (value !== null && value !== undefined) list.append(make("dt", {}, name), make("dd", {}, ...[value].flat()));
  }
  return list;
}

function rules(all) {
  const items = all.map((rule) =>
    make("li", {}, make("span", {}, rule.state ? chip(rule.state) : ""), make("span", {}, ...local(rule.detail))),
  );
  return part("Rules that apply: the first one decides", make("ol", { class: "rules" }, ...items));
}

function cause(found) {
  return part(found.kind === "override" ? "Override" : "Reservation", facts([
    ["from", when(found.from_at)], ["until", found.until_at ? when(found.until_at) : "someone ends it"],
    ["by", found.actor], ["reason", found.reason],
  ]));
}

function doubt({ reason, since, until }) {
  return make(
    "p", { class: "problem" }, `This ${UNPROVEN} since `, when(since), `: ${REASONS[reason] ?? reason}. `,
    "The sensor's next report ends this; without one the space is unknown from ", when(until), ".",
  );
}

function condition(found) {
  return part(`${found.subject}: ${found.kind.replaceAll("_", " ")}`, make("p", { class: "problem" }, found.meaning), facts([
    ["since", when(found.since)], ["evidence", local(found.evidence)], ["what to do", found.remedy],
  ]));
}

function light(display) {
  if (!display) return part("Light", make("p", {}, "This space has no light."));
  const status = display.sync_status === "in_sync" ? SYNCED : MARKS[display.sync_status]?.[1];
  return part("Light", facts([
    ["must show", lane(display.desired) ?? "nothing"],
    ["sent", lane(display.commanded) ?? "nothing"],
    ["reported", lane(display.reported) ?? "nothing yet"],
    ["in short", status && status + "."],
    ["last uplink", display.last_seen_at && when(display.last_seen_at)],
    ["DevEUI", mono(display.dev_eui)],
  ]));
}

function lane(seen) {
  if (!seen || (!seen.state && !seen.code)) return null;
  const swatch = make("i", { class: "swatch" });
  if (seen.rgb) swatch.style.backgroundColor = seen.rgb;
  const text = [seen.state ? word(seen.state) : "none of its states", seen.colour].filter(Boolean).join(", ");
  return [swatch, text, ...(seen.at ? [" · ", when(seen.at)] : [])];
}

function sensor(uplink, devEui) {
  if (!uplink) {
    return part("Sensor", make("p", {}, devEui ? `${devEui} has sent no uplink yet.` : "This space has no sensor."));
  }
  return part("Sensor", facts([
    ["reported", uplink.occupancy ? word(uplink.occupancy) : `no occupancy (${uplink.outcome})`],
    ["received", when(uplink.received_at)],
    ["data", mono(`${uplink.data || "none"} on port ${uplink.f_port}`)],
    ["signal", uplink.rssi_dbm === null ? null : `${uplink.rssi_dbm} dBm, SNR ${uplink.snr_db} dB`],
    ["DevEUI", mono(uplink.dev_eui)],
  ]));
}

function delivery({ actuation, colour }) {
  const steps = actuation.steps.map((step) =>
    make("li", {}, when(step.at), [step.kind, step.detail].filter(Boolean).join(": ")),
  );
  return make(
    "div", { class: "delivery" },
    make("b", {}, word(actuation.new_state)), colour ? ` (${colour}) ` : " ",
    make("span", { class: "status " + actuation.status }, actuation.status),
    actuation.downlink_error ? make("p", { class: "problem" }, actuation.downlink_error) : null,
    make(
      "ol", { class: "steps" },
      make("li", {}, when(actuation.created_at), `decided: ${actuation.trigger_type.replaceAll("_", " ")}`),
      ...steps,
    ),
  );
}
