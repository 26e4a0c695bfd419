// Words of the page. tests/web/test_words.py compares them with the enums of the program and with the glossary.

/** Word of each state, in the order of counts. */
export const WORDS = {
  FREE: "free", OCCUPIED: "taken", RESERVED: "reserved",
  MAINTENANCE: "closed", OUT_OF_ORDER: "closed", UNKNOWN: "unknown",
};

/** Mark of each sync status, with its meaning. A light that is `in_sync` has no mark. */
export const MARKS = {
  pending: ["…", "The light is changing"],
  drifted: ["≠", "The light shows something else than it must"],
  unreachable: ["!", "No proof comes from the light"],
  misconfigured: ["×", "The light has no code for this state"],
  unknown: ["?", "It is not known what the light shows"],
};

/** Meaning of each condition of a light. */
export const CONDITIONS = {
  display_silent: "The light does not answer",
  display_wrong: "The light answers, and shows something else than it must",
  display_misconfigured: "The light has no code for this state, or it is disabled",
  display_undeliverable: "No command reaches the light",
  display_commanded_by_other: "Somebody else commands the light",
  display_not_class_c: "The network server does not serve the light as class C",
  display_waits_for_uplink: "The network server waits for the light's first uplink",
  display_disabled: "The light is disabled in the network server",
  display_refused: "The network server refuses the light's joins or uplinks",
};

/** Word for a state with the mark `unproven`. */
export const UNPROVEN = "may be out of date";

/** Meaning of each reason of that mark. */
export const REASONS = {
  refused: "the network server refuses the sensor's uplinks",
  to_decode: "the sensor's newest uplink waits to be decoded",
  frames_missing: "uplinks of the sensor are missing",
  session_lost: "the broker lost Baylight's session, and uplinks with it",
  network_server_away: "the network server was away, and uplinks may be lost",
};

/** Meaning of a sync status. */
export const SYNCED = "The light shows what it must";

export const word = (state) => WORDS[state] ?? state;

/** Counts by state as counts by word, in the order of WORDS. Two states may have one word. */
export function byWord(counts) {
  const words = new Map();
  for (const [state, text] of Object.entries(WORDS)) words.set(text, (words.get(text) ?? 0) + (counts[state] ?? 0));
  return words;
}
