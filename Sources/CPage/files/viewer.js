// One picture in detail, with its settings and actions.
import { blob } from "./api.js";
import { make, find, size, bytes, duration, attempt, say } from "./dom.js";
import * as jobs from "./jobs.js";
import { fill } from "./compose.js";
import { Zoom } from "./zoom.js";

const dialog = find("#viewer");
let zoom = null;
let shown = null;

async function again(job, change) {
  const request = structuredClone(job.request);
  change(request);
  await jobs.submit(request);
  dialog.close();
  say("Queued");
}

async function download(job) {
  say("Fetching the file");
  const address = URL.createObjectURL(await blob(`api/v1/jobs/${job.id}/picture`));
  const format = job.request.format ?? "png";
  make("a", { href: address, download: `tessera-${job.id}.${format}` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

function actions(job) {
  const button = (label, work, className = "") => make("button", { className, onclick: attempt(work) }, label);
  return make("div", { className: "actions" },
    button(`Download (${bytes(job.pictureBytes ?? 0)})`, () => download(job), "primary"),
    button("Render again", () => again(job, () => {})),
    button("With another seed", () => again(job, (request) => { delete request.settings.seed; })),
    button("Twice as large", () => again(job, (request) => { request.settings.size = `${2 * job.width}x${2 * job.height}`; })),
    button("Edit as new", () => { dialog.close(); fill(job); }),
    button("Delete", async () => { dialog.close(); await jobs.remove(job.id); }, "danger"));
}

function facts(job) {
  const { settings = {}, preset, negativePrompt, loras } = job.request;
  const list = [["Size", size(job)], ["Model", job.model], ["Preset", preset], ["UNet calls", job.unetCalls],
    ["Rendered in", job.started ? duration(job.finished - job.started) : null],
    ["Negative prompt", negativePrompt], ["LoRA", loras?.map(({ name, weight }) => `${name} ${weight}`).join(", ")],
    ...Object.entries(settings).filter(([name]) => name !== "size")
      .map(([name, value]) => [name.replaceAll("-", " "), typeof value === "object" ? JSON.stringify(value) : `${value}`])];
  return make("dl", { className: "facts" }, ...list.filter(([, value]) => value !== null && value !== undefined && value !== "")
    .flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
}

function neighbour(by) {
  const list = jobs.finished().filter((job) => job.state === "done");
  return list[list.findIndex((job) => job.id === shown?.id) + by];
}

function step(by) {
  const next = neighbour(by);
  if (next) open(next);
}

function other(label, text, by) {
  return make("button", { className: "quiet", ariaLabel: label, title: label, disabled: !neighbour(by), onclick: () => step(by),
    ariaKeyShortcuts: by < 0 ? "PageUp" : "PageDown" }, text);
}

export function open(job) {
  zoom?.close();
  shown = job;
  zoom = new Zoom(job);
  dialog.replaceChildren(zoom.element,
    make("aside", { className: "side", ariaLabel: "Settings of the picture" },
      make("div", { className: "head" }, make("h2", {}, "Picture"),
        other("Previous picture", "‹", -1), other("Next picture", "›", 1),
        make("button", { className: "quiet", onclick: () => dialog.close(), ariaKeyShortcuts: "Escape" }, "Close")),
      make("p", { className: "prompt" }, job.request.prompt), actions(job), facts(job),
      make("p", { className: "hint" }, "Wheel, pinch or + and − zoom; drag or arrow keys move; 0 fits; 1 is full size; Page Up and Page Down go to other pictures.")));
  if (!dialog.open) dialog.showModal();
  zoom.start();
  zoom.element.focus();
}

// A picture that somebody else deletes is closed.
jobs.changes.deleted = (id) => {
  if (!dialog.open || shown?.id !== id) return;
  dialog.close();
  say("This picture was deleted.");
};
dialog.addEventListener("close", () => {
  // The event arrives a moment later: another picture may have been opened since.
  if (dialog.open) return;
  zoom?.close();
  zoom = null;
  const back = shown && find(`#gallery [data-id="${shown.id}"] .shot`);
  back?.focus();
  dialog.replaceChildren();
});
dialog.addEventListener("keydown", (event) => {
  if (event.key === "PageDown") step(1);
  else if (event.key === "PageUp") step(-1);
  else return;
  event.preventDefault();
});
