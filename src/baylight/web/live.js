// The live page: asks for a key, then shows the stream of events.

import * as actuations from "./actuations.js";
import { forgetKey, getKey, keepKey, moveKeyFromAddress } from "./api.js";
import { $, make } from "./elements.js";
import { showConnection, watch } from "./stream.js";
import { count, keepOnly } from "./tiles.js";
import { MARKS } from "./words.js";

async function run() {
  $("ask").hidden = true;
  $("watch").hidden = false;
  if (!(await watch())) askForKey("This key is unknown or revoked.");
}

function askForKey(reason = "") {
  forgetKey();
  showConnection("none", "Not connected");
  keepOnly(new Set());
  actuations.replaceAll([]);
  count();
  $("totals").replaceChildren();
  $("services").hidden = true;
  document.title = "Baylight";
  $("refused").textContent = reason;
  $("watch").hidden = true;
  $("ask").hidden = false;
  $("key").focus();
}

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
  forgetKey();
  location.reload();
});
$("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  keepKey($("key").value.trim());
  $("key").value = "";
  run();
});
addEventListener("hashchange", () => moveKeyFromAddress() && location.reload());
moveKeyFromAddress();
if (getKey()) run();
else askForKey();
