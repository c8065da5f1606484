// The page: loads, then follows the service's events.
import { get, forgetToken, hasToken } from "./api.js";
import { find } from "./dom.js";
import * as jobs from "./jobs.js";
import * as compose from "./compose.js";
import * as queue from "./queue.js";
import * as running from "./running.js";
import * as gallery from "./gallery.js";

const status = find("#status");

function show(text, kind) {
  if (status.textContent !== text) status.textContent = text;
  status.className = `status ${kind}`;
}

async function check() {
  const answer = await fetch(new URL("readyz", document.baseURI), { credentials: "omit" });
  const { reason } = await answer.json();
  const count = jobs.running().length + jobs.waiting().length;
  if (reason) show(`Blocked: ${reason}`, "bad");
  else show(count === 0 ? "Ready" : count === 1 ? "1 job" : `${count} jobs`, "good");
}

function draw() {
  running.draw();
  queue.draw();
  gallery.draw();
}

jobs.watch(draw);
jobs.changes.connected = () => {
  find("#sign-out").hidden = !hasToken();
  check().catch(() => {});
};
jobs.changes.lost = () => show("Connection lost; trying again", "bad");
let count = -1;
jobs.watch(() => {
  const now = jobs.running().length + jobs.waiting().length;
  if (now !== count) check().catch(() => {});
  count = now;
});
find("#sign-out").addEventListener("click", forgetToken);
running.start();
gallery.start();
compose.start().catch((error) => { find("#compose-error").textContent = error.message; });
jobs.stay();
