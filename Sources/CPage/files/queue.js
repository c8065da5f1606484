// The waiting jobs.
import { make, find, shape, size, plural, attempt, roughly } from "./dom.js";
import * as jobs from "./jobs.js";
import * as priority from "./priority.js";
import { draggable, isDragging } from "./reorder.js";

const shown = 100;
const change = attempt(jobs.change);
const move = attempt(jobs.move);

// A job moves up or down among those with the same user and priority.
function neighbours(id) {
  const list = jobs.peers(id);
  const place = list.findIndex((job) => job.id === id);
  return { up: list[place - 1], down: list[place + 1], afterDown: list[place + 2] };
}

function row(job) {
  const isPaused = job.state === "paused";
  const { up, down } = neighbours(job.id);
  const arrow = (name, label, isPossible, before) => make("button", {
    className: "arrow", ariaLabel: `Move ${label}: ${job.request.prompt}`, title: `Move ${label}`, disabled: !isPossible,
    // Neighbours at the time of the click.
    onclick: () => move(job.id, before(neighbours(job.id))),
  }, shape(name));
  const buttons = { up: arrow("up", "up", up, (now) => now.up?.id ?? job.id), down: arrow("down", "down", down, (now) => now.afterDown?.id ?? null) };
  for (const [name, button] of Object.entries(buttons)) button.classList.add(name);
  const each = jobs.secondsPerCall(job.model);
  const facts = [size(job), plural(job.unetCalls, "UNet call"), each && `about ${roughly(each * job.unetCalls)}`, job.user !== "local" && job.user]
    .filter(Boolean).join(" · ");
  const item = make("li", { className: "card" },
    make("button", { className: "grip", tabIndex: -1, ariaHidden: "true", title: "Drag to another place" }, shape("grip")),
    make("div", { className: "what" }, make("p", {}, job.request.prompt),
      make("small", {}, isPaused ? make("span", { className: "tag" }, "paused") : null, facts)),
    make("div", { className: "does" }, buttons.up, buttons.down, priority.choice(job),
      make("button", { onclick: () => change(job.id, isPaused ? "resume" : "pause") }, isPaused ? "Resume" : "Pause"),
      make("button", { className: "danger", onclick: () => change(job.id, "cancel") }, "Cancel")));
  item.dataset.id = job.id;
  draggable(item, find(".grip", item), (before) => move(job.id, before));
  return item;
}

// Rows are replaced, but the keyboard focus stays on the same button of the same job, or moves to the other arrow if
// that button is now disabled.
function keepingFocus(work) {
  const row = document.activeElement?.closest("#queue li");
  const index = row ? [...row.querySelectorAll("button, select")].indexOf(document.activeElement) : -1;
  work();
  if (index < 0) return;
  const buttons = [...find("#queue").querySelectorAll(`[data-id="${row.dataset.id}"] :is(button, select)`)];
  (buttons[index]?.disabled ? buttons.find((button) => button.classList.contains("arrow") && !button.disabled) : buttons[index])?.focus();
}

let last = "";
export function draw() {
  if (isDragging()) return;
  const list = jobs.waiting();
  // Rows are replaced only when something has changed, so that a button keeps the focus.
  const now = JSON.stringify(list.map((job) => [job.id, job.state, job.priority, job.position]));
  if (now === last) return;
  last = now;
  find("#queue-section").hidden = list.length === 0;
  find("#queue-count").textContent = list.length || "";
  keepingFocus(() => find("#queue").replaceChildren(...list.slice(0, shown).map(row)));
  find("#queue-more").textContent = list.length > shown ? `and ${list.length - shown} more` : "";
}
